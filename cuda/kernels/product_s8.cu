// The yardstick of products with many rows: int8 weights laid out for the matrix units,
// the tiles and the loop of product_q2_tiles128 without codes to take apart.
#include "integers.h"
#include "yardsticks.h"

#define TILES 4   // of 16 matrix rows that a warp computes
#define EIGHTS 8  // of rows
#define MATRIX 4  // warps over the matrix rows
#define BESIDE 2  // warps over the rows

extern "C" __global__ void __launch_bounds__(32 * MATRIX * BESIDE) product_s8_tiles(ProductS8Args a) {
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
	int steps = a.cols / 128, tile = (blockIdx.y * MATRIX + warp % MATRIX) * TILES;
	int first = (blockIdx.x * BESIDE + warp / MATRIX) * 8 * EIGHTS;
	i32 sums[TILES][EIGHTS][4] = {};
	for (int step = 0; step < steps; step++) {
		uint4 w[4][TILES];
#pragma unroll
		for (int i = 0; i < TILES; i++) {
#pragma unroll
			for (int p = 0; p < 4; p++) {
				w[p][i] = make_uint4(0, 0, 0, 0);
				if ((tile + i) * 16 < a.outputs) w[p][i] = __ldg((const uint4 *)a.weights + (((u64)(tile + i) * steps + step) * 4 + p) * 32 + lane);
			}
		}
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) {
			int row = first + 8 * eight + g;
			uint4 q[2] = {};
#pragma unroll
			for (int run = 0; run < 2; run++) {
				if (row < a.rows) q[run] = __ldg((const uint4 *)a.q + (u64)(step * 8 + run * 4 + t) * a.stride + row);
			}
#pragma unroll
			for (int p = 0; p < 4; p++) {
#pragma unroll
				for (int i = 0; i < TILES; i++) mma_q_q(sums[i][eight], w[p][i].x, w[p][i].y, w[p][i].z, w[p][i].w, dword(q[0], p), dword(q[1], p));
			}
		}
	}
#pragma unroll
	for (int i = 0; i < TILES; i++) {
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) {
#pragma unroll
			for (int e = 0; e < 4; e++) {
				int r = (tile + i) * 16 + g + e / 2 * 8, row = first + 8 * eight + 2 * t + e % 2;
				if (r < a.outputs && row < a.rows) ((i32 *)a.y)[(u64)row * a.outputs + r] = sums[i][eight][e];
			}
		}
	}
}
