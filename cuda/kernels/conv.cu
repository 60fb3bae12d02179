// The causal dilated convolution on the rings, alone and with the release cell's gate.
#include "args.h"
#include "cell.h"

#define NEAR 3 // rows before the present one that are asked for a row ahead

// Column is one channel of a share, as a thread passes through its rows.
struct Column {
	u64 ring;
	int c;
	int slot; // of the present row in the ring
	int age;  // rows of the text before the present one, as far as it matters
};

// Loaded is what a row needs from memory.
struct Loaded {
	float value, gate;
	u32 before[NEAR]; // before[j]: (j+1)·dilation rows before, as the ring holds it
};

// Weights are a channel's; near[j] is of the tap j dilations before the present row.
struct Weights {
	float near[NEAR + 1];
};

// after is where the same channel of the next row is.
__device__ static inline Column after(const ConvArgs &a, Column at) {
	at.age++;
	if (++at.slot == a.ring_rows) at.slot = 0;
	return at;
}

__device__ static inline u64 ring_index(const ConvArgs &a, const Column &at, int back) {
	int slot = at.slot - back;
	if (slot < 0) slot += a.ring_rows;
	return (u64)slot * a.width + at.c;
}

// ring_load is what the ring holds of the row that lies back rows before the present
// one; zero before the start. Making a number of it is left to ring_number, so that
// nothing waits for it here.
__device__ static inline u32 ring_load(const ConvArgs &a, const Column &at, int back) {
	if (back > at.age) return 0;
	u64 i = ring_index(a, at, back);
	return a.ring_bf16 ? ((const u16 *)at.ring)[i] : ((const u32 *)at.ring)[i];
}

__device__ static inline float ring_number(const ConvArgs &a, u32 bits) {
	return __uint_as_float(a.ring_bf16 ? bits << 16 : bits);
}

// ring_bits is a number, rounded already, as the ring holds it.
__device__ static inline u32 ring_bits(const ConvArgs &a, float v) {
	return a.ring_bf16 ? __float_as_uint(v) >> 16 : __float_as_uint(v);
}

// ring_store keeps the present row.
__device__ static inline void ring_store(const ConvArgs &a, const Column &at, u32 bits) {
	u64 i = ring_index(a, at, 0);
	if (a.ring_bf16) ((u16 *)at.ring)[i] = bits;
	else ((u32 *)at.ring)[i] = bits;
}

__device__ static inline Weights load_weights(const ConvArgs &a, int c) {
	const float *weights = (const float *)a.weights + c;
	Weights w = {};
#pragma unroll
	for (int j = 0; j <= NEAR; j++)
		if (j < a.kernel_size) w.near[j] = weights[(u64)(a.kernel_size - 1 - j) * a.width];
	return w;
}

// load asks for what a row of the batch needs. It may be called before the row before it
// is stored: only with a dilation of 1 is that one among before.
template <bool with_gate> __device__ static inline Loaded load(const ConvArgs &a, const Column &at, int row) {
	const float *in = (const float *)a.in + (u64)row * (with_gate ? 2 : 1) * a.width + at.c;
	Loaded l = {};
	l.value = in[0];
	if (with_gate) l.gate = in[a.width];
#pragma unroll
	for (int j = 0; j < NEAR; j++)
		if (j < a.kernel_size - 1) l.before[j] = ring_load(a, at, (j + 1) * a.dilation);
	return l;
}

// convolved is Σ tap·weight, from the oldest tap to the present one. Nothing is added
// to -0, whatever is added first.
__device__ static inline float convolved(const ConvArgs &a, const Column &at, const Loaded &l, const Weights &w, float present) {
	const float *weights = (const float *)a.weights + at.c;
	float sum = -0.0f;
	for (int j = a.kernel_size - 2; j >= NEAR; j--)
		sum += ring_number(a, ring_load(a, at, (j + 1) * a.dilation)) * weights[(u64)(a.kernel_size - 2 - j) * a.width];
#pragma unroll
	for (int j = NEAR - 1; j >= 0; j--)
		if (j < a.kernel_size - 1) sum += ring_number(a, l.before[j]) * w.near[j + 1];
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
template <bool with_gate> __device__ static inline void convolve(const ConvArgs &a, SpreadRoom *room) {
	const Share *share = (const Share *)a.batch.shares + blockIdx.y;
	int c = blockIdx.x * CHUNK + threadIdx.x, row = share->first, end = row + share->count;
	bool inside = c < a.width, holds = row < end && share->lo <= a.at.block && a.at.block < share->hi;
	Column at = {share->rings + a.ring_offset, c, (int)(share->position % a.ring_rows)};
	at.age = (int)min(share->position - share->start, (i64)1 << 30);
	Weights weights = {};
	Loaded next = {};
	if (inside && holds) weights = load_weights(a, c), next = load<with_gate>(a, at, row);

	const VariantLayer *v = holds ? share_active(share, a.at) : nullptr;
	zeros(a, share, v == nullptr);
	if (!v) return;
	if (with_gate && v->in_count > 0 && inside) {
		add_all(a, share, c);
		weights = load_weights(a, c), next = load<with_gate>(a, at, row);
	}
	for (; row < end; row++) {
		float y = 0;
		if (inside) {
			Loaded now = next;
			if (row + 1 < end) next = load<with_gate>(a, after(a, at), row + 1);
			float present = now.value;
			if (!finite(present) || (with_gate && !finite(now.gate))) mark_bad(a.bad, a.batch, a.at, row);
			if (a.ring_bf16) present = round_bf16(present);
			u32 bits = ring_bits(a, present);
			ring_store(a, at, bits);
			if (a.dilation == 1) next.before[0] = bits;
			y = convolved(a, at, now, weights, present);
			if (with_gate) y = gated(y, now.gate);
			((float *)a.out)[(u64)row * a.width + c] = y;
		}
		spread(a.spread, room, row, a.width, c, y);
		at = after(a, at);
	}
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv_gate(ConvArgs a) {
	__shared__ SpreadRoom room;
	convolve<true>(a, &room);
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv(ConvArgs a) {
	__shared__ SpreadRoom room;
	convolve<false>(a, &room);
}
