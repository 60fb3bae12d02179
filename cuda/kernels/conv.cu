// The causal dilated convolution on the rings, alone and with the release cell's gate.
#include "args.h"
#include "cell.h"
#include "terms.h"

#define NEAR 3 // rows before the present one that are asked for a row ahead
#define EACH 4 // columns of a thread of conv_terms and conv_ring, CHUNK/EACH apart

// Piece is rows of a share that one block of threads passes through.
struct Piece {
	const Share *share; // null: none
	int row, end;       // of the batch
};

// Column is one channel of a share, as a thread passes through its rows. Number is what a
// ring holds, u32 of a float or u16 of a bfloat16.
template <typename Number> struct Column {
	const float *in; // of the present row
	u64 ring;        // Number*, of the channel: + slot·width
	u32 slot;        // of the present row
	int index;       // rows of the share before the present one
	int age;         // rows of the text before the share's first, as far as it matters
};

// Loaded is what a row needs from memory. A tap is the bits of a Number, or, if it lies in
// the pass, of the float that is not rounded to one yet.
struct Loaded {
	float value, gate;
	u32 before[NEAR]; // before[j]: (j+1)·dilation rows before
};

// Weights are a channel's; near[j] is of the tap j dilations before the present row, -0
// past the oldest: with a tap of 0 that adds -0, which changes nothing.
struct Weights {
	float near[NEAR + 1];
};

// held is v as a ring holds it.
template <typename Number> __device__ static inline float held(float v) { return sizeof(Number) == 2 ? round_bf16(v) : v; }

// number is a tap, as a ring holds it.
template <typename Number> __device__ static inline float number(u32 bits, bool in_pass) {
	if (sizeof(Number) == 4) return __uint_as_float(bits);
	return in_pass ? round_bf16(__uint_as_float(bits)) : __uint_as_float(bits << 16);
}

// hold keeps a number that is rounded already.
__device__ static inline void hold(u32 *to, float v) { *to = __float_as_uint(v); }
__device__ static inline void hold(u16 *to, float v) { *to = (u16)(__float_as_uint(v) >> 16); }

// head is the first rows of share y: all of it if it is not cut.
__device__ static inline Piece head(const ConvArgs &a, int y) {
	const Share *share = (const Share *)a.batch.shares + y;
	return {share, share->first, share->first + min(share->count, a.segment)};
}

// tail is the next of rows [row, stop) that are in no head.
__device__ static inline Piece tail(const ConvArgs &a, int row, int stop) {
	while (row < stop) {
		i32 index = ((const i32 *)a.batch.row_share)[row];
		int end = row + 1;
		if (index >= 0) {
			const Share *share = (const Share *)a.batch.shares + index;
			end = min(share->first + share->count, stop), row = max(row, share->first + a.segment);
			if (row < end) return {share, row, end};
		}
		row = end;
	}
	return {};
}

// first_column is where a piece's first row is.
template <typename Number> __device__ static inline Column<Number> first_column(const ConvArgs &a, const Piece &p, int c) {
	Column<Number> at;
	at.in = (const float *)a.in + (u64)(u32)p.row * (u32)a.in_width + c;
	at.ring = p.share->rings + a.ring_offset + (u64)c * sizeof(Number);
	at.index = p.row - p.share->first;
	at.slot = (p.share->position + at.index) % a.ring_rows;
	at.age = (int)min(p.share->position - p.share->start, (i64)1 << 30);
	return at;
}

// after is where the same channel of the next row is.
template <typename Number> __device__ static inline Column<Number> after(const ConvArgs &a, Column<Number> at) {
	at.in += a.in_width, at.index++;
	if (++at.slot == a.ring_rows) at.slot = 0;
	return at;
}

// ring_slot is the channel's number in a slot.
template <typename Number> __device__ static inline Number *ring_slot(const ConvArgs &a, const Column<Number> &at, u32 slot) {
	return (Number *)(at.ring + (u64)slot * (u32)(a.width * sizeof(Number)));
}

// tap_load asks for the row that lies back rows before the present one: for what came if
// it is of this pass, else for what the ring holds; zero before the start. Making a float
// of it is left to where it is used, so that nothing waits for it here.
template <typename Number> __device__ static inline u32 tap_load(const ConvArgs &a, const Column<Number> &at, int back) {
	if (back <= at.index) return *(const u32 *)((u64)at.in + (i64)-back * (i32)(a.in_width * sizeof(float)));
	if (back - at.index > at.age) return 0;
	return *ring_slot(a, at, at.slot >= back ? at.slot - back : at.slot + a.ring_rows - back);
}

__device__ static inline Weights load_weights(const ConvArgs &a, int c) {
	const float *last = (const float *)a.weights + (u64)(u32)(a.kernel_size - 1) * (u32)a.width + c;
	Weights w;
#pragma unroll
	for (int j = 0; j <= NEAR; j++, last -= a.width) w.near[j] = j < a.kernel_size ? *last : -0.0f;
	return w;
}

// load asks for what a row of the batch needs.
template <bool with_gate, typename Number> __device__ static inline Loaded load(const ConvArgs &a, const Column<Number> &at) {
	Loaded l = {};
	l.value = at.in[0];
	if (with_gate) l.gate = at.in[a.width];
#pragma unroll
	for (int j = 0; j < NEAR; j++)
		if (j < a.kernel_size - 1) l.before[j] = tap_load(a, at, (j + 1) * a.dilation);
	return l;
}

// convolved is Σ tap·weight, from the oldest tap to the present one; next is where the
// channel of the next row is. Nothing is added to -0, whatever is added first.
template <typename Number>
__device__ static inline float convolved(const ConvArgs &a, const Column<Number> &next, const Loaded &l, const Weights &w, int c, float present) {
	const float *weights = (const float *)a.weights + c;
	float sum = -0.0f;
#pragma unroll 1
	for (int j = a.kernel_size - 2; j >= NEAR; j--) {
		int back = (j + 1) * a.dilation + 1;
		sum += number<Number>(tap_load(a, next, back), back <= next.index) * *weights;
		weights += a.width;
	}
#pragma unroll
	for (int j = NEAR - 1; j >= 0; j--) sum += number<Number>(l.before[j], (j + 1) * a.dilation < next.index) * w.near[j + 1];
	return sum + present * w.near[0];
}

// add_all adds the terms of W_in to a channel of both halves of an uncut share's rows,
// where they lie.
__device__ static inline void add_all(const ConvArgs &a) {
	const Share *share = (const Share *)a.batch.shares + blockIdx.y;
	int c = blockIdx.x * CHUNK + threadIdx.x;
	if (share->count == 0 || c >= a.width) return;
	float *h = (float *)a.in;
	for (int n = 2 * share->first; n < 2 * (share->first + share->count); n++) { // both halves of one row after the other
		const VariantLayer *v = share_active(share, a.at); // each time: registers are short
		if (!v || v->in_count == 0) return;
		u64 at = (u64)n * a.width + c;
		h[at] = add_terms(a.low, v->in, v->in_count, n / 2, n % 2 * a.width + c, h[at]);
	}
}

// walk passes a block's CHUNK channels through a piece. A row is asked for while the one
// before it is computed, the first before it is known whether the share is active.
template <bool with_gate, typename Number>
__device__ static inline void walk(const ConvArgs &a, SpreadRoom *room, const Piece &p, int c) {
	const Share *share = p.share;
	bool inside = c < a.width, holds = p.row < p.end && share->lo <= a.at.block && a.at.block < share->hi;
	auto at = first_column<Number>(a, p, c);
	Weights weights = {};
	Loaded next = {};
	if (inside && holds) weights = load_weights(a, c), next = load<with_gate>(a, at);

	u64 out = (u64)(u32)p.row * (u32)a.width + c;
	if (!holds || ((const VariantLayer *)share->variant)[a.at.layer].routing == 0.0f) {
		for (int row = p.row; row < p.end && inside && a.out; row++, out += a.width) ((float *)a.out)[out] = 0;
		return;
	}
	u32 turn = turn_of(a.spread, a.width, c);
	bool keeps = share->count <= a.segment; // no other block of threads reads its ring
	for (int row = p.row; row < p.end; row++) {
		float y = 0;
		if (inside) {
			auto now = next;
			Number *slot = ring_slot(a, at, at.slot);
			at = after(a, at);
			if (row + 1 < p.end) next = load<with_gate>(a, at);
			if (!finite(now.value) || (with_gate && !finite(now.gate))) mark_bad(a.bad, a.batch, a.at, row);
			float present = held<Number>(now.value);
			if (keeps) hold(slot, present);
			y = convolved(a, at, now, weights, c, present);
			if (with_gate) y = gated(y, now.gate);
		}
		if (inside && a.out) ((float *)a.out)[out] = y;
		spread(a.spread, room, row, a.width, c, out, turn, y);
		out += a.width;
	}
}

// convolve is the rows of one block of threads: the head of a share, and of the blocks
// that come after the shares' each a stretch of the batch as long as a head, less all
// heads. Rows that are no row are left zero, every so many'th by each.
template <bool with_gate, typename Number> __device__ static inline void convolve(const ConvArgs &a, SpreadRoom *room) {
	int c = blockIdx.x * CHUNK + threadIdx.x, y = blockIdx.y, beyond = y - a.batch.share_count;
	int mine = y + threadIdx.x % 32 * gridDim.y;
	i32 owner = mine < a.batch.rows ? ((const i32 *)a.batch.row_share)[mine] : 0;
	int row = (beyond + 1) * a.segment, stop = beyond < 0 ? 0 : min(row + a.segment, a.batch.rows); // the first stretch is a head
	for (Piece p = beyond < 0 ? head(a, y) : tail(a, row, stop); p.share; p = tail(a, p.end, stop)) walk<with_gate, Number>(a, room, p, c);
	for (u32 none = __ballot_sync(~0u, owner < 0); none && c < a.width && a.out; none &= none - 1)
		((float *)a.out)[(u64)(y + (__ffs(none) - 1) * gridDim.y) * a.width + c] = 0;
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv_gate(ConvArgs a) {
	__shared__ SpreadRoom room;
	if (a.low.terms > 0) add_all(a);
	if (a.ring_bf16) convolve<true, u16>(a, &room);
	else convolve<true, u32>(a, &room);
}

extern "C" __global__ void __launch_bounds__(CHUNK) conv(ConvArgs a) {
	__shared__ SpreadRoom room;
	if (a.ring_bf16) convolve<false, u16>(a, &room);
	else convolve<false, u32>(a, &room);
}

// Adds the terms of W_in to h, of which other blocks of threads read taps.
extern "C" __global__ void __launch_bounds__(CHUNK / EACH) conv_terms(ConvArgs a) {
	int row = blockIdx.y;
	const VariantLayer *v = active(a.batch, a.at, row);
	if (!v || v->in_count == 0) return;
	float *h = (float *)a.in + (u64)row * a.in_width;
	for (int c = blockIdx.x * CHUNK + threadIdx.x; c < min((blockIdx.x + 1) * CHUNK, a.in_width); c += CHUNK / EACH)
		h[c] = add_terms(a.low, v->in, v->in_count, row, c, h[c]);
}

// ring_row keeps a row of in.
template <typename Number> __device__ static inline void ring_row(const ConvArgs &a, const Share *share, int row) {
	u32 slot = (share->position + (row - share->first)) % a.ring_rows;
	const float *in = (const float *)a.in + (u64)row * a.in_width;
	Number *ring = (Number *)(share->rings + a.ring_offset) + (u64)slot * a.width;
#pragma unroll
	for (int j = 0; j < EACH; j++) {
		int c = blockIdx.x * CHUNK + j * (CHUNK / EACH) + threadIdx.x;
		if (c < a.width) hold(ring + c, held<Number>(in[c]));
	}
}

// Keeps the last rows of shares that were cut, once nobody reads what the ring held.
extern "C" __global__ void __launch_bounds__(CHUNK / EACH) conv_ring(ConvArgs a) {
	int row = blockIdx.y;
	i32 index = ((const i32 *)a.batch.row_share)[row];
	if (index < 0) return;
	const Share *share = (const Share *)a.batch.shares + index;
	if (share->count <= a.segment || row - share->first < share->count - a.ring_rows || !share_active(share, a.at)) return;
	if (a.ring_bf16) ring_row<u16>(a, share, row);
	else ring_row<u32>(a, share, row);
}
