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
	float before[NEAR]; // before[j]: (j+1)·dilation rows before
};

__device__ static inline u64 ring_index(const ConvArgs &a, const Column &at, int back) {
	int slot = at.slot - back;
	if (slot < 0) slot += a.ring_rows;
	return (u64)slot * a.width + at.c;
}

// ring_load is what the ring holds of the row that lies back rows before the present
// one; zero before the start.
__device__ static inline float ring_load(const ConvArgs &a, const Column &at, int back) {
	if (back > at.age) return 0;
	u64 i = ring_index(a, at, back);
	return a.ring_bf16 ? __uint_as_float((u32)((const u16 *)at.ring)[i] << 16) : ((const float *)at.ring)[i];
}

// ring_store keeps the present row, rounded already.
__device__ static inline void ring_store(const ConvArgs &a, const Column &at, float v) {
	u64 i = ring_index(a, at, 0);
	if (a.ring_bf16) ((u16 *)at.ring)[i] = (u16)(__float_as_uint(v) >> 16);
	else ((float *)at.ring)[i] = v;
}

// load asks for what row of the batch needs. Nothing that the row before it stores is
// among it, unless the dilation is 1.
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
__device__ static inline float convolved(const ConvArgs &a, const Column &at, const Loaded &l, const float *weight, float present) {
	const float *weights = (const float *)a.weights + at.c;
	float sum = -0.0f;
	for (int j = a.kernel_size - 2; j >= NEAR; j--)
		sum += ring_load(a, at, (j + 1) * a.dilation) * weights[(u64)(a.kernel_size - 2 - j) * a.width];
#pragma unroll
	for (int j = NEAR - 1; j >= 0; j--)
		if (j < a.kernel_size - 1) sum += l.before[j] * weight[j + 1];
	return sum + present * weight[0];
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

// convolve passes a block's CHUNK channels through the rows of a share.
template <bool with_gate> __device__ static inline void convolve(const ConvArgs &a, SpreadRoom *room) {
	const Share *share = (const Share *)a.batch.shares + blockIdx.y;
	const VariantLayer *v = share_active(share, a.at);
	zeros(a, share, v == nullptr);
	if (!v || share->count == 0) return;

	Column at = {share->rings + a.ring_offset, (int)(blockIdx.x * CHUNK + threadIdx.x)};
	at.slot = share->position % a.ring_rows;
	at.age = (int)min(share->position - share->start, (i64)1 << 30);
	bool inside = at.c < a.width;
	float weight[NEAR + 1] = {}; // weight[j]: of the tap j dilations before
	Loaded next = {};
	if (inside) {
#pragma unroll
		for (int j = 0; j <= NEAR; j++)
			if (j < a.kernel_size) weight[j] = ((const float *)a.weights)[(u64)(a.kernel_size - 1 - j) * a.width + at.c];
		next = load<with_gate>(a, at, share->first);
	}
	for (int i = 0; i < share->count; i++) {
		int row = share->first + i;
		Column here = at;
		Loaded now = next;
		at.age++;
		if (++at.slot == a.ring_rows) at.slot = 0;
		float y = 0;
		if (inside) {
			if (i + 1 < share->count) next = load<with_gate>(a, at, row + 1);
			float present = now.value, g = now.gate;
			if (with_gate) add_halves(a.low, v, row, a.width, at.c, &present, &g);
			if (!finite(present) || (with_gate && !finite(g))) mark_bad(a.bad, a.batch, a.at, row);
			if (a.ring_bf16) present = round_bf16(present);
			ring_store(a, here, present);
			if (a.dilation == 1) next.before[0] = present;
			y = convolved(a, here, now, weight, present);
			if (with_gate) y = gated(y, g);
			((float *)a.out)[(u64)row * a.width + at.c] = y;
		}
		spread(a.spread, room, row, a.width, at.c, y);
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
