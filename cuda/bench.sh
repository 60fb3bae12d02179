#!/usr/bin/env bash
# Builds the GPU stage, checks it against the processor's and measures it: everything
# that needs a GPU, in one go. See cuda/bench/README.md.
#
#   bash cuda/bench.sh                       everything
#   bash cuda/bench.sh checks decode         only these parts
#   bash cuda/bench.sh --build               only the programs, into .cuda/bin, and
#                                            packed as .cuda/bench.tar.gz
#   bash cuda/bench.sh decode -- --d-model 8192 --d-ff 32768
#                                            flags for zetagrid bench device
#
# Parts, in this order: checks decode prefill rack loss model sanitizer.
#
#   --limit SECONDS   for everything together, 530 by default; what there is no
#                     time for is reported as not measured. Of several parts only
#                     model and sanitizer may take more than a third of it
#   --device N        which GPU, 0 by default
#   --out DIR         for table.md, figures.json, checks.log and clocks.csv; $OUT or
#                     dist/gpu. They are written anew after each part, so that what was
#                     found stays, whatever comes
#
# Where Go is missing it uses the programs that --build left in .cuda/bin or
# .cuda/bench.tar.gz, made elsewhere. Exit status: 0, or 1 if a check or the device
# failed. A goal that was missed is printed as missed, and no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

readonly bin="$PWD/.cuda/bin"
# What is wrong comes first; what takes longest, last.
readonly all=(checks decode prefill rack loss model sanitizer)
# The tests that the sanitizer runs, which makes them some hundred times slower.
readonly sanitized='^(TestDeviceSelfCheck|TestDeviceShapes)$'

# The driver keeps the machine code it makes of the kernels.
export CUDA_CACHE_PATH="${CUDA_CACHE_PATH:-$bin/cache}"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; }

limit=530 device=0 out="${OUT:-dist/gpu}" build_only=false parts=() flags=()
while [ $# -gt 0 ]; do
	case "$1" in
	--build) build_only=true ;;
	--limit | --device | --out)
		[ $# -gt 1 ] || { echo "$1 wants a value" >&2 && exit 2; }
		case "$1" in --limit) limit="$2" ;; --device) device="$2" ;; --out) out="$2" ;; esac
		shift
		;;
	--help | -h) usage && exit 0 ;;
	--) shift && flags=("$@") && break ;;
	*)
		[[ " ${all[*]} " == *" $1 "* ]] || { echo "no part $1; there are: ${all[*]}" >&2 && exit 2; }
		parts+=("$1")
		;;
	esac
	shift
done
[[ "$limit" =~ ^[1-9][0-9]*$ && "$device" =~ ^[0-9]+$ ]] || { echo "--limit and --device want whole numbers" >&2 && exit 2; }
[ ${#parts[@]} -gt 0 ] || parts=("${all[@]}")

readonly programs=(zetagrid kernels.test cuda.test)
readonly packed="$PWD/.cuda/bench.tar.gz" # them, a third as large

# build makes the programs, for any machine with the same C library or a newer
# one.
build() {
	[ -e .cuda/env ] || bash cuda/driver/deps.sh
	(
		. .cuda/env
		mkdir -p "$bin"
		go build -tags cuda -trimpath -ldflags '-s -w' -o "$bin/zetagrid" ./cmd/zetagrid
		go test -c -tags cuda -trimpath -ldflags '-s -w' -o "$bin/kernels.test" ./cuda/kernels
		go test -c -tags cuda -trimpath -ldflags '-s -w' -o "$bin/cuda.test" ./cuda
	)
}

if $build_only; then
	build
	tar -C "$bin" -czf "$packed" "${programs[@]}"
	(cd "$bin" && ls -l "${programs[@]}" "$packed")
	exit 0
fi

SECONDS=0
mkdir -p "$out"
out="$(cd "$out" && pwd)"
scratch="$(mktemp -d)"
readonly out scratch log="$out/checks.log"
mkdir -p "$CUDA_CACHE_PATH" 2>/dev/null || export CUDA_CACHE_PATH="$scratch/cache"
rm -rf "$out/table.md" "$out/figures.json" "$out/parts"
: >"$log"

say() { echo "bench: $*" >&2; }

trap 'kill $watch 2>/dev/null || true; [ -s "$out/clocks.csv" ] || rm -f "$out/clocks.csv"; rm -rf "$scratch"' EXIT
watch="" # process id of what looks at the GPUs

# bounded SECONDS COMMAND…: the command's status, or 124 if it takes longer. One that
# cannot be killed, because the driver does not let go of it, is left behind.
bounded() {
	local end=$((SECONDS + $1 + 15))
	timeout --kill-after=10 "$@" &
	running=$!
	while kill -0 "$running" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 124
		sleep 0.1
	done
	wait "$running"
}
running="" # process id of what bounded runs

if command -v go >/dev/null; then
	say "building"
	build >>"$log" 2>&1 || say "the build failed, see $log"
fi
if [ "$packed" -nt "$bin/zetagrid" ]; then
	mkdir -p "$bin"
	tar -C "$bin" -xzf "$packed"
fi
for program in "${programs[@]}"; do
	[ -x "$bin/$program" ] || { say "no $bin/$program: make it with --build where Go is" && exit 1; }
done

# Where containers find the driver, if the loader does not know.
PATH="$PATH:/sbin:/usr/sbin:/usr/local/nvidia/bin"
for folder in /usr/local/nvidia/lib64 /usr/lib/wsl/lib; do
	if [ -e "$folder/libcuda.so.1" ] && ! ldconfig -p | grep libcuda.so.1 >/dev/null; then
		export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
	fi
done

version="$("$bin/zetagrid" version | sed -n 1p)" || { say "the programs do not run here" && exit 1; }
gpus="$(timeout 30 nvidia-smi --query-gpu=index,name,driver_version,clocks.max.sm,clocks.max.mem,power.limit --format=csv 2>>"$log")" || true

# Clocks and temperature, while it goes on. This also keeps a driver from putting the GPUs
# away between two programs, which costs seconds each time.
nvidia-smi --query-gpu=timestamp,index,clocks.sm,clocks.mem,power.draw,temperature.gpu,memory.used --format=csv -l 10 \
	>"$out/clocks.csv" 2>/dev/null &
watch=$!

failed=0 lines=() json=()

# note PART STATUS SECONDS [WHY]: one line of the summary, and the files with all that
# was found until now: one table from all parts, and their figures under their names.
note() {
	local part comma=""
	say "$1: $2${4:+: $4} ($3 s)"
	lines+=("| $1 | $2${4:+: $4} | $3 |")
	json+=("\"$1\":{\"status\":\"$2\",\"seconds\":$3}")
	[ ! -e "$out/parts" ] || { cp -R "$out/parts/." "$scratch" && rm -r "$out/parts"; }
	{
		printf '# The GPU stage, measured\n\n%s\n\n' "$version${gpus:+$'\n'$gpus}"
		echo "| part | | seconds |"
		echo "| --- | --- | --- |"
		printf '%s\n' "${lines[@]}"
		for part in "${all[@]}"; do
			[ -e "$scratch/$part/table.md" ] || continue
			printf '\n## %s\n\n' "$part"
			cat "$scratch/$part/table.md"
		done
	} >"$scratch/table.md"
	{
		printf '{"parts":{%s},"figures":{' "$(IFS=, && echo "${json[*]}")"
		for part in "${all[@]}"; do
			[ -s "$scratch/$part/figures.json" ] || continue
			printf '%s"%s":%s' "$comma" "$part" "$(cat "$scratch/$part/figures.json")"
			comma=,
		done
		printf '}}\n'
	} >"$scratch/figures.json"
	mv "$scratch/table.md" "$scratch/figures.json" "$out"
}

# left is the seconds that are left for a part: no more than most, so that one that
# hangs leaves time for others.
left() {
	local rest=$((limit - SECONDS))
	echo $((rest < most ? rest : most))
}

# check PART COMMAND…: runs a test, whose output goes to the log.
check() {
	local part="$1" began=$SECONDS status=0 before
	shift
	printf '\n=== %s: %s\n' "$part" "$*" >>"$log"
	if [ "$(left)" -le 2 ]; then
		note "$part" "not measured" 0 "out of time"
		return
	fi
	before="$(wc -l <"$log")"
	bounded "$(left)" "$@" >>"$log" 2>&1 || status=$?
	case $status in
	0) note "$part" passed $((SECONDS - began)) ;;
	124 | 137) note "$part" "not measured" $((SECONDS - began)) "out of time" ;;
	*)
		failed=1
		note "$part" failed $((SECONDS - began)) "see checks.log"
		tail -n "+$((before + 1))" "$log" | grep -E '^ *--- FAIL|_test\.go:[0-9]+:|^panic|^FAIL:|^fatal|ERROR SUMMARY' | head -n 10 >&2 || true
		;;
	esac
}

# tests NAME PROGRAM FOLDER PATTERN [COMMAND…]: tests of a package on the GPU; the
# command, if any, runs a short form of them.
tests() {
	local name="$1" program="$2" folder="$3" pattern="$4" short=()
	shift 4
	[ $# -eq 0 ] || short=(-test.short)
	check "$name" env -C "$folder" ZETAGRID_CUDA="$device" "$@" \
		"$bin/$program" -test.v -test.run "$pattern" -test.timeout 0 "${short[@]}"
}

# measure PART: figures, in parts/PART until all are there.
measure() {
	local part="$1" began=$SECONDS status=0 seconds
	seconds="$(left)"
	[ "$seconds" -gt 20 ] || { note "$part" "not measured" 0 "out of time" && return; }
	printf '\n=== %s\n' "$part" >>"$log"
	bounded "$seconds" "$bin/zetagrid" bench device --device "cuda:$device" --only "$part" \
		--limit "$((seconds - 15))s" --output "$out/parts/$part" "${flags[@]}" >>"$log" 2>&1 || status=$?
	case $status in
	0) note "$part" done $((SECONDS - began)) ;;
	124 | 137) note "$part" "not measured" $((SECONDS - began)) "out of time" ;;
	*)
		failed=1
		note "$part" failed $((SECONDS - began)) "$(tail -n 1 "$log" | tr '|"' ' ')"
		;;
	esac
}

# sanitize runs a few tests under the tools that look at every access.
sanitize() {
	local tool sanitizer
	sanitizer="$(PATH="$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer" command -v compute-sanitizer)" ||
		{ note sanitizer "not offered here" 0 && return; }
	for tool in memcheck racecheck; do
		tests "sanitizer: kernels, $tool" kernels.test cuda/kernels . "$sanitizer" --tool "$tool" --error-exitcode 99
		tests "sanitizer: stage, $tool" cuda.test cuda "$sanitized" "$sanitizer" --tool "$tool" --error-exitcode 99
	done
}

trap 'kill $running 2>/dev/null; note "$part" "not measured" 0 stopped; exit 1' INT TERM
for part in "${parts[@]}"; do
	most=$((limit / 3 + 1))
	case "$part" in model | sanitizer) most=$limit ;; esac
	[ ${#parts[@]} -gt 1 ] || most=$limit
	case "$part" in
	checks)
		tests "checks: golden digests" cuda.test cuda '^TestDeviceSelfCheck$'
		tests "checks: kernels" kernels.test cuda/kernels .
		tests "checks: stage" cuda.test cuda '^TestDevice'
		;;
	loss)
		tests "loss: stages" cuda.test cuda '^TestLossOnDevice$'
		tests "loss: a device opened again" cuda.test cuda '^TestReopenOnDevice$'
		check "loss: processes" bash cuda/bench/processes.sh "$bin/zetagrid" "cuda:$device"
		;;
	sanitizer) sanitize ;;
	*) measure "$part" ;;
	esac
done
cat "$out/table.md"
exit "$failed"
