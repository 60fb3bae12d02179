// What kernels are handed, the same field for field in args.go. Every kernel has
// one parameter, one of the *Args structs, by value. Addresses are u64; every
// struct's size is a multiple of 8 and no field needs padding before it.
#pragma once

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;
typedef int i32;
typedef unsigned short u16;
typedef signed char i8;
typedef unsigned char u8;

// Share is the consecutive rows of one sequence in a batch.
struct Share {
	u64 rings;    // rings of the sequence's state, less the offset of its first layer: + ring_offset is a layer's
	u64 variant;  // const VariantLayer*, [layers of the stage]
	i64 position; // of its first row in the text
	i64 start;    // rows before it are zero
	i32 first, count; // rows of the batch; count 0: no share
	i32 lo, hi;       // blocks its state holds, counted from the stage's first
};

// VariantLayer is what a sequence adds to one frozen layer.
struct VariantLayer {
	u64 gain; // const float*, [d_model]
	u64 in;   // const Term*, [in_count]: of W_in
	u64 out;  // const Term*, [out_count]: of W_out
	i32 in_count, out_count;
	float scale;   // of the residual
	float routing; // r of the layer's block
};

// Term is one low-rank product that a Soul adds: weight · B(A u).
struct Term {
	u64 a, a_scale; // A [rank, cols]: const float* row-major and 0; or codes and scales of an 8-bit matrix
	u64 b, b_scale; // B [outputs, rank], the same
	i32 rank;       // at least 1
	i32 eight_bit;  // 0: float32; 1: 8-bit
	float weight;
	i32 zero;
};

// Batch is which rows a Step computes.
struct Batch {
	u64 shares;    // const Share*, [share_count]
	u64 row_share; // const i32*, [rows]: index of the row's share; -1: no row
	i32 rows;        // of the batch, those that are no row included
	i32 share_count; // those of count 0 included
};

// Place is where in the stage a kernel computes.
struct Place {
	i32 layer; // counted from the stage's first
	i32 block; // the same for Fractal Blocks
};

// Int8Rows is rows of activations as int8 numbers, as kernel.Int8Rows with N = stride:
// q[i, c] at (c/16·stride + i)·16 + c mod 16, zero past the last column. All zero: none.
struct Int8Rows {
	u64 q;     // i8*, [⌈cols/16⌉, stride, 16]
	u64 scale; // float*, [stride]
	u64 sum;   // i32*, [stride]: Σ q[i, c]
};

// Low is A u of every term of every row.
struct Low {
	u64 value; // float*, [rows, terms, rank]
	u64 q;     // i8*, [rows, terms, rank]: value as int8, for 8-bit B
	u64 scale; // float*, [rows, terms]: its scale
	i32 terms; // of a row at most
	i32 rank;  // room for it, a multiple of 16; q is zero from a term's rank to the next multiple of 16
};

// Spread is where a kernel that makes rows a piece at a time leaves them for quantize.
// All zero: nothing is wanted.
struct Spread {
	u64 signs;       // const u8*, [⌈width/8⌉]: of the rotation; 0: no rotated rows are wanted
	u64 rotated;     // float*, [rows, width]: signs and Hadamard applied
	u64 max_rotated; // u32*, [rows]: largest bits without sign; zero before
	u64 max_plain;   // u32*, [rows]: the same of the rows themselves; 0: not wanted
};

// NormArgs of rms_norm: out[i] = RMSNorm(x[i])·gain for active rows; zeros for others, unless out is x.
struct NormArgs {
	Batch batch;
	Place at;
	u64 x, out;          // float*, [rows, width]; out may be x
	u64 rotated;         // float*, [rows, width]: room, if rotated_rows is wanted of more than 16,384 columns
	u64 signs;           // const u8*, [⌈width/8⌉], if rotated_rows is wanted
	Int8Rows rotated_rows; // out, rotated, as int8; or none
	Int8Rows plain_rows;   // out as int8; or none
	i32 width, stride;   // stride of both
	float eps;
	i32 zero;
};

// ConvArgs of conv_gate (release): y = SiLU(conv(a))·σ(g), [a, g] = h + terms of W_in;
// of conv (paper): out = conv(x). A share of at most segment rows is kept in its ring. Where
// a batch has more rows, shares may be cut: conv_terms adds the terms before, conv_ring
// keeps the rows of longer shares afterwards.
struct ConvArgs {
	Batch batch;
	Place at;
	u64 in;      // float*, [rows, in_width]: h of conv_gate, the terms are added there; x of conv
	u64 out;     // float*, [rows, width]; zeros for rows that are not active; 0: only spread is wanted
	u64 weights; // const float*, [kernel_size, width]
	u64 bad;     // i32*, [share_count]: min'ed with layer where a number is not finite
	u64 ring_offset; // bytes
	Low low;         // of the terms that are still to be added; none: none are
	Spread spread;   // of out
	i32 ring_rows, ring_bf16; // rows of the layer's ring; 1: of bf16
	i32 kernel_size, dilation;
	i32 width, in_width; // conv_gate: 2·width
	i32 segment, zero;   // rows that a block of threads passes through: at most 32, or all of at most 32·share_count
};

// GateArgs of gate (paper): y = SiLU(v)·σ(g), [g, v] = h + terms of W_in.
struct GateArgs {
	Batch batch;
	Place at;
	u64 in;  // float* h [rows, 2·width], the terms are added there
	u64 out; // as in ConvArgs
	u64 bad; // as in ConvArgs
	Low low;
	Spread spread; // of out
	i32 width, zero;
};

// QuantizeArgs: int8 rows of what Spread left.
struct QuantizeArgs {
	u64 plain;  // const float*, [rows, width]
	Spread spread;
	Int8Rows rotated_rows; // of spread.rotated, or none; sum is zero before
	Int8Rows plain_rows;   // of plain, or none; sum is zero before
	i32 rows, width;
	i32 stride, zero;
};

// ProductArgs: y[i, r] = Σ x[i, c]·w[r, c] by the rule of the weights.
struct ProductArgs {
	u64 y;      // float*, [rows, outputs]
	u64 x;      // product_f32: const float*, [rows, cols]
	Int8Rows q; // product_q2…: rotated, as int8
	u64 weights; // const float*, [outputs, cols]; or the codes of a 2-bit matrix
	u64 scale;   // 2-bit: const float*, [outputs]
	i32 rows, outputs;
	i32 cols, stride;
};

// ShrinkArgs: low = A u for every term of every active row, and as int8 where B is 8-bit.
struct ShrinkArgs {
	Batch batch;
	Place at;
	u64 x;         // const float*, [rows, cols]: u, for float32 A
	Int8Rows plain; // u as int8, for 8-bit A
	Low low;
	i32 cols, stride;
	i32 of, zero; // 0: terms of W_in; 1: of W_out
};

// ResidualArgs: t = t + Σ weight·(B low); x = x + scale·t, for active rows.
struct ResidualArgs {
	Batch batch;
	Place at;
	u64 x;       // float*, [rows, width]
	u64 t;       // const float*, [rows, width]
	Low low;
	i32 width, zero;
};

// BlockArgs of begin_block: saved = x, for active rows whose r is not 1; of end_block:
// x = saved + r·(x - saved) for these, then x rounded to the boundary and checked, for all
// active rows.
struct BlockArgs {
	Batch batch;
	Place at; // begin_block: the block's first layer; end_block: its last
	u64 x;     // float*, [rows, width]
	u64 saved; // float*, [rows, width]
	u64 bad;   // end_block: as in ConvArgs
	i32 width, bf16;
};
