#!/usr/bin/env bash
# Fails if the committed assembly is not what the generator writes.
set -euo pipefail
cd "$(dirname "$0")"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

for level in avx512 avx2; do
	go run . -level "$level" -out "$fresh/${level}_amd64.s" -stubs "$fresh/${level}_amd64.go" -pkg vector
	for file in "${level}_amd64.s" "${level}_amd64.go"; do
		# The first line holds the command, and with it the folder written to.
		if ! diff <(tail -n +2 "../$file") <(tail -n +2 "$fresh/$file"); then
			echo "$file is not what the generator writes: go generate ./tcn/train/vector" >&2
			exit 1
		fi
	done
done
