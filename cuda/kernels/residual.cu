// What a layer ends with.
#include "args.h"
#include "exact.h"
#include "terms.h"

extern "C" __global__ void residual(ResidualArgs a) {
	int row = blockIdx.y;
	const VariantLayer *v = active(a.batch, a.at, row);
	if (!v) return;
	float *x = (float *)a.x + (u64)row * a.width;
	const float *t = (const float *)a.t + (u64)row * a.width;
	float scale = v->scale;
	for (int c = blockIdx.x * CHUNK + threadIdx.x; c < min((blockIdx.x + 1) * CHUNK, a.width); c += blockDim.x)
		x[c] = scale * add_terms(a.low, v->out, v->out_count, row, c, t[c]) + x[c];
}
