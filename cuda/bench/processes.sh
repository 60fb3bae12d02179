#!/usr/bin/env bash
# Grids of real processes, some of whose hops compute on a GPU:
#
#   bash cuda/bench/processes.sh ZETAGRID DEVICE      the program; cuda:0
#
# A chain of both kinds; and a hop, of either kind, that is killed in the middle of an
# answer and replaced by one of the other kind. Every answer must be the processor's,
# byte for byte, and what came of the one that was cut off a prefix of it.
set -euo pipefail
exec </dev/null
zetagrid="$1" device="$2"
readonly zetagrid device prompt="What is lost " bytes=2000 endless=16000000

folder="$(mktemp -d)"
readonly folder
declare -A pid=() address=() api=()

# stop ends every node.
stop() {
	local name
	for name in "${!pid[@]}"; do
		while kill -9 "${pid[$name]}" 2>/dev/null; do
			sleep 0.05
		done
	done
	pid=() address=() api=()
}
trap 'stop 2>/dev/null; rm -rf "$folder"' EXIT

fail() {
	echo "FAIL: $1" >&2
	tail -n 20 "$folder"/*.err >&2 || true
	exit 1
}

# field NAME of the line that a node prints when it serves.
field() { sed -n "s/.*\"$1\":\[\{0,1\}\"\([^\"]*\)\".*/\1/p" "$2"; }

# node NAME FLAG…: starts a node and waits until it serves.
node() {
	local name="$1" flags=("${@:2}") peer
	rm -f "$folder/$name.out"
	for peer in "${address[@]}"; do
		flags+=(--bootstrap "$peer")
	done
	"$zetagrid" up --model "$folder/model" --data "$folder/data-$name" --json --no-mdns --no-dht \
		--listen /ip4/127.0.0.1/udp/0/quic-v1 --api 127.0.0.1:0 "${flags[@]}" >"$folder/$name.out" 2>"$folder/$name.err" &
	pid[$name]=$!
	disown "$!" # so that the shell does not report its death
	until [ -s "$folder/$name.out" ]; do
		kill -0 "${pid[$name]}" 2>/dev/null || fail "$name did not start"
		sleep 0.1
	done
	address[$name]="$(field addrs "$folder/$name.out")" api[$name]="$(field api "$folder/$name.out")"
}

# ask BYTES FILE: an answer of the node called gateway.
ask() { "$zetagrid" run --api "${api[gateway]}" --max-bytes "$1" --seed 7 --temperature 0.8 --raw "$prompt" >"$2" 2>"$folder/ask.err"; }

# answered FILE: a whole answer, once the grid covers the model.
answered() {
	local tries=0
	until ask "$bytes" "$1"; do
		[ $((tries += 1)) -lt 300 ] || fail "the grid does not answer: $(cat "$folder/ask.err")"
		sleep 0.1
	done
}

# same WHAT FILE: the answer is the processor's.
same() { cmp -s "$folder/want" "$2" && echo "ok: $1" || fail "$1: $(wc -c <"$2") bytes, not those of the processor"; }

"$zetagrid" model init --weights q2 --layers 16 --d-model 256 --d-ff 1024 -o "$folder/model" >/dev/null
"$zetagrid" run --model "$folder/model" --max-bytes "$bytes" --seed 7 --temperature 0.8 --raw "$prompt" >"$folder/want"
[ "$(wc -c <"$folder/want")" -eq "$bytes" ] || fail "the processor generated $(wc -c <"$folder/want") bytes"

# chain NAME FIRST SECOND: each hop has half of the blocks.
chain() {
	node first --device "$2" --blocks 0-1
	node second --device "$3" --blocks 1-2
	node gateway --memory 0
	answered "$folder/whole"
	same "$1" "$folder/whole"
	stop
}

# replaced NAME FIRST SECOND: the first is killed when an answer has begun, and then
# the second comes.
replaced() {
	node first --device "$2" --blocks 0-2
	node gateway --memory 0
	answered "$folder/whole"
	same "$1: before" "$folder/whole"
	ask "$endless" "$folder/part" &
	local answer=$! came
	until [ -s "$folder/part" ]; do
		kill -0 "$answer" 2>/dev/null || fail "$1: $(cat "$folder/ask.err")"
		sleep 0.05
	done
	kill -9 "${pid[first]}"
	! wait "$answer" || fail "$1: an answer went on without its hop"
	came="$(wc -c <"$folder/part")"
	if [ "$came" -gt "$bytes" ]; then came="$bytes"; fi
	cmp -s -n "$came" "$folder/want" "$folder/part" || fail "$1: what came is no prefix of the processor's bytes"
	unset "pid[first]" "address[first]"
	node second --device "$3" --blocks 0-2
	answered "$folder/whole"
	same "$1: after" "$folder/whole"
	stop
}

chain "a chain of GPU and processor" "$device" cpu
replaced "a GPU replaced by a processor" "$device" cpu
replaced "a processor replaced by a GPU" cpu "$device"
