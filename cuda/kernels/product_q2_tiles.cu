// Products of 2-bit weights with several rows, on the tensor cores.
//
// No code is moved to another lane: the order of the columns within a sum is free as
// long as both sides agree. A run is 4 lines of a row block, 64 columns:
//
//	lane 4·g + t   codes   16 bytes: line t of a run; matrix rows 4·j … 4·j + 3, j = g mod 4,
//	                       of the first (g < 4) or second row block of a pair
//	               q       16 bytes: group t of a run, row g of 8
//
// What a matrix unit takes as k = 4·t … is columns 0 … 3 of group t, what it takes as
// k = 16 + 4·t … columns 4 … 7; a second product takes columns 8 … 15. Of the four
// matrix rows the first two are rows g and g + 8 of one tile, the others of a second
// tile. So a lane's results are four matrix rows that lie together.
#include "args.h"
#include "integers.h"

// A block of threads has MATRIX warps side by side over the matrix rows, of PAIRS
// pairs of row blocks each; by SPLIT over the columns; by BESIDE over the rows, of
// ROWS each. The codes of columns 8 … 15 are shifted down to the others if KINDS is 1;
// if it is 2 they stay where they are and have sums of their own, which are 16 times too
// large until the end. RUNS runs of codes are under way to each lane.
template <int PAIRS, int ROWS, int KINDS, int MATRIX, int SPLIT, int BESIDE, int RUNS> struct Tiles {
	enum { THREADS = 32 * MATRIX * SPLIT * BESIDE, EIGHTS = ROWS / 8, STEP = RUNS * 4 };

	const ProductArgs &a;
	int g, t, matrix, split, groups, first; // first of the rows
	int rows[EIGHTS]; // from this lane's first row to its others; past the end it is the last again
	i32 sums[KINDS][PAIRS][2][EIGHTS][4];

	__device__ inline int block(int pair) const { return ((blockIdx.y * MATRIX + matrix) * PAIRS + pair) * 2 + g / 4; }

	static __device__ inline uint4 load(const uint4 *codes) {
		return BESIDE == 1 ? __ldcs(codes) : __ldg(codes); // others need the codes, too
	}

	// multiply adds a run; q is group t of it, of which there is none unless inside.
	__device__ inline void multiply(const uint4 (&codes)[PAIRS], const uint4 *q, bool inside) {
		u32 planes[PAIRS][4][4]; // a dword's codes of columns 4·p …
#pragma unroll
		for (int pair = 0; pair < PAIRS; pair++) {
#pragma unroll
			for (int r = 0; r < 4; r++) {
				u32 w = dword(codes[pair], r);
				planes[pair][r][0] = w & 0x03030303;
				planes[pair][r][1] = w >> 2 & 0x03030303;
				planes[pair][r][2] = KINDS == 1 ? w >> 4 & 0x03030303 : w & 0x30303030;
				planes[pair][r][3] = KINDS == 1 ? w >> 6 & 0x03030303 : w >> 2 & 0x30303030;
			}
		}
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) {
			uint4 v = inside ? __ldg(q + (eight == 0 ? 0 : rows[eight])) : make_uint4(0, 0, 0, 0);
#pragma unroll
			for (int half = 0; half < 2; half++) {
				u32 b0 = half == 0 ? v.x : v.z, b1 = half == 0 ? v.y : v.w;
#pragma unroll
				for (int pair = 0; pair < PAIRS; pair++) {
#pragma unroll
					for (int tile = 0; tile < 2; tile++) {
						const u32 *up = planes[pair][2 * tile] + 2 * half, *down = planes[pair][2 * tile + 1] + 2 * half;
						mma_codes_q(sums[half % KINDS][pair][tile][eight], up[0], down[0], up[1], down[1], b0, b1);
					}
				}
			}
		}
	}

	// sum adds up this warp's columns: steps of RUNS runs, and what is left of one.
	__device__ inline void sum() {
		int left = groups / STEP - split, line = split * STEP + t; // whole steps, of which every SPLIT'th is this warp's
		const uint4 *q = (const uint4 *)a.q.q + (u64)line * a.stride + min(first + g, a.rows - 1);
		const uint4 *from[PAIRS];
		uint4 ahead[RUNS][PAIRS];
#pragma unroll
		for (int pair = 0; pair < PAIRS; pair++) { // row blocks past the end are the last again
			from[pair] = (const uint4 *)a.weights + ((u64)min(block(pair), (a.outputs - 1) / 16) * groups + line) * 4 + g % 4;
#pragma unroll
			for (int run = 0; run < RUNS; run++) {
				if (left > 0) ahead[run][pair] = load(from[pair] + run * 16);
			}
		}
		while (left > 0) {
			left -= SPLIT;
#pragma unroll
			for (int pair = 0; pair < PAIRS; pair++) from[pair] += SPLIT * STEP * 4;
#pragma unroll
			for (int run = 0; run < RUNS; run++) {
				uint4 codes[PAIRS];
#pragma unroll
				for (int pair = 0; pair < PAIRS; pair++) {
					codes[pair] = ahead[run][pair];
					if (left > 0) ahead[run][pair] = load(from[pair] + run * 16);
				}
				multiply(codes, q, true);
				q += (u64)(u32)a.stride * 4;
			}
			q += (u64)(u32)a.stride * ((SPLIT - 1) * STEP);
		}
		if (left < 0) return;
		for (line = groups / STEP * STEP + t; line - t < groups; line += 4) {
			uint4 codes[PAIRS] = {};
#pragma unroll
			for (int pair = 0; pair < PAIRS; pair++) {
				if (line < groups) codes[pair] = load(from[pair]);
				from[pair] += 16;
			}
			multiply(codes, q, line < groups);
			q += (u64)(u32)a.stride * 4;
		}
	}

	// write writes two rows by four matrix rows: part[e + 2·m] is of row e of the two
	// and matrix row m.
	__device__ inline void write(int pair, int eight, const i32 (&part)[8]) const {
		int r = block(pair) * 16 + g % 4 * 4;
		if (r >= a.outputs) return;
		const float *scale = (const float *)a.scale + r;
#pragma unroll
		for (int e = 0; e < 2; e++) {
			int i = first + 8 * eight + 2 * t + e;
			if (i >= a.rows) continue;
			i32 correction = 3 * ((const i32 *)a.q.sum)[i]; // codes 0 to 3 stand for -3, -1, 1, 3
			float s = ((const float *)a.q.scale)[i];
			float *y = (float *)a.y + (u64)i * a.outputs + r, v[4];
#pragma unroll
			for (int m = 0; m < 4; m++) v[m] = (float)(2 * part[e + 2 * m] - correction) * s * scale[min(m, a.outputs - 1 - r)];
			if (a.outputs % 4 == 0) {
				*(float4 *)y = make_float4(v[0], v[1], v[2], v[3]);
				continue;
			}
#pragma unroll
			for (int m = 0; m < 4; m++) {
				if (r + m < a.outputs) y[m] = v[m];
			}
		}
	}

	// finish adds up what the warps along the columns have, 8 rows at a time, each time
	// by another of them.
	__device__ inline void finish() {
		__shared__ i32 parts[SPLIT == 1 ? 1 : 2][SPLIT == 1 ? 1 : SPLIT][SPLIT == 1 ? 1 : MATRIX][8][32];
#pragma unroll
		for (int pair = 0; pair < PAIRS; pair++) {
#pragma unroll
			for (int eight = 0; eight < EIGHTS; eight++) {
				const int turn = pair * EIGHTS + eight;
				i32 part[8];
#pragma unroll
				for (int e = 0; e < 8; e++) {
					part[e] = sums[0][pair][e / 4][eight][e % 4];
					if (KINDS > 1) part[e] += sums[KINDS - 1][pair][e / 4][eight][e % 4] >> 4;
				}
				if (SPLIT > 1) {
					auto &room = parts[turn % 2];
#pragma unroll
					for (int e = 0; e < 8; e++) room[split][matrix][e][threadIdx.x % 32] = part[e];
					__syncthreads();
					if (turn % SPLIT != split) continue;
					for (int other = 0; other < SPLIT; other++) {
						if (other == split) continue;
#pragma unroll
						for (int e = 0; e < 8; e++) part[e] += room[other][matrix][e][threadIdx.x % 32];
					}
				}
				write(pair, eight, part);
			}
		}
	}

	__device__ inline Tiles(const ProductArgs &a) : a(a), sums{} {
		int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
		g = lane / 4, t = lane % 4;
		matrix = warp % MATRIX, split = warp / MATRIX % SPLIT;
		first = (blockIdx.x * BESIDE + warp / MATRIX / SPLIT) * ROWS;
		groups = (a.cols + 15) / 16;
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) rows[eight] = min(8 * eight, max(a.rows - 1 - first - g, 0));
	}

	__device__ inline void run() {
		if (BESIDE > 1 && first >= a.rows) return; // SPLIT is 1 then: nobody waits
		sum();
		finish();
	}
};

#define KERNEL(name, blocks, ...)                                                                              \
	extern "C" __global__ void __launch_bounds__((Tiles<__VA_ARGS__>::THREADS), blocks) name(ProductArgs a) { \
		Tiles<__VA_ARGS__>(a).run();                                                                          \
	}

KERNEL(product_q2_tiles8, 2, 1, 8, 2, 4, 4, 1, 4)
KERNEL(product_q2_tiles16, 1, 1, 16, 2, 4, 4, 1, 4)
KERNEL(product_q2_tiles32, 1, 1, 32, 1, 4, 4, 1, 4)
KERNEL(product_q2_tiles64, 1, 2, 64, 1, 2, 4, 1, 2)
KERNEL(product_q2_tiles128, 1, 2, 64, 1, 4, 1, 2, 1)

// For matrices of so few rows that these would leave multiprocessors idle.
KERNEL(product_q2_narrow8, 2, 1, 8, 2, 1, 16, 1, 4)
KERNEL(product_q2_narrow16, 1, 1, 16, 2, 2, 8, 1, 4)
KERNEL(product_q2_narrow32, 1, 1, 32, 1, 2, 8, 1, 4)
