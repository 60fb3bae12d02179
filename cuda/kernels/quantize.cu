// Int8 rows of what Spread left.
#include "args.h"
#include "exact.h"

#define WARPS 8
#define EACH 4 // columns of a thread

// quantize_chunk makes a block's CHUNK columns of row x int8, and adds up their sum.
__device__ static inline void quantize_chunk(const QuantizeArgs &a, const Int8Rows &to, u64 from, u64 maxima, i32 *room) {
	int row = blockIdx.y, c = blockIdx.x * CHUNK + EACH * threadIdx.x;
	const float *x = (const float *)from + (u64)row * a.width;
	float v[EACH] = {}; // of rows whose scale is 0, anything
	if (a.width % EACH == 0 && from % 16 == 0) {
		if (c < a.width) *(float4 *)v = *(const float4 *)(x + c);
	} else {
#pragma unroll
		for (int j = 0; j < EACH; j++)
			if (c + j < a.width) v[j] = x[c + j];
	}
	float scale = row_scale(((const u32 *)maxima)[row]);
	u32 n[EACH] = {};
	if (converts(scale)) to_int8(n, v, scale, 1.0f / scale);
	u32 packed = low_bytes(n);
	i32 sum = bytes_sum(packed, 0);
	if (c < (a.width + 15) / 16 * 16) ((u32 *)to.q)[((u64)(c / 16) * a.stride + row) * 4 + c % 16 / 4] = packed;
	if (blockIdx.x == 0 && threadIdx.x == 0) ((float *)to.scale)[row] = scale;
	if (!converts(scale)) return; // the same for the whole block
	sum = __reduce_add_sync(~0u, sum);
	if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (int w = 1; w < WARPS; w++) sum += room[w];
		atomicAdd((i32 *)to.sum + row, sum);
	}
}

// Blocks of threads for every CHUNK columns of a row, and for every row.
extern "C" __global__ void __launch_bounds__(32 * WARPS) quantize(QuantizeArgs a) {
	__shared__ i32 rotated[WARPS], plain[WARPS];
	if (a.rotated_rows.q) quantize_chunk(a, a.rotated_rows, a.spread.rotated, a.spread.max_rotated, rotated);
	if (a.plain_rows.q) quantize_chunk(a, a.plain_rows, a.plain, a.spread.max_plain, plain);
}
