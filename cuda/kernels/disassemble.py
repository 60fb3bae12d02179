#!/usr/bin/env python3
"""Count the instructions of the products' inner loops in machine code.

  disassemble.py [--arch sm_90] [--listing NAME]

Assembles every file of ptx/ for --arch, as a driver does, prints a table, and exits 1
when a kernel keeps registers in local memory, or when a loop spends more instructions
on the bytes it reads than is stated here. --listing prints the inner loop of one
kernel. ptxas and nvdisasm are looked for in Python's packages (nvidia-cuda-nvcc-cu12,
nvidia-cuda-nvdisasm) and in the path.
"""
import argparse
import collections
import glob
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# Of a kernel: the instruction that does its work, the bytes of weights that a lane
# has done with one of them, and the most instructions of any kind for such a byte.
LIMITS = {
    "product_q2_rows1": ("IDP", 1, 3.0),
    "product_q2_rows2": ("IDP", 1 / 2, 4.2),
    "product_q2_tiles8": ("IMMA", 4, 2.2),
    "product_q2_tiles16": ("IMMA", 4 / 2, 3.0),
    "product_q2_tiles32": ("IMMA", 4 / 4, 4.5),
    "product_q2_tiles64": ("IMMA", 4 / 8, 5.5),
    "product_q2_tiles128": ("IMMA", 4 / 8, 5.5),
    "product_q2_narrow8": ("IMMA", 4, 2.2),
    "product_q2_narrow16": ("IMMA", 4 / 2, 3.0),
    "product_q2_narrow32": ("IMMA", 4 / 4, 4.5),
    "product_s8_tiles": ("IMMA", 2, 1.5),
    "product_f32_rows1": ("FMUL", 4, 2.5),
    "product_f32_rows4": ("FMUL", 4 / 4, 6.0),
    "product_f32_rows8": ("FMUL", 4 / 8, 8.0),
}
COLUMNS = ["LOP3", "SHF", "IDP", "IMMA", "FMUL", "LDG", "LDS"]


def program(tool, package):
    for folder in sys.path:
        for name in glob.glob(os.path.join(folder, "nvidia/*/bin", tool)):
            return name
    return shutil.which(tool) or sys.exit("disassemble.py: no %s: install %s" % (tool, package))


def registers(cubin):
    """Registers of a thread by kernel, which .nv.info tells by symbol."""
    with open(cubin, "rb") as f:
        elf = f.read()
    offset, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]

    def text(strings, at):
        start = strings[4] + at
        return elf[start:elf.index(b"\0", start)].decode()

    by_name = {text(sections[names], s[0]): s for s in sections}
    symbols, info = by_name[".symtab"], by_name[".nv.info"]
    found, at = {}, info[4]
    while at < info[4] + info[5]:
        form, attribute, length = struct.unpack_from("<BBH", elf, at)
        if form == 4 and attribute == 0x2F:
            symbol, number = struct.unpack_from("<II", elf, at + 4)
            name, = struct.unpack_from("<I", elf, symbols[4] + 24 * symbol)
            found[text(sections[symbols[6]], name)] = number
        at += 4 + (length if form == 4 else 0)
    return found


def kernels(tool, cubin):
    """Instructions by kernel, as (opcode, text); a label is ("", name)."""
    text = subprocess.run([tool, "-c", cubin], check=True, capture_output=True, text=True).stdout
    found, now = {}, None
    for line in text.splitlines():
        if m := re.match(r"\.text\.(\w+):", line):
            now = found.setdefault(m[1], [])
        elif m := re.match(r"(\.L_x_\d+):", line):
            now.append(("", m[1]))
        elif m := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            bare = re.sub(r"^@!?U?P[T0-9]\s+", "", m[1])
            now.append((re.split(r"[.\s]", bare, maxsplit=1)[0], m[1].strip()))
    return found


def loops(code):
    """Bodies of all loops: from a label to a jump back to it."""
    at = {text: i for i, (op, text) in enumerate(code) if op == ""}
    for i, (op, text) in enumerate(code):
        if op == "BRA" and (m := re.search(r"\.L_x_\d+", text)) and at.get(m[0], i) < i:
            yield [c for c in code[at[m[0]]:i + 1] if c[0]]


def inner(code, unit):
    """The loop with most of the unit's instructions, the shortest of such."""
    def worth(body):
        return sum(op == unit for op, _ in body), -len(body)
    return max(loops(code), key=worth, default=[])


def report(name, code, regs):
    """Print a kernel's line and return what is wrong with it."""
    unit, share, limit = LIMITS.get(name, ("LDG", 16, 0))
    body = inner(code, unit)
    counts = collections.Counter(op for op, _ in body)
    local = sum(op in ("LDL", "STL") for op, _ in code)
    cost = len(body) / (counts[unit] * share) if counts[unit] else 0.0
    print("%-22s %4d %5d %5d" % (name, regs, local, len(body)), *("%5d" % counts[c] for c in COLUMNS), "%9.2f" % cost, limit or "-")
    wrong = []
    if local:
        wrong.append("%s: %d instructions on local memory" % (name, local))
    if limit and not 0 < cost <= limit:
        wrong.append("%s: %.2f instructions a byte of weights, at most %.2f" % (name, cost, limit))
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--listing", metavar="NAME")
    options = parser.parse_args()
    assembler, tool = program("ptxas", "nvidia-cuda-nvcc-cu12"), program("nvdisasm", "nvidia-cuda-nvdisasm")
    wrong, seen = [], set()
    print("%-22s %4s %5s %5s" % ("inner loop, " + options.arch, "regs", "local", "all"), *("%5s" % c for c in COLUMNS), "all/byte limit")
    with tempfile.TemporaryDirectory() as made:
        cubin = os.path.join(made, "cubin")
        for text in sorted(glob.glob(os.path.join(HERE, "ptx", "*.ptx"))):
            subprocess.run([assembler, "-arch=" + options.arch, "-o", cubin, text], check=True)
            regs = registers(cubin)
            for name, code in sorted(kernels(tool, cubin).items()):
                seen.add(name)
                wrong += report(name, code, regs[name])
                if name == options.listing:
                    print(*("    " + text for _, text in inner(code, LIMITS.get(name, ("LDG",))[0])), sep="\n")
    wrong += ["%s: no such kernel" % name for name in LIMITS.keys() - seen]
    if wrong:
        sys.exit("disassemble.py: " + "\n".join(wrong))


main()
