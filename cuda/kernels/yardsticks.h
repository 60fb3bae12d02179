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
// matrix units: column 128·s + 64·h + 16·t + 4·p + b of row 16·m + 8·k + g is byte
// 4·(k + 2·h) + b of the 16 at (((m·steps + s)·4 + p)·32 + 4·g + t)·16.
struct ProductS8Args {
	u64 y;       // i32*, [rows, outputs]
	u64 q;       // const i8*, [⌈cols/16⌉, stride, 16]
	u64 weights; // const i8*, [outputs/16, cols/128, 4, 32, 16]
	i32 rows, outputs; // outputs a multiple of 16
	i32 cols, stride;  // cols a multiple of 128, stride of 8
};
