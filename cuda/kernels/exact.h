// Device functions of the exact arithmetic, and what all kernels share.
#pragma once
#include "args.h"

#define CHUNK 1024

// finite: neither an infinity nor not a number.
__device__ static inline bool finite(float v) { return fabsf(v) < __uint_as_float(0x7f800000u); }

// bf16_bits is the bfloat16 nearest to v, ties to even.
__device__ static inline u16 bf16_bits(float v) {
	u16 bits;
	asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
	return bits;
}

// round_bf16 is the same as a float.
__device__ static inline float round_bf16(float v) { return __uint_as_float((u32)bf16_bits(v) << 16); }

// share_active is what a share's sequence adds to the layer; null if its state does not
// hold the block, or the block is skipped.
__device__ static inline const VariantLayer *share_active(const Share *share, const Place &at) {
	if (at.block < share->lo || at.block >= share->hi) return nullptr;
	const VariantLayer *v = (const VariantLayer *)share->variant + at.layer;
	return v->routing == 0.0f ? nullptr : v;
}

// active is share_active of a row's share; null if the row is no row.
__device__ static inline const VariantLayer *active(const Batch &batch, const Place &at, int row) {
	i32 index = ((const i32 *)batch.row_share)[row];
	return index < 0 ? nullptr : share_active((const Share *)batch.shares + index, at);
}

// mark_bad notes that a row's sequence has a number that is not finite.
__device__ static inline void mark_bad(u64 bad, const Batch &batch, const Place &at, int row) {
	atomicMin((i32 *)bad + ((const i32 *)batch.row_share)[row], at.layer);
}

// power_of_two is 2^n for n in [-126, 127].
__device__ static inline float power_of_two(i32 n) { return __uint_as_float((u32)(n + 127) << 23); }

// exact_exp is e^x as kernel.Exp: range reduction by ln 2 cut in two, a polynomial of
// degree 7, two multiplications by powers of two. The constants are the floats that
// Go makes of log2E, ln2High, ln2Low and 1/n!.
__device__ static inline float exact_exp(float x) {
	const float big = 0x1.8p+23f; // adding it rounds to an integer
	if (x > 89.0f) x = 89.0f;
	if (x < -104.0f) x = -104.0f;
	float shifted = x * 0x1.715476p+0f + big;
	float n = shifted - big;
	float r = x - n * 0x1.63p-1f;
	r -= n * -0x1.bd0106p-13f;
	float p = r * 0x1.a01a02p-13f + 0x1.6c16c2p-10f;
	p = p * r + 0x1.111112p-7f;
	p = p * r + 0x1.555556p-5f;
	p = p * r + 0x1.555556p-3f;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	i32 exponent = (i32)(__float_as_uint(shifted) - __float_as_uint(big));
	i32 half = exponent >> 1;
	return p * power_of_two(half) * power_of_two(exponent - half);
}

// sigmoid is 1/(1 + e^-a).
__device__ static inline float sigmoid(float a) { return 1.0f / (1.0f + exact_exp(-a)); }

// gated is SiLU(a)·σ(g).
__device__ static inline float gated(float a, float g) { return a * sigmoid(a) * sigmoid(g); }

// magnitude is the bits without the sign, which are in the order of the magnitudes.
__device__ static inline u32 magnitude(float v) { return __float_as_uint(v) & 0x7fffffffu; }

// row_scale is the scale of an int8 row whose largest magnitude is largest: 0 if it is
// too small, not a number if the row is not finite. Either way all q are 0.
__device__ static inline float row_scale(u32 largest) {
	if (largest >= 0x7f800000u) return __uint_as_float(0x7fc00000u);
	float scale = __uint_as_float(largest) / 127.0f;
	return scale < 0x1p-126f ? 0.0f : scale;
}

// converts: whether numbers of a row of this scale are more than 0 as int8.
__device__ static inline bool converts(float scale) { return scale > 0.0f; }

// to_int8 is four numbers of a row divided by its scale, which converts, and rounded to
// even: n[j] in the low byte, above UNITS. inverse is 1/scale. A product with it is one
// instruction where a quotient is twenty, and less than 2^-15 off, since no number of the
// row is more than 127·scale: so much counts only near the middle between two integers.
#define UNITS 0x1.8p+23f // adding it rounds to an integer, which is in the low bits then
__device__ static inline void to_int8(u32 (&n)[4], const float *v, float scale, float inverse) {
	bool certain = true;
#pragma unroll
	for (int j = 0; j < 4; j++) {
		float quotient = v[j] * inverse, rounded = quotient + UNITS;
		certain &= fabsf(quotient - (rounded - UNITS)) < 0.4999f;
		n[j] = __float_as_uint(rounded);
	}
	if (certain) return;
#pragma unroll
	for (int j = 0; j < 4; j++) n[j] = __float_as_uint(v[j] / scale + UNITS);
}

// low_bytes is the low bytes of four numbers.
__device__ static inline u32 low_bytes(const u32 (&n)[4]) {
	return __byte_perm(__byte_perm(n[0], n[1], 0x0040), __byte_perm(n[2], n[3], 0x0040), 0x5410);
}

// bytes_sum is sum and the four signed bytes.
__device__ static inline i32 bytes_sum(u32 bytes, i32 sum) { return __dp4a((i32)bytes, 0x01010101, sum); }

// hadamard_block is how many numbers of a row of width are mixed: the largest power of
// two that divides width, at most 1,024.
__device__ static inline int hadamard_block(int width) { return min(width & -width, CHUNK); }

// butterfly is a+b in the lane without the bit stride, a-b in its partner with it.
__device__ static inline float butterfly(float v, int stride) {
	float other = __shfl_xor_sync(~0u, v, stride);
	return threadIdx.x & stride ? other - v : v + other;
}
