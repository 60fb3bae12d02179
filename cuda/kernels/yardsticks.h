// What the yardsticks are handed: kernels that compute nothing anyone needs, as fast as
// a device can. yardsticks.go holds the same, field for field.
#pragma once
#include "args.h"

// ReadBytesArgs: out[i] = the exclusive or of all dwords that block i of threads read.
struct ReadBytesArgs {
	u64 bytes; // const uint4*, [count]
	u64 out;   // u32*, [blocks]
	i64 count; // of 16 bytes
};

// ProductS8Args: y[i, r] = Σ q[i, c]·w[r, c] with int8 weights, as they lie best for the
// matrix units: column 64·s + 16·t + 8·h + 4·k + b of row 16·m + 8·j + g is byte
// 8·k + 4·j + b of the 16 at (((m·cols/64 + s)·2 + h)·32 + 4·g + t)·16.
struct ProductS8Args {
	u64 y;       // i32*, [rows, outputs]
	u64 q;       // const i8*, [⌈cols/16⌉, stride, 16]
	u64 weights; // const i8*, [outputs/16, cols/64, 2, 32, 16]
	i32 rows, outputs; // outputs a multiple of 16
	i32 cols, stride;  // cols a multiple of 64, stride of 8
};
