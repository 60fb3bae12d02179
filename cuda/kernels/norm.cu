// RMSNorm, and int8 rows of what it makes.
#include "args.h"
#include "exact.h"

#define WARPS 32                    // at most
#define HELD 16                     // numbers of a lane
#define PIECE (32 * HELD)           // columns of a warp: half of a chunk
#define WAVE (WARPS * PIECE)        // columns that the block holds at a time
#define STAGED (WAVE / 2)           // columns whose squares lie in shared memory at a time
#define TOGETHER 8                  // steps of the sum that are read while as many are added

// Room is the shared memory of the block.
struct Room {
	union {
		float square[STAGED];
		float swapped[WARPS][HELD / 2][32];
		int4 q[WARPS][PIECE / 16];
	};
	float root;
	u32 largest[WARPS];
	i32 sum[WARPS];
};

// Held is half of a chunk of a row, in the registers of a warp. Number i of a lane is
// column 128·(i/4) + 4·lane + i mod 4 of it, until it is rotated.
struct Held {
	float v[HELD];
	int first, width; // its first column; columns of the row

	__device__ void at(int wave) { first = wave + threadIdx.x / 32 * PIECE; }
	__device__ int column(int i) const { return first + i / 4 * 128 + threadIdx.x % 32 * 4 + i % 4; }

	// turned_column is where number i is once the chunk is rotated: bits of the
	// column have changed places with bits of i, of the lane and of the warp.
	__device__ int turned_column(int i) const {
		int half = first / PIECE % 2, pair = first - half * PIECE;
		return pair + (i / 8 * 512 | half * 256 | i / 4 % 2 * 128 | i % 2 * 64 | i / 2 % 2 * 32 | threadIdx.x % 32);
	}

	__device__ void load(const float *row) {
		bool whole = width % 4 == 0 && (u64)row % 16 == 0;
#pragma unroll
		for (int i = 0; i < HELD; i += 4) {
			float4 four = {};
			int c = column(i);
			if (whole) {
				if (c < width) four = *(const float4 *)(row + c);
			} else {
				if (c < width) four.x = row[c];
				if (c + 1 < width) four.y = row[c + 1];
				if (c + 2 < width) four.z = row[c + 2];
				if (c + 3 < width) four.w = row[c + 3];
			}
			v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
		}
	}

	__device__ void store(float *row) const {
		bool whole = width % 4 == 0 && (u64)row % 16 == 0;
#pragma unroll
		for (int i = 0; i < HELD; i += 4) {
			int c = column(i);
			if (whole) {
				if (c < width) *(float4 *)(row + c) = float4{v[i], v[i + 1], v[i + 2], v[i + 3]};
			} else {
#pragma unroll
				for (int j = 0; j < 4; j++)
					if (c + j < width) row[c + j] = v[i + j];
			}
		}
	}

	__device__ void load_turned(const float *row) {
#pragma unroll
		for (int i = 0; i < HELD; i++) v[i] = turned_column(i) < width ? row[turned_column(i)] : 0;
	}

	__device__ void store_turned(float *row) const {
#pragma unroll
		for (int i = 0; i < HELD; i++)
			if (turned_column(i) < width) row[turned_column(i)] = v[i];
	}

	__device__ u32 largest() const {
		u32 m = 0;
#pragma unroll
		for (int i = 0; i < HELD; i++) m = max(m, magnitude(v[i]));
		return m;
	}

	// butterflies is a+b and a-b of numbers that differ in one bit of i.
	__device__ void butterflies(int bit, bool wanted) {
		if (!wanted) return;
#pragma unroll
		for (int i = 0; i < HELD; i++) {
			if (i & bit) continue;
			float left = v[i], right = v[i | bit];
			v[i] = left + right, v[i | bit] = left - right;
		}
	}

	// swap lets a bit of i and a bit of the lane change places: a lane keeps one half
	// of its numbers and gets its partner's for the other.
	__device__ void swap(int bit, int lane_bit) {
		bool upper = threadIdx.x & lane_bit;
#pragma unroll
		for (int i = 0; i < HELD; i++) {
			if (i & bit) continue;
			float got = __shfl_xor_sync(~0u, upper ? v[i] : v[i | bit], lane_bit);
			if (upper) v[i] = got;
			else v[i | bit] = got;
		}
	}

	// swap_warps is swap for the highest bit of i and the two warps of a chunk.
	__device__ void swap_warps(Room *room) {
		int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
		bool upper = warp % 2;
		__syncthreads(); // the room may be in use
#pragma unroll
		for (int i = 0; i < HELD / 2; i++) room->swapped[warp][i][lane] = upper ? v[i] : v[i + HELD / 2];
		__syncthreads();
#pragma unroll
		for (int i = 0; i < HELD / 2; i++) {
			float got = room->swapped[warp ^ 1][i][lane];
			if (upper) v[i] = got;
			else v[i + HELD / 2] = got;
		}
	}

	// rotate is the signs and the Walsh–Hadamard transform of the chunk's blocks.
	__device__ void rotate(const u8 *signs, Room *room) {
		turn(signs);
		int block = hadamard_block(width);
		if (block == CHUNK) transform<true>(block, room); // without a question before each stride
		else transform<false>(block, room);
	}

	__device__ void turn(const u8 *signs) {
#pragma unroll
		for (int i = 0; i < HELD; i += 4) { // four columns' signs are in one byte
			if (column(i) >= width) continue;
			u32 bits = signs[column(i) / 8] >> (column(i) % 8);
#pragma unroll
			for (int j = 0; j < 4; j++) v[i + j] = __uint_as_float(__float_as_uint(v[i + j]) ^ (bits >> j & 1) << 31);
		}
	}

	// transform goes stride after stride: each is a bit of i when its turn comes.
	template <bool whole> __device__ void transform(int block, Room *room) {
		butterflies(1, whole || 1 < block);
		butterflies(2, whole || 2 < block);
		swap(1, 1);
		butterflies(1, whole || 4 < block);
		swap(2, 2);
		butterflies(2, whole || 8 < block);
		swap(1, 4);
		butterflies(1, whole || 16 < block);
		swap(2, 8);
		butterflies(2, whole || 32 < block);
		swap(1, 16);
		butterflies(1, whole || 64 < block);
		butterflies(4, whole || 128 < block);
		butterflies(8, whole || 256 < block);
		swap_warps(room);
		butterflies(8, whole || 512 < block);
	}
};

// add_squares adds steps times 32 squares to the sums of a warp's lanes, in their order.
// Past the row lie zeros.
__device__ static inline float add_squares(float sum, const float *square, int steps) {
	float next[TOGETHER];
#pragma unroll
	for (int j = 0; j < TOGETHER; j++) next[j] = square[32 * j];
	for (int s = 0; s < steps; s += TOGETHER) {
		float now[TOGETHER];
#pragma unroll
		for (int j = 0; j < TOGETHER; j++) now[j] = next[j];
		square += s + TOGETHER < steps ? 32 * TOGETHER : 0;
#pragma unroll
		for (int j = 0; j < TOGETHER; j++) next[j] = square[32 * j];
#pragma unroll
		for (int j = 0; j < TOGETHER; j++) sum += now[j];
	}
	return sum;
}

// sum_of_squares is Σ x² by the rule for sums, in every lane of warp 0. held, which holds
// the row's first columns, is left with its last. Squares go to shared memory, STAGED
// columns at a time, and warp 0 adds them, while the others do what meanwhile does.
template <typename Do> __device__ static inline float sum_of_squares(Held *held, const float *x, Room *room, Do meanwhile) {
	int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
	float sum = 0;
	for (int first = 0; first < held->width; first += STAGED) {
		int part = first / STAGED % 2; // of the wave
		if (part == 0 && first > 0) {
			held->at(first);
			held->load(x);
		}
		if (warp / (WARPS / 2) == part) {
#pragma unroll
			for (int i = 0; i < HELD; i += 4) {
				const float *v = held->v + i;
				*(float4 *)(room->square + held->column(i) - first) = float4{v[0] * v[0], v[1] * v[1], v[2] * v[2], v[3] * v[3]};
			}
		}
		__syncthreads();
		if (warp == 0) sum = add_squares(sum, room->square + lane, min(STAGED, held->width - first + 31) / 32);
		else if (first == 0) meanwhile();
		__syncthreads();
	}
#pragma unroll
	for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
	return sum;
}

// of_warps is what each warp of the block left, to a lane each; 0 to those past the last.
template <typename Number> __device__ static inline Number of_warps(const Number *left) {
	int lane = threadIdx.x % 32;
	return lane < blockDim.x / 32 ? left[lane] : 0;
}

// block_max is the largest of all threads' values. Between two calls lies a barrier.
__device__ static inline u32 block_max(u32 v, Room *room) {
	v = __reduce_max_sync(~0u, v);
	if (threadIdx.x % 32 == 0) room->largest[threadIdx.x / 32] = v;
	__syncthreads();
	return __reduce_max_sync(~0u, of_warps(room->largest));
}

// convert writes a warp's columns as int8 and returns the lane's part of their sum.
__device__ static inline i32 convert(const Int8Rows &to, const Held &held, int row, int stride, float scale) {
	i32 sum = 0;
	float inverse = 1.0f / scale;
#pragma unroll
	for (int i = 0; i < HELD; i += 4) {
		u32 n[4] = {};
		if (converts(scale)) to_int8(n, held.v + i, scale, inverse);
		u32 packed = low_bytes(n);
		sum = bytes_sum(packed, sum);
		int c = held.column(i);
		if (c < (held.width + 15) / 16 * 16) ((u32 *)to.q)[((u64)(c / 16) * stride + row) * 4 + c % 16 / 4] = packed;
	}
	return sum;
}

// convert_turned is convert once the chunk is rotated: a lane has a byte of a group, so
// groups are put together in shared memory.
__device__ static inline i32 convert_turned(const Int8Rows &to, const Held &held, int row, int stride, float scale, int4 *q) {
	int lane = threadIdx.x % 32;
	i32 sum = 0;
	float inverse = 1.0f / scale;
	__syncwarp(); // q may still be read
#pragma unroll
	for (int i = 0; i < HELD; i += 4) {
		u32 n[4] = {};
		if (converts(scale)) to_int8(n, held.v + i, scale, inverse);
#pragma unroll
		for (int j = 0; j < 4; j++) ((u8 *)q)[32 * (i + j) + lane] = n[j];
		sum = bytes_sum(low_bytes(n), sum);
	}
	__syncwarp();
	int group = (held.turned_column(lane / 2) - lane) / 16 + lane % 2; // of the lane's 16 bytes
	if (group < (held.width + 15) / 16) ((int4 *)to.q)[(u64)group * stride + row] = q[lane];
	return sum;
}

// finish_row writes a row's scale and sum, of which every thread has a part.
__device__ static inline void finish_row(const Int8Rows &to, int row, float scale, i32 sum, Room *room) {
	sum = __reduce_add_sync(~0u, sum);
	if (threadIdx.x % 32 == 0) room->sum[threadIdx.x / 32] = sum;
	__syncthreads();
	if (threadIdx.x >= 32) return;
	sum = __reduce_add_sync(~0u, of_warps(room->sum));
	if (threadIdx.x > 0) return;
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

// A block for each row, of two warps for every chunk, WARPS at most. What a row needs twice it keeps in registers, if it fits.
extern "C" __global__ void __launch_bounds__(32 * WARPS) rms_norm(NormArgs a) {
	__shared__ Room room;
	int row = blockIdx.x, width = a.width;
	u64 at = (u64)row * width;
	const float *x = (const float *)a.x + at;
	float *out = (float *)a.out + at, *rotated = (float *)a.rotated + at;
	bool once = width <= WAVE;
	Held held, gain;
	held.width = gain.width = width;
	held.at(0), gain.at(0);
	held.load(x); // of any row, active or not: nothing waits for the answer
	const VariantLayer *v = nullptr;
	auto find = [&]() {
		v = active(a.batch, a.at, row);
		if (v && once) gain.load((const float *)v->gain);
	};
	float sum = sum_of_squares(&held, x, &room, find);
	if (threadIdx.x == 0) room.root = sqrtf(sum / (float)width + a.eps);
	if (threadIdx.x < 32) find();
	__syncthreads();
	if (!v) {
		for (int c = threadIdx.x; c < width && a.out != a.x; c += blockDim.x) out[c] = 0;
		zero_row(a.rotated_rows, row, width, a.stride);
		zero_row(a.plain_rows, row, width, a.stride);
		return;
	}
	float root = room.root;
	u32 largest = 0;
	for (int wave = 0; wave < width; wave += WAVE) {
		if (!once) {
			held.at(wave), gain.at(wave);
			held.load(x), gain.load((const float *)v->gain);
		}
#pragma unroll
		for (int i = 0; i < HELD; i++) held.v[i] = held.v[i] / root * gain.v[i]; // zeros past a finite row
		held.store(out);
		largest = max(largest, held.largest());
	}
	if (a.plain_rows.q) {
		float scale = row_scale(block_max(largest, &room));
		i32 part = 0;
		for (int wave = 0; wave < width; wave += WAVE) {
			if (!once) held.at(wave), held.load(out);
			part += convert(a.plain_rows, held, row, a.stride, scale);
		}
		finish_row(a.plain_rows, row, scale, part, &room);
	}
	if (!a.rotated_rows.q) return;
	largest = 0;
	for (int wave = 0; wave < width; wave += WAVE) {
		if (!once) held.at(wave), held.load(out);
		held.rotate((const u8 *)a.signs, &room);
		if (!once) held.store_turned(rotated);
		largest = max(largest, held.largest());
	}
	float scale = row_scale(block_max(largest, &room));
	i32 part = 0;
	for (int wave = 0; wave < width; wave += WAVE) {
		if (!once) held.at(wave), held.load_turned(rotated);
		part += convert_turned(a.rotated_rows, held, row, a.stride, scale, room.q[threadIdx.x / 32]);
	}
	finish_row(a.rotated_rows, row, scale, part, &room);
}
