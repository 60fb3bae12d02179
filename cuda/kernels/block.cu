// What a Fractal Block begins and ends with.
#include "args.h"
#include "exact.h"

// Keeps x, for rows that need the block's input again.
extern "C" __global__ void begin_block(BlockArgs a) {
	const VariantLayer *v = active(a.batch, a.at, blockIdx.y);
	if (!v || v->routing == 1.0f) return;
	const float *x = (const float *)a.x + (u64)blockIdx.y * a.width;
	float *saved = (float *)a.saved + (u64)blockIdx.y * a.width;
	for (int c = blockIdx.x * CHUNK + threadIdx.x; c < min((blockIdx.x + 1) * CHUNK, a.width); c += blockDim.x) saved[c] = x[c];
}

// x = saved + r·(x - saved) where r is not 1; rounded to the boundary; checked.
extern "C" __global__ void end_block(BlockArgs a) {
	const VariantLayer *v = active(a.batch, a.at, blockIdx.y);
	if (!v) return;
	float *x = (float *)a.x + (u64)blockIdx.y * a.width;
	const float *saved = (const float *)a.saved + (u64)blockIdx.y * a.width;
	for (int c = blockIdx.x * CHUNK + threadIdx.x; c < min((blockIdx.x + 1) * CHUNK, a.width); c += blockDim.x) {
		float f = x[c];
		if (v->routing != 1.0f) f = v->routing * (f - saved[c]) + saved[c];
		if (a.bf16) f = round_bf16(f);
		if (!finite(f)) mark_bad(a.bad, a.batch, a.at, blockIdx.y);
		x[c] = f;
	}
}
