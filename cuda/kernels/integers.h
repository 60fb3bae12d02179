// Products of small integers, four or more at a time.
#pragma once
#include "args.h"

// dot_codes_q is c + Σ a·b of four bytes each, those of a without a sign.
__device__ static inline i32 dot_codes_q(u32 a, u32 b, i32 c) {
	i32 d;
	asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

// mma_codes_q is c += A·B on the tensor cores, A [16, 32] bytes without a sign and B
// [32, 8] with one. Lane 4·g + t holds of A rows g (a0, a2) and g + 8 (a1, a3), of B
// column g, both at k = 4·t … 4·t + 3 (a0, a1, b0) and 16 more (a2, a3, b1); of C rows
// g (c[0], c[1]) and g + 8 (c[2], c[3]) at columns 2·t and 2·t + 1.
__device__ static inline void mma_codes_q(i32 (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
	asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
		: "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
		: "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// mma_q_q is the same with signs in A.
__device__ static inline void mma_q_q(i32 (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
	asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
		: "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
		: "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// dword is number p of four.
__device__ static inline u32 dword(const uint4 &v, int p) { return p == 0 ? v.x : p == 1 ? v.y : p == 2 ? v.z : v.w; }
