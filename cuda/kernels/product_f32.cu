// Products of float32 weights. A warp computes one or more matrix rows, lane j the
// elements j, j + 32, … of each: the rule for sums with its 32 lanes as they are.
#include "args.h"

// MATRIX matrix rows of a warp, by ROWS rows; AHEAD times 32 columns are asked for at once.
template <int MATRIX, int ROWS, int AHEAD> __device__ static inline void product(const ProductArgs &a, int matrix_block, int row_block) {
	int lane = threadIdx.x % 32;
	int r0 = (matrix_block * (blockDim.x / 32) + threadIdx.x / 32) * MATRIX, i0 = row_block * ROWS;
	if (r0 >= a.outputs) return;
	// What is past the end is computed from the last row again, and not written.
	const float *w[MATRIX], *x[ROWS];
#pragma unroll
	for (int r = 0; r < MATRIX; r++) w[r] = (const float *)a.weights + (u64)min(r0 + r, a.outputs - 1) * a.cols;
#pragma unroll
	for (int i = 0; i < ROWS; i++) x[i] = (const float *)a.x + (u64)min(i0 + i, a.rows - 1) * a.cols;
	float sum[MATRIX][ROWS] = {};
	for (int first = lane; first < a.cols; first += 32 * AHEAD) {
		float u[AHEAD][MATRIX], v[AHEAD][ROWS];
#pragma unroll
		for (int k = 0; k < AHEAD; k++) { // a sum is never -0: adding 0·0 changes nothing
			int c = first + 32 * k;
#pragma unroll
			for (int r = 0; r < MATRIX; r++) u[k][r] = c < a.cols ? __ldg(w[r] + c) : 0.0f;
#pragma unroll
			for (int i = 0; i < ROWS; i++) v[k][i] = c < a.cols ? __ldg(x[i] + c) : 0.0f;
		}
#pragma unroll
		for (int k = 0; k < AHEAD; k++) {
#pragma unroll
			for (int r = 0; r < MATRIX; r++) {
#pragma unroll
				for (int i = 0; i < ROWS; i++) sum[r][i] += v[k][i] * u[k][r];
			}
		}
	}
#pragma unroll
	for (int r = 0; r < MATRIX; r++) {
#pragma unroll
		for (int i = 0; i < ROWS; i++) {
#pragma unroll
			for (int half = 16; half > 0; half /= 2) sum[r][i] += __shfl_down_sync(~0u, sum[r][i], half);
			if (lane == 0 && r0 + r < a.outputs && i0 + i < a.rows) ((float *)a.y)[(u64)(i0 + i) * a.outputs + r0 + r] = sum[r][i];
		}
	}
}

extern "C" __global__ void __launch_bounds__(256) product_f32_rows1(ProductArgs a) { product<1, 1, 8>(a, blockIdx.x, blockIdx.y); }
extern "C" __global__ void __launch_bounds__(256) product_f32_rows4(ProductArgs a) { product<2, 4, 4>(a, blockIdx.x, blockIdx.y); }
// The blocks of the same matrix rows come one after the other.
extern "C" __global__ void __launch_bounds__(256) product_f32_rows8(ProductArgs a) { product<4, 8, 2>(a, blockIdx.y, blockIdx.x); }
