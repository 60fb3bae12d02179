#!/usr/bin/env bash
# Fails if an instruction that neon_arm64.s spells as a WORD is not what its
# comment says, by the disassembler of binutils-aarch64-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")"
disassembler=aarch64-linux-gnu-objdump
command -v $disassembler >/dev/null || disassembler=objdump # on an arm64 machine
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "4e22d420 fadd v0.4s, v1.4s, v2.4s", each once
sed -nE 's/^\tWORD\t\$0x([0-9a-f]{8}) \/\/ (.*)$/\1 \2/p' ../neon_arm64.s | sort -u >"$scratch/claimed"
if [ "$(grep -c WORD ../neon_arm64.s)" != "$(grep -cE '^	WORD	\$0x[0-9a-f]{8} // [a-z]' ../neon_arm64.s)" ]; then
	echo "a WORD of neon_arm64.s does not say what it is" >&2
	exit 1
fi

# The bytes of each word, the lowest first.
sed -E 's/^(..)(..)(..)(..) .*/\\x\4\\x\3\\x\2\\x\1/' "$scratch/claimed" | tr -d '\n' >"$scratch/escaped"
printf '%b' "$(<"$scratch/escaped")" >"$scratch/words"
$disassembler -D -b binary -m aarch64 "$scratch/words" |
	sed -nE 's/^ *[0-9a-f]+:\t([0-9a-f]{8}) \t([^\t]*)\t?(.*)$/\1 \2 \3/p' >"$scratch/found"
if ! diff "$scratch/claimed" "$scratch/found"; then
	echo "neon_arm64.s: the words are not what their comments say (<)" >&2
	exit 1
fi
echo "$(wc -l <"$scratch/claimed") different words are what they say"
