// RMSNorm, and int8 rows of what it makes.
#include "args.h"
#include "exact.h"

#define WARPS 16
#define HELD (CHUNK / 32)             // numbers of a lane: number i is element 32·i + lane of its warp's chunk
#define STAGED 8                      // chunks whose squares lie in shared memory at a time
#define TOGETHER 16                   // steps of the sum that are read before they are added
#define WAVE (WARPS * CHUNK)          // columns that the block holds at a time

// Room is the shared memory of the block.
struct Room {
	union {
		float square[STAGED * CHUNK];
		int4 q[WARPS][CHUNK / 16];
	};
	float root;
	u32 largest[WARPS];
	i32 sum[WARPS];
};

// Held is the chunk of a row that a warp holds in its registers.
struct Held {
	float v[HELD];
	int first, width; // its first column; columns of the row

	__device__ int column(int i) const { return first + 32 * i + threadIdx.x % 32; }
	__device__ void load(const float *row) {
#pragma unroll
		for (int i = 0; i < HELD; i++) v[i] = column(i) < width ? row[column(i)] : 0;
	}
	__device__ void store(float *row) const {
#pragma unroll
		for (int i = 0; i < HELD; i++)
			if (column(i) < width) row[column(i)] = v[i];
	}
	__device__ u32 largest() const {
		u32 m = 0;
#pragma unroll
		for (int i = 0; i < HELD; i++) m = max(m, magnitude(v[i]));
		return m;
	}
	// rotate is the signs and the Walsh–Hadamard transform of the chunk's blocks.
	__device__ void rotate(const u8 *signs) {
		int block = hadamard_block(width);
#pragma unroll
		for (int i = 0; i < HELD; i++)
			if (column(i) < width) v[i] = turned(v[i], signs, column(i));
#pragma unroll
		for (int stride = 1; stride < 32; stride *= 2) {
			if (stride >= block) break;
#pragma unroll
			for (int i = 0; i < HELD; i++) v[i] = butterfly(v[i], stride);
		}
#pragma unroll
		for (int step = 1; step < HELD; step *= 2) {
			if (32 * step >= block) break;
#pragma unroll
			for (int i = 0; i < HELD; i++) {
				if (i & step) continue;
				float left = v[i], right = v[i + step];
				v[i] = left + right, v[i + step] = left - right;
			}
		}
	}
};

// sum_of_squares is Σ x² by the rule for sums, in every lane of warp 0. held is left
// with the row's last wave. The squares of one wave after the other go to shared memory,
// STAGED chunks at a time; warp 0 adds them.
__device__ static inline float sum_of_squares(Held *held, const float *x, Room *room) {
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32, width = held->width;
	float sum = 0;
	for (int first = 0; first < width; first += WAVE) {
		held->first = first + warp * CHUNK;
		held->load(x);
#pragma unroll
		for (int part = 0; part < WARPS / STAGED; part++) {
			int left = width - first - part * STAGED * CHUNK; // columns yet to be added
			if (left <= 0) break;
			if (warp / STAGED == part) {
#pragma unroll
				for (int i = 0; i < HELD; i++) room->square[warp % STAGED * CHUNK + 32 * i + lane] = held->v[i] * held->v[i];
			}
			__syncthreads();
			if (warp == 0) {
				int steps = min(STAGED * HELD, (left + 31) / 32);
				for (int s = 0; s < steps; s += TOGETHER) { // past the row lie zeros
					float some[TOGETHER];
#pragma unroll
					for (int j = 0; j < TOGETHER; j++) some[j] = room->square[32 * (s + j) + lane];
#pragma unroll
					for (int j = 0; j < TOGETHER; j++) sum += some[j];
				}
			}
			__syncthreads();
		}
	}
#pragma unroll
	for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
	return sum;
}

// block_max is the largest of all threads' values.
__device__ static inline u32 block_max(u32 v, Room *room) {
	v = __reduce_max_sync(~0u, v);
	__syncthreads(); // largest may still be read
	if (threadIdx.x % 32 == 0) room->largest[threadIdx.x / 32] = v;
	__syncthreads();
	return __reduce_max_sync(~0u, room->largest[threadIdx.x % WARPS]);
}

// convert writes the int8 numbers of the warp's chunk and returns the lane's part of
// their sum.
__device__ static inline i32 convert(const Int8Rows &to, const Held &held, int row, int stride, float scale, int4 *q) {
	int lane = threadIdx.x % 32, groups = (held.width + 15) / 16;
	i32 sum = 0;
	__syncwarp(); // q may still be read
#pragma unroll
	for (int i = 0; i < HELD; i++) {
		i32 n = converts(scale) ? to_int8(held.v[i], scale) : 0;
		((i8 *)q)[32 * i + lane] = n;
		sum += n;
	}
	__syncwarp();
#pragma unroll
	for (int j = lane; j < CHUNK / 16; j += 32) {
		int group = held.first / 16 + j;
		if (group < groups) ((int4 *)to.q)[(u64)group * stride + row] = q[j];
	}
	return sum;
}

// int8_row makes row of to: held's wave, or if there are several, from, wave by wave.
__device__ static inline void int8_row(const Int8Rows &to, Held *held, const float *from, int row, int stride, u32 largest, Room *room) {
	int warp = threadIdx.x / 32;
	float scale = row_scale(block_max(largest, room));
	i32 sum = 0;
	for (int first = 0; first < held->width; first += WAVE) {
		if (held->width > WAVE) {
			held->first = first + warp * CHUNK;
			held->load(from);
		}
		sum += convert(to, *held, row, stride, scale, room->q[warp]);
	}
	sum = __reduce_add_sync(~0u, sum);
	if (threadIdx.x % 32 == 0) room->sum[warp] = sum;
	__syncthreads();
	if (threadIdx.x > 0) return;
	sum = 0;
	for (int w = 0; w < WARPS; w++) sum += room->sum[w];
	((float *)to.scale)[row] = scale;
	((i32 *)to.sum)[row] = sum;
}

// zero_row is a row of zeros as int8.
__device__ static inline void zero_row(const Int8Rows &to, int row, int width, int stride) {
	if (!to.q) return;
	for (int group = threadIdx.x; group < (width + 15) / 16; group += blockDim.x) ((int4 *)to.q)[(u64)group * stride + row] = int4{};
	if (threadIdx.x > 0) return;
	((float *)to.scale)[row] = 0;
	((i32 *)to.sum)[row] = 0;
}

// A block for each row.
extern "C" __global__ void __launch_bounds__(32 * WARPS) rms_norm(NormArgs a) {
	__shared__ Room room;
	int row = blockIdx.x, warp = threadIdx.x / 32;
	u64 at = (u64)row * a.width;
	const float *x = (const float *)a.x + at;
	float *out = (float *)a.out + at, *rotated = (float *)a.rotated + at;
	const VariantLayer *v = active(a.batch, a.at, row);
	if (!v) {
		for (int c = threadIdx.x; c < a.width && a.out != a.x; c += blockDim.x) out[c] = 0;
		zero_row(a.rotated_rows, row, a.width, a.stride);
		zero_row(a.plain_rows, row, a.width, a.stride);
		return;
	}
	Held held;
	held.width = a.width;
	float sum = sum_of_squares(&held, x, &room);
	if (threadIdx.x == 0) room.root = sqrtf(sum / (float)a.width + a.eps);
	__syncthreads();
	float root = room.root;
	const float *gain = (const float *)v->gain;
	u32 largest = 0;
	for (int first = 0; first < a.width; first += WAVE) {
		if (a.width > WAVE) {
			held.first = first + warp * CHUNK;
			held.load(x);
		}
#pragma unroll
		for (int i = 0; i < HELD; i++)
			if (held.column(i) < a.width) held.v[i] = held.v[i] / root * gain[held.column(i)];
		held.store(out);
		largest = max(largest, held.largest());
	}
	if (a.plain_rows.q) int8_row(a.plain_rows, &held, out, row, a.stride, largest, &room);
	if (!a.rotated_rows.q) return;
	largest = 0;
	for (int first = 0; first < a.width; first += WAVE) {
		if (a.width > WAVE) {
			held.first = first + warp * CHUNK;
			held.load(out);
		}
		held.rotate((const u8 *)a.signs);
		if (a.width > WAVE) held.store(rotated);
		largest = max(largest, held.largest());
	}
	int8_row(a.rotated_rows, &held, rotated, row, a.stride, largest, &room);
}
