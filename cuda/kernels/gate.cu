// The paper cell's gate.
#include "args.h"
#include "cell.h"
#include "terms.h"

// add_halves adds the terms of W_in to column c of both halves of a row, [first, second].
__device__ static inline void add_halves(const Low &low, const VariantLayer *v, int row, int width, int c, float *first, float *second) {
#pragma unroll 1
	for (int half = 0; half < 2 && v->in_count > 0; half++) { // a loop, so that there is the code once
		float sum = add_terms(low, v->in, v->in_count, row, half * width + c, half ? *second : *first);
		if (half) *second = sum;
		else *first = sum;
	}
}

// A thread for each channel of a row.
extern "C" __global__ void __launch_bounds__(CHUNK) gate(GateArgs a) {
	__shared__ SpreadRoom room;
	int row = blockIdx.y, c = blockIdx.x * CHUNK + threadIdx.x;
	bool inside = c < a.width;
	const float *h = (const float *)a.in + (u64)row * 2 * a.width;
	float g = 0, value = 0, y = 0;
	if (inside) g = h[c], value = h[a.width + c]; // before it is known whether the row is active
	const VariantLayer *v = active(a.batch, a.at, row);
	if (v && inside) {
		add_halves(a.low, v, row, a.width, c, &g, &value);
		if (!finite(g) || !finite(value)) mark_bad(a.bad, a.batch, a.at, row);
		y = gated(value, g);
	}
	if (inside) ((float *)a.out)[(u64)row * a.width + c] = y;
	if (v) spread(a.spread, &room, row, a.width, c, y);
}
