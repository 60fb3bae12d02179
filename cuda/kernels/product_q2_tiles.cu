// Products of 2-bit weights with several rows, on the tensor cores.
//
// No code is moved to another lane: the order of the columns within a sum is free as
// long as both sides agree. What a matrix unit takes as k = 4·t … is columns 4·p … of
// group t of a run of 4 groups, and k = 16 + 4·t … the same of the next run. Four of
// its products, one for each plane p, make a step of 8 groups.
//
//	lane 4·g + t   codes   16 bytes: line t of a run; matrix rows 4·j … 4·j + 3, j = g mod 4,
//	                       of the first (g < 4) or second row block of a pair
//	               q       16 bytes: group t of a run, row g of 8
//
// Of the four matrix rows the first two are rows g and g + 8 of one tile, the others
// of a second tile. So a lane's results are four matrix rows that lie together.
#include "args.h"
#include "integers.h"

// A block of threads has MATRIX warps side by side over the matrix rows, of PAIRS
// pairs of row blocks each; by SPLIT over the columns; by BESIDE over the rows, of
// ROWS each. Plane p is masked after a shift by 2·(p - p mod PLANES): what stays of it
// is taken back from PLANES kinds of sums at the end. AHEAD steps of codes are under way.
template <int PAIRS, int ROWS, int PLANES, int MATRIX, int SPLIT, int BESIDE, int AHEAD> struct Tiles {
	enum { THREADS = 32 * MATRIX * SPLIT * BESIDE, EIGHTS = ROWS / 8 };

	const ProductArgs &a;
	int g, t, matrix, split;
	int groups, first; // first row
	i32 sums[PLANES][PAIRS][2][EIGHTS][4];
	uint4 ahead[AHEAD][PAIRS][2];

	__device__ inline int block(int pair) const { return ((blockIdx.y * MATRIX + matrix) * PAIRS + pair) * 2 + g / 4; }

	// load asks for the codes of a step; those past the end are zero.
	__device__ inline void load(uint4 (&codes)[PAIRS][2], int step) const {
#pragma unroll
		for (int pair = 0; pair < PAIRS; pair++) {
			bool inside = block(pair) * 16 < a.outputs;
			const uint4 *lines = (const uint4 *)a.weights + (u64)block(pair) * groups * 4 + g % 4;
#pragma unroll
			for (int run = 0; run < 2; run++) {
				int line = step * 8 + run * 4 + t;
				codes[pair][run] = make_uint4(0, 0, 0, 0);
				if (inside && line < groups) codes[pair][run] = __ldg(lines + line * 4);
			}
		}
	}

	// multiply adds a step.
	__device__ inline void multiply(const uint4 (&codes)[PAIRS][2], int step) {
#pragma unroll
		for (int eight = 0; eight < EIGHTS; eight++) {
			uint4 q[2];
			int row = first + 8 * eight + g;
#pragma unroll
			for (int run = 0; run < 2; run++) {
				int line = step * 8 + run * 4 + t;
				q[run] = make_uint4(0, 0, 0, 0);
				if (row < a.rows && line < groups) q[run] = __ldg((const uint4 *)a.q.q + (u64)line * a.stride + row);
			}
#pragma unroll
			for (int p = 0; p < 4; p++) {
				const int kind = p % PLANES, shift = 2 * (p - kind);
				const u32 mask = 0x03030303u << 2 * kind;
#pragma unroll
				for (int pair = 0; pair < PAIRS; pair++) {
#pragma unroll
					for (int tile = 0; tile < 2; tile++) {
						const uint4 &u = codes[pair][0], &v = codes[pair][1];
						mma_codes_q(sums[kind][pair][tile][eight],
							dword(u, 2 * tile) >> shift & mask, dword(u, 2 * tile + 1) >> shift & mask,
							dword(v, 2 * tile) >> shift & mask, dword(v, 2 * tile + 1) >> shift & mask,
							dword(q[0], p), dword(q[1], p));
					}
				}
			}
		}
	}

	// sum is one of a lane's sums, all kinds of it together.
	__device__ inline i32 sum(int pair, int tile, int eight, int e) const {
		i32 s = sums[0][pair][tile][eight][e];
#pragma unroll
		for (int kind = 1; kind < PLANES; kind++) s += sums[kind][pair][tile][eight][e] >> 2 * kind;
		return s;
	}

	// write writes two rows by four matrix rows: part[e + 2·m] is of row e of the two
	// and matrix row m.
	__device__ inline void write(int pair, int eight, const i32 (&part)[8]) const {
		int r = block(pair) * 16 + g % 4 * 4;
		if (r >= a.outputs) return;
		const float *scale = (const float *)a.scale + r;
#pragma unroll
		for (int e = 0; e < 2; e++) {
			int row = first + 8 * eight + 2 * t + e;
			if (row >= a.rows) continue;
			i32 correction = 3 * ((const i32 *)a.q.sum)[row]; // codes 0 to 3 stand for -3, -1, 1, 3
			float s = ((const float *)a.q.scale)[row];
			float *y = (float *)a.y + (u64)row * a.outputs + r;
#pragma unroll
			for (int m = 0; m < 4; m++) {
				if (r + m < a.outputs) y[m] = (float)(2 * part[e + 2 * m] - correction) * s * scale[m];
			}
		}
	}

	// finish adds up what the warps along the columns have, 8 rows at a time, each time
	// by another of them.
	__device__ inline void finish(int warp) {
		__shared__ i32 parts[SPLIT == 1 ? 1 : 2][SPLIT == 1 ? 1 : MATRIX * SPLIT * BESIDE][8][32];
#pragma unroll
		for (int pair = 0; pair < PAIRS; pair++) {
#pragma unroll
			for (int eight = 0; eight < EIGHTS; eight++) {
				const int turn = pair * EIGHTS + eight;
				i32 part[8];
#pragma unroll
				for (int e = 0; e < 8; e++) part[e] = sum(pair, e / 4, eight, e % 4);
				if (SPLIT > 1) {
					auto &room = parts[turn % 2];
#pragma unroll
					for (int e = 0; e < 8; e++) room[warp][e][threadIdx.x % 32] = part[e];
					__syncthreads();
					if (turn % SPLIT != split) continue;
#pragma unroll
					for (int other = 1; other < SPLIT; other++) {
						int from = warp + ((split + other) % SPLIT - split) * MATRIX;
#pragma unroll
						for (int e = 0; e < 8; e++) part[e] += room[from][e][threadIdx.x % 32];
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
		if (BESIDE > 1 && first >= a.rows) return; // SPLIT is 1 then
#pragma unroll
		for (int u = 0; u < AHEAD; u++) load(ahead[u], split + u * SPLIT);
		for (int step = split; step * 8 < groups; step += AHEAD * SPLIT) {
#pragma unroll
			for (int u = 0; u < AHEAD; u++) {
				uint4 codes[PAIRS][2];
#pragma unroll
				for (int pair = 0; pair < PAIRS; pair++) codes[pair][0] = ahead[u][pair][0], codes[pair][1] = ahead[u][pair][1];
				load(ahead[u], step + (u + AHEAD) * SPLIT);
				multiply(codes, step + u * SPLIT);
			}
		}
		finish(warp);
	}
};

#define KERNEL(name, ...)                                                                              \
	extern "C" __global__ void __launch_bounds__((Tiles<__VA_ARGS__>::THREADS)) name(ProductArgs a) { \
		Tiles<__VA_ARGS__> all(a);                                                                    \
	}

KERNEL(product_q2_tiles8, 1, 8, 4, 4, 4, 1, 2)
KERNEL(product_q2_tiles16, 1, 16, 2, 4, 4, 1, 2)
KERNEL(product_q2_tiles32, 1, 32, 1, 4, 4, 1, 2)
KERNEL(product_q2_tiles64, 2, 64, 1, 2, 4, 1, 1)
KERNEL(product_q2_tiles128, 2, 64, 1, 4, 1, 2, 1)
