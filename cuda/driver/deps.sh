#!/usr/bin/env bash
# What a build with the tag cuda needs, on any machine with Python 3, pip and a C
# compiler, with or without a GPU, without being root:
#
#   bash cuda/driver/deps.sh      or: make cuda-deps
#   . .cuda/env                   then go build -tags cuda ./cmd/zetagrid
#
# Leaves in .cuda: venv (NVRTC, the headers, an assembler and a disassembler), include, lib with the
# stub libcuda.a, and env. Run again, it only does what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Fixed versions: the PTX in the repository is made by this NVRTC, and CUDA 13's
# headers change functions that package cu calls.
readonly wheels=(
	nvidia-cuda-runtime-cu12==12.9.79 # cuda.h
	nvidia-cuda-nvrtc-cu12==12.9.86   # the compiler
	nvidia-cuda-cccl-cu12==12.9.27    # headers of the C++ library
	nvidia-cuda-nvcc-cu12==12.9.86    # the assembler, of it all
	nvidia-cuda-nvdisasm==13.5.37     # the disassembler
)
readonly to="$PWD/.cuda"

die() {
	echo "cuda-deps: $1" >&2
	exit 1
}

compiler="$(command -v "${CC:-cc}" || command -v gcc)" || die "no C compiler: install gcc (apt-get install gcc libc6-dev)"
command -v python3 >/dev/null || die "no python3: install it (apt-get install python3 python3-venv)"
if ! "$to/venv/bin/python" -c 'import pip' 2>/dev/null; then
	rm -rf "$to/venv"
	python3 -m venv "$to/venv" || die "Python cannot make a virtual environment: install its venv module (apt-get install python3-venv)"
fi
"$to/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${wheels[@]}" ||
	die "pip could not install ${wheels[*]}: is there a network, and are there wheels for this system?"

packages="$("$to/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
[ -e "$packages/nvidia/cuda_runtime/include/cuda.h" ] || die "no cuda.h in $packages/nvidia/cuda_runtime"
ln -sfn "$packages/nvidia/cuda_runtime/include" "$to/include"
mkdir -p "$to/lib" "$to/bin"
for tool in nvdisasm ptxas; do
	found="$(find "$packages/nvidia" -name "$tool" -type f | head -n 1)"
	[ -n "$found" ] || die "no $tool in $packages/nvidia"
	chmod u+x "$found"
	ln -sfn "$found" "$to/bin/$tool"
done

"$compiler" -O2 -fPIC -Wall -Wextra -Werror -c -o "$to/lib/libcuda.o" cuda/driver/libcuda/libcuda.c
rm -f "$to/lib/libcuda.a"
ar rcs "$to/lib/libcuda.a" "$to/lib/libcuda.o"
rm "$to/lib/libcuda.o"

cat >"$to/env" <<END
export CGO_ENABLED=1
export CGO_CFLAGS="-O2 -g '-I$to/include'"
export CGO_LDFLAGS="-O2 -g '-L$to/lib'"
END
echo "cuda-deps: ready; . .cuda/env, or make cuda"
