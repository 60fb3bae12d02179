// Device functions of the exact arithmetic, and what all kernels share.
#pragma once
#include "args.h"

#define CHUNK 1024

// finite: neither an infinity nor not a number.
__device__ static inline bool finite(float v) { return (__float_as_uint(v) & 0x7f800000u) != 0x7f800000u; }

// round_bf16 is the bfloat16 nearest to v, ties to even, as a float.
__device__ static inline float round_bf16(float v) {
	u32 bits = __float_as_uint(v);
	if ((bits & 0x7f800000u) == 0x7f800000u) return v;
	bits += 0x7fffu + ((bits >> 16) & 1u);
	return __uint_as_float(bits & 0xffff0000u);
}

// active is what row's sequence adds to the layer; null if the row is no row, or its
// state does not hold the block, or the block is skipped.
__device__ static inline const VariantLayer *active(const Batch &batch, const Place &at, int row) {
	i32 index = ((const i32 *)batch.row_share)[row];
	if (index < 0) return nullptr;
	const Share *share = (const Share *)batch.shares + index;
	if (at.block < share->lo || at.block >= share->hi) return nullptr;
	const VariantLayer *v = (const VariantLayer *)share->variant + at.layer;
	return v->routing == 0.0f ? nullptr : v;
}

// mark_bad notes that a row's sequence has a number that is not finite.
__device__ static inline void mark_bad(u64 bad, const Batch &batch, const Place &at, int row) {
	atomicMin((i32 *)bad + ((const i32 *)batch.row_share)[row], at.layer);
}
