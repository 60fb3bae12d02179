#!/usr/bin/env bash
# Fails if the committed assembly is not what the generator writes.
set -euo pipefail
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

# check NAME FLAGS…: the files called NAME.
check() {
	local name=$1
	shift
	go run . "$@" -out "$fresh/${name}_amd64.s" -stubs "$fresh/${name}_amd64.go" -pkg kernel
	for file in "${name}_amd64.s" "${name}_amd64.go"; do
		# The first line holds the command, and with it the folder written to.
		if ! diff <(tail -n +2 "../$file") <(tail -n +2 "$fresh/$file"); then
			echo "$file is not what the generator writes: go generate ./tcn/kernel" >&2
			exit 1
		fi
	done
}

check avx512 -level avx512
check avx2 -level avx2
check quantavx512 -level avx512 -quant
check quantavx2 -level avx2 -quant
check quantvnni -level vnni -quant

go run ./neon -out "$fresh/neon_arm64.s" -stubs "$fresh/neon_arm64.go"
for file in neon_arm64.s neon_arm64.go; do
	if ! diff "../$file" "$fresh/$file"; then
		echo "$file is not what the generator writes: go generate ./tcn/kernel" >&2
		exit 1
	fi
done
