// The first product of every Soul's term: low = A u.
#include "args.h"
#include "exact.h"
#include "integers.h"

#define AHEAD 8 // loads of weights that each lane has under way
#define WIDE 32 // warps of a block of threads, for many columns
#define NARROW 4 // for few
#define STRETCH (4 * 32 * WIDE) // columns whose products lie in shared memory at once

// last_sum folds the 32 lanes of a sum; lane 0 writes it as number rank of low.
__device__ static inline void last_sum(const ShrinkArgs &a, u64 at, int rank, float sum) {
#pragma unroll
	for (int half = 16; half > 0; half /= 2) sum += __shfl_down_sync(~0u, sum, half);
	if (threadIdx.x % 32 == 0) ((float *)a.low.value)[at * a.low.rank + rank] = sum;
}

// narrow_f32 computes number rank of low by the rule for sums, by one warp.
__device__ static inline void narrow_f32(const ShrinkArgs &a, const Term *term, u64 at, int rank) {
	const float *w = (const float *)term->a + (u64)rank * a.cols, *x = (const float *)a.x + (u64)blockIdx.y * a.cols;
	float sum = 0.0f;
	for (int first = threadIdx.x % 32; first < a.cols; first += 32 * AHEAD) {
		float u[AHEAD], v[AHEAD];
#pragma unroll
		for (int k = 0; k < AHEAD; k++) { // a sum is never -0: adding 0·0 changes nothing
			int c = first + 32 * k;
			u[k] = c < a.cols ? __ldg(w + c) : 0.0f;
			v[k] = c < a.cols ? __ldg(x + c) : 0.0f;
		}
#pragma unroll
		for (int k = 0; k < AHEAD; k++) sum += v[k] * u[k];
	}
	last_sum(a, at, rank, sum);
}

// wide_f32 does it by a whole block of threads. The additions of a lane
// come one after the other, so one warp does them all; the products do not, so all warps
// make them, a stretch ahead.
__device__ static inline void wide_f32(const ShrinkArgs &a, const Term *term, u64 at, int rank) {
	__shared__ float products[2][STRETCH];
	int lane = threadIdx.x;
	const float *w = (const float *)term->a + (u64)rank * a.cols, *x = (const float *)a.x + (u64)blockIdx.y * a.cols;
	float sum = 0.0f;
	for (int first = -STRETCH; first < a.cols; first += STRETCH) { // the first time nothing is there to add
		float u[4], v[4];
#pragma unroll
		for (int k = 0; k < 4; k++) { // a sum is never -0: adding 0·0 changes nothing
			int c = first + STRETCH + k * 32 * WIDE + threadIdx.x;
			u[k] = c < a.cols ? __ldg(w + c) : 0.0f;
			v[k] = c < a.cols ? __ldg(x + c) : 0.0f;
		}
		if (lane < 32 && first >= 0) {
			const float *from = products[first / STRETCH % 2] + lane;
			int rest = min(a.cols - first, STRETCH);
#pragma unroll 16
			for (int c = 0; c < rest; c += 32) sum += from[c];
		}
		float *to = products[(first / STRETCH + 1) % 2];
#pragma unroll
		for (int k = 0; k < 4; k++) to[k * 32 * WIDE + threadIdx.x] = v[k] * u[k];
		__syncthreads();
	}
	if (lane < 32) last_sum(a, at, rank, sum);
}

// block_sums leaves in sums those of 16 rows of an 8-bit A, of row block b, over the
// groups [first, last) of columns.
template <int WARPS> __device__ static inline void block_sums(const ShrinkArgs &a, const Term *term, int b, int first, int last, i32 (&sums)[WARPS][16]) {
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, groups = (a.cols + 15) / 16;
	// A warp's load is two groups of four lines; lane 4·l + j holds rows 4·j … of line l.
	int group = first + warp * 2 + lane / 16;
	const uint4 *codes = (const uint4 *)term->a + ((u64)b * groups + group) * 16 + lane % 16;
	const i32 *q = (const i32 *)a.plain.q + ((u64)group * a.stride + blockIdx.y) * 4 + lane / 4 % 4;
	i32 sum[4] = {};
	for (; group < last; group += AHEAD * WARPS * 2) {
		uint4 w[AHEAD];
		i32 u[AHEAD];
#pragma unroll
		for (int k = 0; k < AHEAD; k++) {
			w[k] = make_uint4(0, 0, 0, 0), u[k] = 0;
			if (group + k * WARPS * 2 < last) w[k] = __ldg(codes + k * WARPS * 32), u[k] = __ldg(q + (u64)(u32)a.stride * (k * WARPS * 8));
		}
#pragma unroll
		for (int k = 0; k < AHEAD; k++) {
#pragma unroll
			for (int r = 0; r < 4; r++) sum[r] = __dp4a((i32)dword(w[k], r), u[k], sum[r]);
		}
		codes += AHEAD * WARPS * 32;
		q += (u64)(u32)a.stride * (AHEAD * WARPS * 8);
	}
#pragma unroll
	for (int r = 0; r < 4; r++) {
#pragma unroll
		for (int lanes = 4; lanes < 32; lanes *= 2) sum[r] += __shfl_xor_sync(~0u, sum[r], lanes);
		if (lane < 4) sums[warp][4 * lane + r] = sum[r];
	}
}

// quantize turns a term's low into int8 numbers, by the rule of row to int8; largest is
// what the threads saw of its bits without sign.
template <int WARPS> __device__ static inline void quantize(const ShrinkArgs &a, int rank, u64 at, u32 largest) {
	__shared__ u32 of_warp[WARPS];
	largest = __reduce_max_sync(~0u, largest);
	if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = largest;
	__syncthreads();
	for (int i = 0; i < WARPS; i++) largest = max(largest, of_warp[i]);
	bool whole = largest < 0x7f800000u;
	float scale = whole ? __uint_as_float(largest) / 127.0f : __uint_as_float(0x7fc00000u);
	if (whole && scale < 0x1p-126f) scale = 0.0f;
	if (threadIdx.x == 0) ((float *)a.low.scale)[at] = scale;
	const float *value = (const float *)a.low.value + at * a.low.rank;
	i8 *q = (i8 *)a.low.q + at * a.low.rank;
	for (int i = threadIdx.x; i < (rank + 15) / 16 * 16; i += 32 * WARPS) {
		i32 n = 0;
		if (i < rank && whole && scale != 0.0f) n = max(-127, min(__float2int_rn(value[i] / scale), 127));
		q[i] = (i8)n;
	}
}

// Several blocks of threads share a term's columns while there are few rows: each adds
// what it has to together, and the last to be done goes on with the sums. Both are zero
// between launches, which are in one stream.
#define PAIRS 64 // of a row and a term, at most
#define PAIR_RANKS 64
__device__ i32 together[PAIRS][PAIR_RANKS];
__device__ u32 done[PAIRS];

// last_of says whether this block is the last of so many that share a term.
__device__ static inline bool last_of(int blocks, u32 *done) {
	__shared__ bool last;
	__threadfence();
	__syncthreads();
	if (threadIdx.x == 0) {
		last = atomicAdd(done, 1) == blocks - 1;
		if (last) atomicExch(done, 0);
	}
	__syncthreads();
	return last;
}

// shrink_q8 computes all of a term's low with an 8-bit A.
template <int WARPS> __device__ static inline void shrink_q8(const ShrinkArgs &a, const Term *term, u64 at) {
	__shared__ i32 sums[WARPS][16];
	int sharing = gridDim.x * gridDim.y <= PAIRS && term->rank <= PAIR_RANKS ? gridDim.z : 1, groups = (a.cols + 15) / 16;
	if (blockIdx.z >= sharing) return;
	int share = (groups + sharing - 1) / sharing, first = min(blockIdx.z * share, groups), last = min(first + share, groups);
	int pair = blockIdx.y * gridDim.x + blockIdx.x; // of term and row
	float x_scale = ((const float *)a.plain.scale)[blockIdx.y];
	float *value = (float *)a.low.value + at * a.low.rank;
	const float *scale = (const float *)term->a_scale;
	u32 largest = 0;
	for (int b = 0; b < (term->rank + 15) / 16; b++) {
		block_sums<WARPS>(a, term, b, first, last, sums);
		__syncthreads();
		int rank = b * 16 + threadIdx.x;
		if (threadIdx.x < 16 && rank < term->rank) {
			i32 sum = 0;
			for (int i = 0; i < WARPS; i++) sum += sums[i][threadIdx.x];
			if (sharing > 1) {
				atomicAdd(&together[pair][rank], sum);
			} else {
				value[rank] = (float)sum * x_scale * scale[rank];
				largest = max(largest, __float_as_uint(value[rank]) & 0x7fffffffu);
			}
		}
		__syncthreads();
	}
	if (sharing > 1) {
		if (!last_of(sharing, done + pair)) return;
		if (threadIdx.x < term->rank) {
			i32 sum = atomicExch(&together[pair][threadIdx.x], 0);
			value[threadIdx.x] = (float)sum * x_scale * scale[threadIdx.x];
			largest = __float_as_uint(value[threadIdx.x]) & 0x7fffffffu;
		}
		__syncthreads();
	}
	quantize<WARPS>(a, term->rank, at, largest);
}

// term_of is the term of a block of threads; null if there is none.
__device__ static inline const Term *term_of(const ShrinkArgs &a) {
	const VariantLayer *v = active(a.batch, a.at, blockIdx.y);
	if (!v || blockIdx.x >= (a.of ? v->out_count : v->in_count)) return nullptr;
	return (const Term *)(a.of ? v->out : v->in) + blockIdx.x;
}

extern "C" __global__ void __launch_bounds__(32 * WIDE, 1) shrink_wide(ShrinkArgs a) {
	const Term *term = term_of(a);
	if (!term) return;
	u64 at = (u64)blockIdx.y * a.low.terms + blockIdx.x;
	if (term->eight_bit) {
		shrink_q8<WIDE>(a, term, at);
	} else {
		for (int rank = blockIdx.z; rank < term->rank; rank += gridDim.z) wide_f32(a, term, at, rank);
	}
}

extern "C" __global__ void __launch_bounds__(32 * NARROW, 1) shrink_narrow(ShrinkArgs a) {
	const Term *term = term_of(a);
	if (!term) return;
	u64 at = (u64)blockIdx.y * a.low.terms + blockIdx.x;
	if (term->eight_bit) {
		shrink_q8<NARROW>(a, term, at);
	} else {
		for (int rank = blockIdx.z * NARROW + threadIdx.x / 32; rank < term->rank; rank += gridDim.z * NARROW) narrow_f32(a, term, at, rank);
	}
}
