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
# Parts: checks loss decode prefill rack model sanitizer.
#
#   --limit SECONDS   for everything together, 530 by default; what there is no
#                     time for is reported as not measured
#   --device N        which GPU, 0 by default
#   --out DIR         for table.md, figures.json and checks.log; $OUT or dist/gpu
#
# Where Go is missing it uses the programs that --build left in .cuda/bin or
# .cuda/bench.tar.gz, made elsewhere. Exit status: 0, or 1 if a check or the device
# failed. A goal that was missed is printed as missed, and no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

readonly bin="$PWD/.cuda/bin"
readonly all=(checks loss decode prefill rack model sanitizer)
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
readonly out log="$out/checks.log"
rm -rf "$out/parts" "$out/table.md" "$out/figures.json"
mkdir "$out/parts"
: >"$log"

say() { echo "bench: $*" >&2; }

if command -v go >/dev/null; then
	say "building"
	build >>"$log" 2>&1 || say "the build failed, see $log"
fi
if [ -e "$packed" ] && ! [ -x "$bin/zetagrid" ]; then
	mkdir -p "$bin"
	tar -C "$bin" -xzf "$packed"
fi
for program in "${programs[@]}"; do
	[ -x "$bin/$program" ] || { say "no $bin/$program: make it with --build where Go is" && exit 1; }
done

failed=0 lines=() json=()

# note PART STATUS SECONDS [WHY]: one line of the summary.
note() {
	say "$1: $2${4:+: $4} ($3 s)"
	lines+=("| $1 | $2${4:+: $4} | $3 |")
	json+=("\"$1\":{\"status\":\"$2\",\"seconds\":$3}")
}

# left is the seconds that are left for a part.
left() { echo $((limit - SECONDS)); }

# check PART COMMAND…: runs a test, whose output goes to the log.
check() {
	local part="$1" began=$SECONDS status=0
	shift
	printf '\n=== %s: %s\n' "$part" "$*" >>"$log"
	if [ "$(left)" -le 2 ]; then
		note "$part" "not measured" 0 "out of time"
		return
	fi
	timeout --kill-after=10 "$(left)" "$@" >>"$log" 2>&1 || status=$?
	case $status in
	0) note "$part" passed $((SECONDS - began)) ;;
	124 | 137) note "$part" "not measured" $((SECONDS - began)) "out of time" ;;
	*)
		failed=1
		note "$part" failed $((SECONDS - began)) "see checks.log"
		grep -E '^ *--- FAIL|^panic|ERROR SUMMARY' "$log" | tail -n 5 >&2 || true
		;;
	esac
}

# tests NAME PROGRAM FOLDER PATTERN [COMMAND…]: tests of a package on the GPU; the
# command, if any, runs a short form of them.
tests() {
	local name="$1" program="$2" folder="$3" pattern="$4" short=()
	shift 4
	[ $# -eq 0 ] || short=(-test.short)
	check "$name" env -C "$folder" ZETAGRID_CUDA=0 CUDA_VISIBLE_DEVICES="$device" "$@" \
		"$bin/$program" -test.v -test.run "$pattern" -test.timeout 0 "${short[@]}"
}

# measure PART: figures, in parts/PART.
measure() {
	local part="$1" began=$SECONDS status=0 seconds
	seconds="$(left)"
	[ "$seconds" -gt 20 ] || { note "$part" "not measured" 0 "out of time" && return; }
	printf '\n=== %s\n' "$part" >>"$log"
	timeout --kill-after=10 "$seconds" "$bin/zetagrid" bench device --device "cuda:$device" --only "$part" \
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
	local tool
	if ! command -v compute-sanitizer >/dev/null; then
		note sanitizer "not offered here" 0
		return
	fi
	for tool in memcheck racecheck; do
		tests "sanitizer: kernels, $tool" kernels.test cuda/kernels . compute-sanitizer --tool "$tool" --error-exitcode 99
		tests "sanitizer: stage, $tool" cuda.test cuda "$sanitized" compute-sanitizer --tool "$tool" --error-exitcode 99
	done
}

for part in "${parts[@]}"; do
	case "$part" in
	checks)
		tests "checks: kernels" kernels.test cuda/kernels .
		tests "checks: stage" cuda.test cuda '^TestDevice'
		;;
	loss)
		tests "loss: stages" cuda.test cuda '^TestLossOnDevice'
		check "loss: processes" bash cuda/bench/processes.sh "$bin/zetagrid" "cuda:$device"
		;;
	sanitizer) sanitize ;;
	*) measure "$part" ;;
	esac
done

# The files: one table from all parts, and their figures under their names.
{
	echo "# The GPU stage, measured"
	echo
	"$bin/zetagrid" version | head -n 1
	command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,power.limit --format=csv -i "$device" || true
	echo
	echo "| part | | seconds |"
	echo "| --- | --- | --- |"
	printf '%s\n' "${lines[@]}"
	for part in "${parts[@]}"; do
		[ -e "$out/parts/$part/table.md" ] || continue
		printf '\n## %s\n\n' "$part"
		cat "$out/parts/$part/table.md"
	done
} >"$out/table.md"
{
	printf '{"parts":{%s},"figures":{' "$(IFS=, && echo "${json[*]}")"
	comma=""
	for part in "${parts[@]}"; do
		[ -s "$out/parts/$part/figures.json" ] || continue
		printf '%s"%s":%s' "$comma" "$part" "$(cat "$out/parts/$part/figures.json")"
		comma=,
	done
	printf '}}\n'
} >"$out/figures.json"
cat "$out/table.md"
exit "$failed"
