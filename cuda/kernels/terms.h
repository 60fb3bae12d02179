// What Souls add to an element of a product: B (A u), where A u is in Low.
#pragma once
#include "args.h"

// dot_rank is Σ a[i]·b[i] by the rule for sums, by one thread: 16 of the 32 lanes at
// a time, those that fold into four. A lane is never -0, so that what is missing at
// the end may be added as 0. aligned: rank is a multiple of 4 and b of 16 bytes.
__device__ static inline float dot_rank(const float *a, const float *b, int rank, bool aligned) {
	float four[2][4];
#pragma unroll
	for (int half = 0; half < 2; half++) {
		float lane[4][4] = {}; // lane 4·half + 8·k + j
		for (int first = 4 * half; first < rank; first += 32) {
#pragma unroll
			for (int k = 0; k < 4; k++) {
				int i = first + 8 * k;
				if (i >= rank) break;
				float4 u = {}, w = {};
				if (aligned) {
					u = *(const float4 *)(a + i), w = __ldg((const float4 *)(b + i));
				} else {
					u.x = a[i], w.x = __ldg(b + i);
					if (i + 1 < rank) u.y = a[i + 1], w.y = __ldg(b + i + 1);
					if (i + 2 < rank) u.z = a[i + 2], w.z = __ldg(b + i + 2);
					if (i + 3 < rank) u.w = a[i + 3], w.w = __ldg(b + i + 3);
				}
				lane[k][0] += u.x * w.x;
				lane[k][1] += u.y * w.y;
				lane[k][2] += u.z * w.z;
				lane[k][3] += u.w * w.w;
			}
		}
#pragma unroll
		for (int j = 0; j < 4; j++) four[half][j] = (lane[0][j] + lane[2][j]) + (lane[1][j] + lane[3][j]);
	}
	float l0 = four[0][0] + four[1][0], l1 = four[0][1] + four[1][1];
	float l2 = four[0][2] + four[1][2], l3 = four[0][3] + four[1][3];
	return (l0 + l2) + (l1 + l3);
}

// dot_codes is Σ q[i]·w[output, i] of an 8-bit matrix [outputs, rank], by one thread.
// Neighbouring outputs read neighbouring dwords.
__device__ static inline i32 dot_codes(const u8 *codes, const i8 *q, int rank, int output) {
	int groups = (rank + 15) / 16;
	const i32 *line = (const i32 *)codes + (u64)(output / 16) * groups * 64 + output % 16;
	i32 sum = 0;
	for (int g = 0; g < groups; g++, line += 64) {
		int4 four = *(const int4 *)(q + 16 * g);
		sum = __dp4a(__ldg(line), four.x, sum);
		sum = __dp4a(__ldg(line + 16), four.y, sum);
		sum = __dp4a(__ldg(line + 32), four.z, sum);
		sum = __dp4a(__ldg(line + 48), four.w, sum);
	}
	return sum;
}

// add_terms adds weight·(B low)[output] of each of a row's terms to value, in their
// order: term i's low is Low's [row, i]. The thread must not be the one to write low.
__device__ static inline float add_terms(const Low &low, u64 terms, int count, int row, int output, float value) {
	for (int i = 0; i < count; i++) {
		const Term *t = (const Term *)terms + i;
		u64 at = (u64)row * low.terms + i;
		float b;
		if (t->eight_bit) {
			i32 sum = dot_codes((const u8 *)t->b, (const i8 *)low.q + at * low.rank, t->rank, output);
			b = (float)sum * ((const float *)low.scale)[at] * ((const float *)t->b_scale)[output];
		} else {
			const float *w = (const float *)t->b + (u64)output * t->rank;
			b = dot_rank((const float *)low.value + at * low.rank, w, t->rank, (t->b % 16 | t->rank % 4) == 0);
		}
		value = t->weight * b + value;
	}
	return value;
}
