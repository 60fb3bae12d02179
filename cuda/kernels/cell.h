// What the kernels of a cell share: they make a row 1,024 columns at a time and leave it
// for quantize.
#pragma once
#include "exact.h"

// SpreadRoom is the shared memory of spread.
struct SpreadRoom {
	float value[CHUNK + CHUNK / 32]; // element e at e + e/32: rows and columns of 32 without conflicts
	u32 plain[32], rotated[32];      // largest of each warp
};

// raise makes *to, if there is one, at least the largest of 32 warps.
__device__ static inline void raise(u64 to, int row, const u32 *largest) {
	if (!to || threadIdx.x >= 32) return;
	u32 all = __reduce_max_sync(~0u, largest[threadIdx.x]);
	if (threadIdx.x == 0) atomicMax((u32 *)to + row, all);
}

// butterflies is the Walsh–Hadamard transform of each block lanes.
__device__ static inline float butterflies(float v, int block) {
	if (block >= 32) { // without a question before each
#pragma unroll
		for (int stride = 1; stride < 32; stride *= 2) v = butterfly(v, stride);
		return v;
	}
	for (int stride = 1; stride < block; stride *= 2) v = butterfly(v, stride);
	return v;
}

// turn_of is the sign that the rotation gives to column c, as the bit of a float.
__device__ static inline u32 turn_of(const Spread &to, int width, int c) {
	return to.signs && c < width ? (u32)(((const u8 *)to.signs)[c / 8] >> (c % 8)) << 31 : 0;
}

// spread leaves column c of a row, one of a block's CHUNK columns each thread: rotated,
// and in the maxima. All threads of the block call it, with the turn of their column and
// where it is in the row's matrix; v is 0 past the last column. It may be called again at
// once.
__device__ static inline void spread(const Spread &to, SpreadRoom *room, int row, int width, int c, u64 at, u32 turn, float v) {
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
	if (to.max_plain) {
		u32 largest = __reduce_max_sync(~0u, magnitude(v));
		if (lane == 0) room->plain[warp] = largest;
	}
	if (!to.signs) {
		if (!to.max_plain) return;
		__syncthreads();
		raise(to.max_plain, row, room->plain);
		__syncthreads(); // before the next call writes plain
		return;
	}
	int block = hadamard_block(width);
	v = butterflies(__uint_as_float(__float_as_uint(v) ^ turn), block);
	room->value[33 * warp + lane] = v;
	__syncthreads();
	raise(to.max_plain, row, room->plain);
	v = room->value[33 * lane + warp]; // element 32·lane + warp: strides 32… are between lanes
	v = butterflies(v, block / 32);
	room->value[33 * lane + warp] = v;
	u32 largest = __reduce_max_sync(~0u, magnitude(v));
	if (lane == 0) room->rotated[warp] = largest;
	__syncthreads();
	raise(to.max_rotated, row, room->rotated);
	if (c < width) ((float *)to.rotated)[at] = room->value[33 * warp + lane];
}
