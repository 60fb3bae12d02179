package kernels

import "github.com/zetagrid/zetagrid/cuda/device"

// What kernels are handed, the same field for field as in args.h, which says what
// each is. Addresses are [device.Pointer]; padding is spelled out, so that the
// structs are in memory here what they are there.

// Share is the consecutive rows of one sequence in a batch. 48 bytes.
type Share struct {
	Rings, Variant  device.Pointer
	Position, Start int64
	First, Count    int32
	Lo, Hi          int32
}

// VariantLayer is what a sequence adds to one frozen layer. 40 bytes.
type VariantLayer struct {
	Gain, In, Out     device.Pointer
	InCount, OutCount int32
	Scale, Routing    float32
}

// Term is one low-rank product that a Soul adds. 48 bytes.
type Term struct {
	A, AScale, B, BScale device.Pointer
	Rank, EightBit       int32
	Weight               float32
	_                    int32
}

// Batch is which rows a Step computes.
type Batch struct {
	Shares, RowShare device.Pointer
	Rows, ShareCount int32
}

// Place is where in the stage a kernel computes.
type Place struct{ Layer, Block int32 }

// Int8Rows is rows of activations as int8 numbers.
type Int8Rows struct{ Q, Scale, Sum device.Pointer }

// Low is A u of every term of every row.
type Low struct {
	Value, Q, Scale device.Pointer
	Terms, Rank     int32
}

// Spread is where rows made a piece at a time are left for Quantize.
type Spread struct{ Signs, Rotated, MaxRotated, MaxPlain device.Pointer }

// NormArgs is what kernel rms_norm is handed.
type NormArgs struct {
	Batch                  Batch
	At                     Place
	X, Out                 device.Pointer
	Rotated, Signs         device.Pointer
	RotatedRows, PlainRows Int8Rows
	Width, Stride          int32
	Eps                    float32
	_                      int32
}

// ConvArgs is what kernels conv_gate, conv, conv_terms and conv_ring are handed.
type ConvArgs struct {
	Batch                Batch
	At                   Place
	In, Out              device.Pointer
	Weights, Bad         device.Pointer
	RingOffset           uint64
	Low                  Low
	Spread               Spread
	RingRows, RingBF16   int32
	KernelSize, Dilation int32
	Width, InWidth       int32
	Segment              int32 // 0: what suits the batch
	_                    int32
}

// GateArgs is what kernel gate is handed.
type GateArgs struct {
	Batch        Batch
	At           Place
	In, Out, Bad device.Pointer
	Low          Low
	Spread       Spread
	Width        int32
	_            int32
}

// QuantizeArgs is what kernel quantize is handed.
type QuantizeArgs struct {
	Plain                  device.Pointer
	Spread                 Spread
	RotatedRows, PlainRows Int8Rows
	Rows, Width            int32
	Stride                 int32
	_                      int32
}

// ProductArgs is what the product kernels are handed.
type ProductArgs struct {
	Y, X           device.Pointer
	Q              Int8Rows
	Weights, Scale device.Pointer
	Rows, Outputs  int32
	Cols, Stride   int32
}

// ShrinkArgs is what kernel shrink is handed.
type ShrinkArgs struct {
	Batch        Batch
	At           Place
	X            device.Pointer
	Plain        Int8Rows
	Low          Low
	Cols, Stride int32
	Of           int32 // 0: terms of W_in; 1: of W_out
	_            int32
}

// ResidualArgs is what kernel residual is handed.
type ResidualArgs struct {
	Batch Batch
	At    Place
	X, T  device.Pointer
	Low   Low
	Width int32
	_     int32
}

// BlockArgs is what kernels begin_block and end_block are handed.
type BlockArgs struct {
	Batch         Batch
	At            Place
	X, Saved, Bad device.Pointer
	Width, BF16   int32
}
