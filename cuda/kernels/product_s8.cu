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
	int runs = a.cols / 64, tile = (blockIdx.y * MATRIX + warp % MATRIX) * TILES;
	int first = (blockIdx.x * BESIDE + warp / MATRIX) * 8 * EIGHTS;
	i32 sums[TILES][EIGHTS][4] = {};
	int rows[EIGHTS]; // past the end the last again, as with the weights
	const uint4 *q = (const uint4 *)a.q + (u64)t * a.stride, *from[TILES];
#pragma unroll
	for (int eight = 0; eight < EIGHTS; eight++) rows[eight] = min(first + 8 * eight + g, a.rows - 1);
#pragma unroll
	for (int i = 0; i < TILES; i++) from[i] = (const uint4 *)a.weights + (u64)min(tile + i, a.outputs / 16 - 1) * runs * 64 + lane;
	for (int run = 0; run < runs; run++) {
		uint4 w[TILES][2];
#pragma unroll
		for (int i = 0; i < TILES; i++) {
			w[i][0] = __ldg(from[i]), w[i][1] = __ldg(from[i] + 32);
			from[i] += 64;
		}
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) {
			uint4 v = __ldg(q + rows[eight]);
#pragma unroll
			for (int half = 0; half < 2; half++) {
#pragma unroll
				for (int i = 0; i < TILES; i++) {
					const uint4 &u = w[i][half];
					mma_q_q(sums[i][eight], u.x, u.y, u.z, u.w, half == 0 ? v.x : v.z, half == 0 ? v.y : v.w);
				}
			}
		}
		q += (u64)(u32)a.stride * 4;
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
