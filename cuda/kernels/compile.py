#!/usr/bin/env python3
"""Compile every .cu file beside this one with NVRTC.

  compile.py           write ptx/NAME.ptx
  compile.py --check   compare with ptx/NAME.ptx; exit 1 where they differ

NVRTC is looked for in Python's packages (nvidia-cuda-nvrtc-cu12) and in the
library path. The exact rules of the arithmetic are options here: no fused
multiply-adds, denormals kept, division and roots correctly rounded.
"""
import argparse
import ctypes
import ctypes.util
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXACT = ["--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"]
# The PTX names the oldest version of the language that knows all it uses, so that
# older drivers take it.
LANGUAGE = ".version 7.1"


def nvrtc():
    for folder in sys.path:
        for name in glob.glob(os.path.join(folder, "nvidia/cuda_nvrtc/lib/libnvrtc.so.*")):
            return ctypes.CDLL(name)
    name = ctypes.util.find_library("nvrtc")
    if name is None:
        sys.exit("compile.py: no NVRTC: install nvidia-cuda-nvrtc-cu12, or see make cuda-deps")
    return ctypes.CDLL(name)


def compiled(library, name):
    """The PTX of one file, or exit with the compiler's log."""
    with open(os.path.join(HERE, name), "rb") as f:
        source = f.read()
    options = [o.encode() for o in EXACT + ["--std=c++17", "--gpu-architecture=compute_80", "--include-path=" + HERE]]
    program = ctypes.c_void_p()
    must(library.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None))
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = result(library, program, library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog).rstrip(b"\0\n").decode()
    if status != 0 or log:
        sys.exit("compile.py: %s:\n%s" % (name, log))  # a warning is an error
    return result(library, program, library.nvrtcGetPTXSize, library.nvrtcGetPTX)


def result(library, program, size, get):
    n = ctypes.c_size_t()
    must(size(program, ctypes.byref(n)))
    text = ctypes.create_string_buffer(n.value)
    must(get(program, text))
    return text.raw


def must(status):
    if status != 0:
        sys.exit("compile.py: NVRTC failed with %d" % status)


def ptx(library, name):
    text = compiled(library, name).rstrip(b"\0").decode()
    text = re.sub(r"^//.*\n", "", text, flags=re.M)  # the compiler's name and build
    text = re.sub(r'^\t\.pragma "used_bytes_mask.*\n', "", text, flags=re.M)  # a hint of a later version
    text = re.sub(r"^\.version .*$", LANGUAGE, text, count=1, flags=re.M)
    return "// Code generated from %s by compile.py. DO NOT EDIT.\n%s\n" % (name, text.strip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    library, differ = nvrtc(), []
    for name in sorted(os.path.basename(p) for p in glob.glob(os.path.join(HERE, "*.cu"))):
        stem = name[:-3]
        path, text = os.path.join(HERE, "ptx", stem + ".ptx"), ptx(library, name)
        if options.check:
            with open(path) as f:
                if f.read() != text:
                    differ.append(stem)
            continue
        with open(path, "w") as f:
            f.write(text)
    if differ:
        sys.exit("compile.py: not what is committed: %s; run compile.py and commit ptx/" % ", ".join(differ))


main()
