// A CUDA driver without a GPU, for the tests of package driver: libcuda.so.1 with
// one device whose memory is the host's. It is as lazy and as strict as the real
// one may be:
//
//  - what a stream is asked for is done one piece at a time, when the stream, an
//    event of it or a stream that waits for such an event is looked at, not before;
//  - every call needs the context current on its thread, host memory of copies must
//    be pinned, a capture must end on the thread where it began;
//  - after "illegal" every call fails; while a stream hangs, giving memory back and
//    destroying the context wait for good.
//
// Kernels are known by name: see run. FAKE_INIT, FAKE_VERSION and FAKE_MAJOR are the
// result of cuInit, the driver's version and the device's compute capability.
#include <cuda.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 64 << 20, OPERATIONS = 256, THINGS = 256, DEFAULT_SHARED = 48 << 10 };

// Every kernel's parameter: value is added to count bytes.
struct parameter {
	unsigned char *to;
	unsigned count, value;
};

struct CUfunc_st {
	char name[64];
	int shared;
};

struct operation {
	enum { COPY, FILL, LAUNCH, MARK, AFTER } what;
	void *to;
	const void *from;
	size_t bytes;
	int value;
	struct parameter parameter;
	CUfunction function;
	CUevent event;
	int record; // which of the event's, from 1
};

struct CUgraph_st {
	int count;
	struct operation operations[OPERATIONS];
};

struct CUstream_st {
	struct CUctx_st *context;
	struct CUgraph_st queue, *capture;
	pthread_t capturing;
};

struct CUevent_st {
	CUstream stream;
	int records, done, when; // times recorded, and reached
};

struct thing { // memory of a context
	void *at;
	size_t bytes;
	int host;
};

struct CUctx_st {
	CUresult lost;
	struct thing things[THINGS];
	struct CUstream_st *streams[THINGS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread CUcontext current;
static size_t taken;
static int clock_; // operations done

static int setting(const char *name, int otherwise) {
	const char *value = getenv(name);
	return value ? atoi(value) : otherwise;
}

// ENTER begins a call that needs a context, RETURN ends it.
#define ENTER \
	pthread_mutex_lock(&lock); \
	CUresult r = !current ? CUDA_ERROR_INVALID_CONTEXT : current->lost
#define RETURN \
	pthread_mutex_unlock(&lock); \
	return r

// What asks for kernels to be loaded when they are first launched is not started.
CUresult cuInit(unsigned flags) {
	const char *loading = getenv("CUDA_MODULE_LOADING");
	return flags || !loading || strcmp(loading, "EAGER") ? CUDA_ERROR_INVALID_VALUE : setting("FAKE_INIT", 0);
}

CUresult cuDriverGetVersion(int *version) {
	*version = setting("FAKE_VERSION", 12090);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
	*count = 1;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
	*device = 0;
	return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int bytes, CUdevice device) {
	(void)device;
	strncpy(name, "Fake", bytes);
	return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device) {
	(void)device;
	*bytes = MEMORY;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
	(void)device;
	switch (attribute) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = setting("FAKE_MAJOR", 9); break;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 7; break;
	default: return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *context, unsigned flags, CUdevice device) {
	(void)flags, (void)device;
	*context = current = calloc(1, sizeof **context);
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
	current = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *context) {
	*context = current;
	current = NULL;
	return CUDA_SUCCESS;
}

static int hangs(CUcontext context) {
	for (int i = 0; i < THINGS; i++) {
		CUstream s = context->streams[i];
		for (int o = 0; s && o < s->queue.count; o++)
			if (s->queue.operations[o].what == LAUNCH && !strcmp(s->queue.operations[o].function->name, "hang")) return 1;
	}
	return 0;
}

// wait_for_all waits for all streams; for good where one hangs.
static void wait_for_all(CUcontext context) {
	while (hangs(context)) {
		pthread_mutex_unlock(&lock);
		pthread_cond_t never = PTHREAD_COND_INITIALIZER;
		pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
		pthread_mutex_lock(&own);
		pthread_cond_wait(&never, &own);
		pthread_mutex_unlock(&own);
		pthread_mutex_lock(&lock);
	}
}

static void release(struct thing *t) {
	if (!t->host) taken -= t->bytes;
	free(t->at);
	t->at = NULL;
}

CUresult cuCtxDestroy(CUcontext context) {
	if (!context) return CUDA_ERROR_INVALID_CONTEXT;
	pthread_mutex_lock(&lock);
	wait_for_all(context);
	CUresult r = context->lost;
	for (int i = 0; i < THINGS; i++) {
		if (context->things[i].at) release(&context->things[i]);
		free(context->streams[i]);
	}
	free(context);
	if (current == context) current = NULL;
	RETURN;
}

CUresult cuMemGetInfo(size_t *available, size_t *total) {
	ENTER;
	*available = MEMORY - taken, *total = MEMORY;
	RETURN;
}

static CUresult take(void **at, size_t bytes, int host) {
	if (!host && bytes > MEMORY - taken) return CUDA_ERROR_OUT_OF_MEMORY;
	for (int i = 0; i < THINGS; i++) {
		struct thing *t = &current->things[i];
		if (t->at) continue;
		*t = (struct thing){aligned_alloc(256, (bytes + 255) / 256 * 256), bytes, host};
		memset(t->at, 0xa5, bytes);
		if (!host) taken += bytes;
		*at = t->at;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult give(void *at, int host) {
	wait_for_all(current);
	for (int i = 0; i < THINGS; i++) {
		struct thing *t = &current->things[i];
		if (t->at == at && t->host == host && at) {
			release(t);
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAlloc(CUdeviceptr *at, size_t bytes) {
	ENTER;
	if (!r) r = take((void **)at, bytes, 0);
	RETURN;
}

CUresult cuMemFree(CUdeviceptr at) {
	ENTER;
	if (!r) r = give((void *)at, 0);
	RETURN;
}

CUresult cuMemHostAlloc(void **at, size_t bytes, unsigned flags) {
	(void)flags;
	ENTER;
	if (!r) r = take(at, bytes, 1);
	RETURN;
}

CUresult cuMemFreeHost(void *at) {
	ENTER;
	if (!r) r = give(at, 1);
	RETURN;
}

// inside reports whether a range is memory of the context: of the host or its own.
static int inside(const void *at, size_t bytes, int host) {
	for (int i = 0; i < THINGS; i++) {
		struct thing *t = &current->things[i];
		const char *begin = t->at;
		if (begin && t->host == host && (const char *)at >= begin && (const char *)at + bytes <= begin + t->bytes) return 1;
	}
	return 0;
}

static CUresult ask(CUstream stream, struct operation o) {
	struct CUgraph_st *to = stream->capture ? stream->capture : &stream->queue;
	if (to->count == OPERATIONS) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	to->operations[to->count++] = o;
	return CUDA_SUCCESS;
}

static CUresult copy(void *to, int to_host, const void *from, int from_host, size_t bytes, CUstream stream) {
	if (!inside(to, bytes, to_host) || !inside(from, bytes, from_host)) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
	return ask(stream, (struct operation){.what = COPY, .to = to, .from = from, .bytes = bytes});
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
	ENTER;
	if (!r) r = copy((void *)to, 0, from, 1, bytes, stream);
	RETURN;
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
	ENTER;
	if (!r) r = copy(to, 1, (void *)from, 0, bytes, stream);
	RETURN;
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
	ENTER;
	if (!r) r = copy((void *)to, 0, (void *)from, 0, bytes, stream);
	RETURN;
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
	ENTER;
	if (!r) r = !inside((void *)to, bytes, 0) ? CUDA_ERROR_INVALID_VALUE : ask(stream, (struct operation){.what = FILL, .to = (void *)to, .value = value, .bytes = bytes});
	RETURN;
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values) {
	ENTER;
	if (!r && strstr(image, "nonsense")) {
		for (unsigned i = 0; i < count; i++)
			if (options[i] == CU_JIT_ERROR_LOG_BUFFER) strcpy(values[i], "line 1: nonsense\n");
		r = CUDA_ERROR_INVALID_PTX;
	}
	*module = (CUmodule)1;
	RETURN;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
	(void)module;
	ENTER;
	if (!strcmp(name, "missing")) r = CUDA_ERROR_NOT_FOUND;
	*function = calloc(1, sizeof **function); // few, in a test
	strncpy((*function)->name, name, sizeof (*function)->name - 1);
	(*function)->shared = DEFAULT_SHARED;
	RETURN;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
	ENTER;
	if (!r) *value = attribute == CU_FUNC_ATTRIBUTE_NUM_REGS ? strlen(function->name) : 0;
	RETURN;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
	ENTER;
	if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > 227 << 10) return pthread_mutex_unlock(&lock), CUDA_ERROR_INVALID_VALUE;
	function->shared = value;
	RETURN;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void **parameters, void **extra) {
	ENTER;
	if (r) {
	} else if (extra || !gx || !gy || !gz || bx * by * bz > 1024 || shared > (unsigned)function->shared) {
		r = CUDA_ERROR_INVALID_VALUE;
	} else if (!strcmp(function->name, "refused")) {
		r = CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	} else {
		r = ask(stream, (struct operation){.what = LAUNCH, .function = function, .parameter = *(struct parameter *)parameters[0]});
	}
	RETURN;
}

// run does a kernel.
static CUresult run(const struct operation *o) {
	const struct parameter *p = &o->parameter;
	if (!strcmp(o->function->name, "illegal") || !inside(p->to, p->count, 0)) return CUDA_ERROR_ILLEGAL_ADDRESS;
	for (unsigned i = 0; i < p->count; i++) p->to[i] += p->value;
	return CUDA_SUCCESS;
}

// step does what the stream was asked for first.
static CUresult step(CUstream stream) {
	struct CUgraph_st *q = &stream->queue;
	if (q->count == 0) return CUDA_SUCCESS;
	struct operation o = q->operations[0];
	CUresult r = CUDA_SUCCESS;
	if (o.what == AFTER && o.event->done < o.record) {
		r = step(o.event->stream);
		return r == CUDA_SUCCESS ? CUDA_ERROR_NOT_READY : r;
	}
	switch (o.what) {
	case COPY: memmove(o.to, o.from, o.bytes); break;
	case FILL: memset(o.to, o.value, o.bytes); break;
	case MARK: o.event->done = o.record, o.event->when = clock_; break;
	case AFTER: break;
	case LAUNCH:
		if (!strcmp(o.function->name, "hang")) return CUDA_ERROR_NOT_READY;
		r = run(&o);
	}
	clock_++;
	memmove(q->operations, q->operations + 1, --q->count * sizeof o);
	if (r) return stream->context->lost = r;
	return CUDA_ERROR_NOT_READY;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
	(void)flags;
	ENTER;
	for (int i = 0; !r && i < THINGS; i++) {
		if (current->streams[i]) continue;
		*stream = current->streams[i] = calloc(1, sizeof **stream);
		(*stream)->context = current;
		break;
	}
	RETURN;
}

CUresult cuStreamDestroy(CUstream stream) {
	ENTER;
	for (int i = 0; !r && i < THINGS; i++) {
		if (current->streams[i] != stream) continue;
		while (!r && stream->queue.count > 0)
			if ((r = step(stream)) == CUDA_ERROR_NOT_READY) r = CUDA_SUCCESS;
		free(stream);
		current->streams[i] = NULL;
	}
	RETURN;
}

CUresult cuStreamQuery(CUstream stream) {
	ENTER;
	if (!r) r = stream->capture ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : step(stream);
	RETURN;
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
	ENTER;
	if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL || stream->capture) r = CUDA_ERROR_ILLEGAL_STATE;
	if (!r) stream->capture = calloc(1, sizeof *stream->capture), stream->capturing = pthread_self();
	RETURN;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
	ENTER;
	if (!stream->capture) r = CUDA_ERROR_ILLEGAL_STATE;
	else if (!pthread_equal(stream->capturing, pthread_self())) r = CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	else *graph = stream->capture, stream->capture = NULL;
	RETURN;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
	(void)flags;
	ENTER;
	struct CUgraph_st *g = malloc(sizeof *g);
	*g = *graph;
	*exec = (CUgraphExec)g;
	RETURN;
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
	ENTER;
	struct CUgraph_st *g = (struct CUgraph_st *)exec;
	for (int i = 0; !r && i < g->count; i++) r = ask(stream, g->operations[i]);
	RETURN;
}

CUresult cuGraphDestroy(CUgraph graph) {
	free(graph);
	return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
	free(exec);
	return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
	(void)flags;
	ENTER;
	*event = calloc(1, sizeof **event);
	RETURN;
}

CUresult cuEventDestroy(CUevent event) {
	(void)event; // a stream may still come to it
	ENTER;
	RETURN;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
	ENTER;
	if (!r) r = ask(stream, (struct operation){.what = MARK, .event = event, .record = event->records + 1});
	if (!r) event->stream = stream, event->records++;
	RETURN;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
	ENTER;
	if (flags || stream->capture) r = CUDA_ERROR_INVALID_VALUE;
	if (!r) r = ask(stream, (struct operation){.what = AFTER, .event = event, .record = event->records});
	RETURN;
}

CUresult cuEventQuery(CUevent event) {
	ENTER;
	if (!r && event->done < event->records) {
		r = step(event->stream);
		if (r == CUDA_SUCCESS || r == CUDA_ERROR_NOT_READY) r = event->done < event->records ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
	}
	RETURN;
}

// One operation takes a millisecond.
CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
	ENTER;
	if (!r && !(from->records && from->done == from->records && to->records && to->done == to->records)) r = CUDA_ERROR_NOT_READY;
	*milliseconds = to->when - from->when;
	RETURN;
}
