// The causal dilated convolution on the rings, alone and with the release cell's gate.
#include "args.h"
#include "cell.h"
#include "terms.h"

#define NEAR 3 // rows before the present one that are asked for a row ahead

// Column is one channel of a share, as a thread passes through its rows. Number is what a
// ring holds, u32 of a float or u16 of a bfloat16.
template <typename Number> struct Column {
	Number *ring; // of the channel: + slot·width
	u32 slot;     // of the present row
	int age;      // rows of the text before the present one, as far as it matters
};

// Loaded is what a row needs from memory.
template <typename Number> struct Loaded {
	float value, gate;
	Number before[NEAR]; // before[j]: (j+1)·dilation rows before
};

// Weights are a channel's; near[j] is of the tap j dilations before the present row.
struct Weights {
	float near[NEAR + 1];
};

// A number that is in a ring, and one that is rounded already as a ring holds it.
__device__ static inline float number(u32 bits) { return __uint_as_float(bits); }
__device__ static inline float number(u16 bits) { return __uint_as_float((u32)bits << 16); }
__device__ static inline void hold(u32 *to, float v) { *to = __float_as_uint(v); }
__device__ static inline void hold(u16 *to, float v) { *to = (u16)(__float_as_uint(v) >> 16); }

// first_column is where a share's first row is.
template <typename Number> __device__ static inline Column<Number> first_column(const ConvArgs &a, const Share *share, int c) {
	Column<Number> at;
	at.ring = (Number *)(share->rings + a.ring_offset) + c;
	at.slot = share->position % a.ring_rows;
	at.age = (int)min(share->position - share->start, (i64)1 << 30);
	return at;
}

// after is where the same channel of the next row is.
template <typename Number> __device__ static inline Column<Number> after(const ConvArgs &a, Column<Number> at) {
	at.age++;
	if (++at.slot == a.ring_rows) at.slot = 0;
	return at;
}

// ring_load is what the ring holds of the row that lies back rows before the present
// one; zero before the start. Making a float of it is left to where it is used, so that
// nothing waits for it here.
template <typename Number> __device__ static inline Number ring_load(const ConvArgs &a, const Column<Number> &at, u32 back) {
	if ((int)back > at.age) return 0;
	u32 slot = at.slot >= back ? at.slot - back : at.slot + a.ring_rows - back;
	return at.ring[(u64)slot * (u32)a.width];
}

__device__ static inline Weights load_weights(const ConvArgs &a, int c) {
	const float *weights = (const float *)a.weights + c;
	Weights w = {};
#pragma unroll
	for (int j = 0; j <= NEAR; j++)
		if (j < a.kernel_size) w.near[j] = weights[(u64)(u32)(a.kernel_size - 1 - j) * (u32)a.width];
	return w;
}

// load asks for what a row of the batch needs. It may be called before the row before it
// is stored: only with a dilation of 1 is that one among before.
template <bool with_gate, typename Number>
__device__ static inline Loaded<Number> load(const ConvArgs &a, const Column<Number> &at, u32 row, int c) {
	const float *in = (const float *)a.in + (u64)row * (u32)(with_gate ? 2 * a.width : a.width) + c;
	Loaded<Number> l = {};
	l.value = in[0];
	if (with_gate) l.gate = in[a.width];
#pragma unroll
	for (int j = 0; j < NEAR; j++)
		if (j < a.kernel_size - 1) l.before[j] = ring_load(a, at, (j + 1) * a.dilation);
	return l;
}

// convolved is Σ tap·weight, from the oldest tap to the present one. Nothing is added
// to -0, whatever is added first.
template <typename Number>
__device__ static inline float convolved(const ConvArgs &a, const Column<Number> &at, const Loaded<Number> &l, const Weights &w, int c, float present) {
	const float *weights = (const float *)a.weights + c;
	float sum = -0.0f;
#pragma unroll 1
	for (int j = a.kernel_size - 2; j >= NEAR; j--) {
		sum += number(ring_load(a, at, (j + 1) * a.dilation)) * *weights;
		weights += a.width;
	}
#pragma unroll
	for (int j = NEAR - 1; j >= 0; j--)
		if (j < a.kernel_size - 1) sum += number(l.before[j]) * w.near[j + 1];
	return sum + present * w.near[0];
}

// zeros writes rows that are not active: those of no share, a part of them each block,
// and those of an idle one.
__device__ static inline void zeros(const ConvArgs &a, const Share *share, bool idle) {
	int c = blockIdx.x * CHUNK + threadIdx.x;
	float *out = (float *)a.out + c;
	if (idle && c < a.width)
		for (int i = 0; i < share->count; i++) out[(u64)(share->first + i) * a.width] = 0;
	const i32 *row_share = (const i32 *)a.batch.row_share;
	for (int first = blockIdx.y; first < a.batch.rows; first += CHUNK * gridDim.y) {
		int mine = first + threadIdx.x * gridDim.y;
		if (!__syncthreads_or(mine < a.batch.rows && row_share[mine] < 0)) continue;
		for (int i = 0, row = first; i < CHUNK && row < a.batch.rows; i++, row += gridDim.y)
			if (row_share[row] < 0 && c < a.width) out[(u64)row * a.width] = 0;
	}
}

// add_all adds the terms of W_in to a channel of both halves of a share's rows, where
// they lie.
__device__ static inline void add_all(const ConvArgs &a, const Share *share, int c) {
	float *h = (float *)a.in;
	for (int n = 2 * share->first; n < 2 * (share->first + share->count); n++) { // both halves of one row after the other
		const VariantLayer *v = share_active(share, a.at); // each time: registers are short
		u64 at = (u64)n * a.width + c;
		h[at] = add_terms(a.low, v->in, v->in_count, n / 2, n % 2 * a.width + c, h[at]);
	}
}

// convolve passes a block's CHUNK channels through the rows of a share. A row is asked
// for while the one before it is computed, the first before it is known whether the
// share is active.
template <bool with_gate, typename Number> __device__ static inline void convolve(const ConvArgs &a, SpreadRoom *room) {
	const Share *share = (const Share *)a.batch.shares + blockIdx.y;
	int c = blockIdx.x * CHUNK + threadIdx.x, row = share->first, end = row + share->count;
	bool inside = c < a.width, holds = row < end && share->lo <= a.at.block && a.at.block < share->hi;
	auto at = first_column<Number>(a, share, c);
	Weights weights = {};
	Loaded<Number> next = {};
	if (inside && holds) weights = load_weights(a, c), next = load<with_gate>(a, at, row, c);

	const VariantLayer *v = holds ? share_active(share, a.at) : nullptr;
	zeros(a, share, v == nullptr);
	if (!v) return;
	if (with_gate && v->in_count > 0 && inside) {
		add_all(a, share, c);
		weights = load_weights(a, c), next = load<with_gate>(a, at, row, c);
	}
	for (; row < end; row++) {
		float y = 0;
		if (inside) {
			auto now = next;
			if (row + 1 < end) next = load<with_gate>(a, after(a, at), row + 1, c);
			float present = now.value;
			if (!finite(present) || (with_gate && !finite(now.gate))) mark_bad(a.bad, a.batch, a.at, row);
			if (sizeof(Number) == 2) present = round_bf16(present);
			hold(&at.ring[(u64)at.slot * (u32)a.width], present);
			if (a.dilation == 1) hold(&next.before[0], present);
			y = convolved(a, at, now, weights, c, present);
			if (with_gate) y = gated(y, now.gate);
			((float *)a.out)[(u64)(u32)row * (u32)a.width + c] = y;
		}
		spread(a.spread, room, row, a.width, c, y);
		at = after(a, at);
	}
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv_gate(ConvArgs a) {
	__shared__ SpreadRoom room;
	if (a.ring_bf16) convolve<true, u16>(a, &room);
	else convolve<true, u32>(a, &room);
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv(ConvArgs a) {
	__shared__ SpreadRoom room;
	if (a.ring_bf16) convolve<false, u16>(a, &room);
	else convolve<false, u32>(a, &room);
}
