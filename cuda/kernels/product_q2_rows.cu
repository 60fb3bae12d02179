// Products of 2-bit weights with one or two rows: as fast as the codes can be read.
#include "args.h"
#include "integers.h"

// A block of threads computes the 16 matrix rows of a row block, its WARPS warps each
// a part of the columns. A warp's load is 8 lines: lane 4·l + j holds rows 4·j … of
// line l. Codes are masked where they lie: plane p, columns 4·p … of the line, has sums
// of its own, which are 4^p times too large until the end (less than 2^31 still, at
// 131,072 columns).
#define WARPS 8
#define LOADS 4 // of 16 bytes that each lane has under way

// add_line adds what four matrix rows of a line give with one row's 16 numbers.
__device__ static inline void add_line(i32 (&sums)[4][4], const uint4 &codes, const uint4 &q) {
#pragma unroll
	for (int p = 0; p < 4; p++) {
#pragma unroll
		for (int r = 0; r < 4; r++) sums[r][p] = dot_codes_q(dword(codes, r) & 0x03030303u << 2 * p, dword(q, p), sums[r][p]);
	}
}

template <int ROWS> __device__ static inline void product(const ProductArgs &a) {
	__shared__ i32 parts[ROWS][WARPS][16];
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, groups = (a.cols + 15) / 16;
	int line = warp * 8 + lane / 4;
	const uint4 *codes = (const uint4 *)a.weights + ((u64)blockIdx.x * groups + line) * 4 + lane % 4;
	const uint4 *q = (const uint4 *)a.q.q + (u64)line * a.stride;
	i32 sums[ROWS][4][4] = {};
	for (; line < groups; line += LOADS * WARPS * 8) {
		uint4 w[LOADS];
#pragma unroll
		for (int u = 0; u < LOADS; u++) {
			w[u] = make_uint4(0, 0, 0, 0);
			if (line + u * WARPS * 8 < groups) w[u] = __ldcs(codes + u * WARPS * 8 * 4);
		}
#pragma unroll
		for (int u = 0; u < LOADS; u++) {
			if (line + u * WARPS * 8 >= groups) break;
#pragma unroll
			for (int i = 0; i < ROWS; i++) add_line(sums[i], w[u], __ldg(q + (u64)u * WARPS * 8 * a.stride + i));
		}
		codes += LOADS * WARPS * 8 * 4;
		q += (u64)LOADS * WARPS * 8 * a.stride;
	}
#pragma unroll
	for (int i = 0; i < ROWS; i++) {
#pragma unroll
		for (int r = 0; r < 4; r++) {
			i32 *s = sums[i][r], sum = s[0] + (s[1] >> 2) + (s[2] >> 4) + (s[3] >> 6);
#pragma unroll
			for (int lanes = 4; lanes < 32; lanes *= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
			if (lane < 4) parts[i][warp][4 * lane + r] = sum;
		}
	}
	__syncthreads();
	int i = threadIdx.x / 16, r = blockIdx.x * 16 + threadIdx.x % 16;
	if (i >= ROWS || r >= a.outputs) return;
	i32 sum = 0;
	for (int p = 0; p < WARPS; p++) sum += parts[i][p][threadIdx.x % 16];
	sum = 2 * sum - 3 * ((const i32 *)a.q.sum)[i]; // codes 0 to 3 stand for -3, -1, 1, 3
	((float *)a.y)[(u64)i * a.outputs + r] = (float)sum * ((const float *)a.q.scale)[i] * ((const float *)a.scale)[r];
}

extern "C" __global__ void __launch_bounds__(32 * WARPS) product_q2_rows1(ProductArgs a) { product<1>(a); }
extern "C" __global__ void __launch_bounds__(32 * WARPS) product_q2_rows2(ProductArgs a) { product<2>(a); }
