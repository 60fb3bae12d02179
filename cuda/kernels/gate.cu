// The paper cell's gate.
#include "args.h"
#include "cell.h"
#include "terms.h"

// add_all adds the terms of W_in to a channel of both halves of a row, where they lie.
__device__ static inline void add_all(const GateArgs &a, int row, int c) {
	for (int half = 0; half < 2; half++) {
		const VariantLayer *v = active(a.batch, a.at, row); // each time: registers are short
		if (!v || v->in_count == 0) return;
		float *h = (float *)a.in + ((u64)row * 2 + half) * a.width + c;
		*h = add_terms(a.low, v->in, v->in_count, row, half * a.width + c, *h);
	}
}

// A thread for each channel of a row.
extern "C" __global__ void __launch_bounds__(CHUNK) gate(GateArgs a) {
	__shared__ SpreadRoom room;
	int row = blockIdx.y, c = blockIdx.x * CHUNK + threadIdx.x;
	bool inside = c < a.width;
	if (a.low.terms > 0 && inside) add_all(a, row, c);
	const float *h = (const float *)a.in + (u64)row * 2 * a.width;
	float g = 0, value = 0, y = 0;
	if (inside) g = h[c], value = h[a.width + c]; // before it is known whether the row is active
	const VariantLayer *v = active(a.batch, a.at, row);
	if (v && inside) {
		if (!finite(g) || !finite(value)) mark_bad(a.bad, a.batch, a.at, row);
		y = gated(value, g);
	}
	u64 at = (u64)row * a.width + c;
	if (inside && a.out) ((float *)a.out)[at] = y;
	if (v) spread(a.spread, &room, row, a.width, c, at, turn_of(a.spread, a.width, c), y);
}
