// What a layer ends with.
#include "args.h"
#include "exact.h"
#include "terms.h"

#define EACH 4 // columns of a thread, CHUNK/EACH apart

// Columns are asked for before it is known whether the row is active.
extern "C" __global__ void __launch_bounds__(CHUNK / EACH) residual(ResidualArgs a) {
	int row = blockIdx.y, first = blockIdx.x * CHUNK + threadIdx.x;
	float *x = (float *)a.x + (u64)row * a.width;
	const float *t = (const float *)a.t + (u64)row * a.width;
	float was[EACH] = {}, add[EACH] = {};
#pragma unroll
	for (int j = 0; j < EACH; j++) {
		int c = first + j * (CHUNK / EACH);
		if (c < a.width) was[j] = x[c], add[j] = t[c];
	}
	const VariantLayer *v = active(a.batch, a.at, row);
	if (!v) return;
	float scale = v->scale;
	if (v->out_count == 0) { // without terms nothing waits for the column before it
#pragma unroll
		for (int j = 0; j < EACH; j++) {
			int c = first + j * (CHUNK / EACH);
			if (c < a.width) x[c] = scale * add[j] + was[j];
		}
		return;
	}
	for (int c = first; c < min((blockIdx.x + 1) * CHUNK, a.width); c += CHUNK / EACH)
		x[c] = scale * add_terms(a.low, v->out, v->out_count, row, c, t[c]) + x[c];
}
