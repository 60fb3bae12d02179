//go:build cuda && linux

package driver

/*
#cgo LDFLAGS: -lcuda -ldl
#include <cuda.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

// Of libcuda.a; see libcuda/libcuda.c.
int zetagrid_cuda_start(const char **why);

static CUresult load(CUmodule *module, const void *ptx, char *log, size_t bytes) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)bytes};
	return cuModuleLoadDataEx(module, ptx, 2, options, values);
}

// The kernel's one parameter is copied before this returns.
static CUresult launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
		unsigned shared, CUstream stream, void *parameter) {
	void *parameters[] = {parameter};
	return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, stream, parameters, NULL);
}

static CUresult begin_capture(CUstream stream) {
	return cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

// The graph is given back, and *exec made of it if it is not NULL.
static CUresult instantiate(CUgraph graph, CUgraphExec *exec) {
	CUresult r = exec ? cuGraphInstantiateWithFlags(exec, graph, 0) : CUDA_SUCCESS;
	if (graph) cuGraphDestroy(graph);
	return r;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"gorgonia.org/cu"
)

// What package cu has no functions for.

// status is a result of the driver that is not success, as an error.
type status int

func (s status) Error() string { return fmt.Sprintf("result %d", int(s)) }

// errNotReady is the one status that is no failure and comes again and again.
var errNotReady error = status(notReady)

func of(r C.CUresult) error {
	switch r {
	case success:
		return nil
	case notReady:
		return errNotReady
	}
	return status(r)
}

// codeOf is the driver's result behind an error of package cu or of this file,
// whose types are both integers.
func codeOf(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
			return int(v.Int())
		}
	}
	return -1
}

// startDriver loads libcuda.so.1 and initializes it. why says what could not be
// loaded.
func startDriver() (why string, err error) {
	var text *C.char
	err = of(C.CUresult(C.zetagrid_cuda_start(&text)))
	if text != nil {
		why = C.GoString(text)
	}
	return why, err
}

func hostAlloc(bytes int) ([]byte, error) {
	var p unsafe.Pointer
	if err := of(C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}

// loadModule is a module of a PTX text, or what the compiler says of it.
func loadModule(ptx []byte) (m C.CUmodule, log string, err error) {
	text := C.CBytes(append(ptx[:len(ptx):len(ptx)], 0))
	defer C.free(text)
	said := (*C.char)(C.calloc(1, logBytes))
	defer C.free(unsafe.Pointer(said))
	err = of(C.load(&m, text, said, logBytes-1))
	return m, C.GoString(said), err
}

func moduleFunction(m C.CUmodule, name string) (f C.CUfunction, err error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	err = of(C.cuModuleGetFunction(&f, m, text))
	return f, err
}

// resources are the registers and the bytes of local memory of a thread.
func resources(f C.CUfunction) (registers, local C.int, err error) {
	if err = of(C.cuFuncGetAttribute(&registers, C.CU_FUNC_ATTRIBUTE_NUM_REGS, f)); err == nil {
		err = of(C.cuFuncGetAttribute(&local, C.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, f))
	}
	return registers, local, err
}

func allowShared(f C.CUfunction, bytes int) error {
	return of(C.cuFuncSetAttribute(f, C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes)))
}

func launch(f C.CUfunction, grid, block [3]int, shared int, s cu.Stream, args []byte) error {
	return of(C.launch(f, C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]), C.uint(block[0]), C.uint(block[1]), C.uint(block[2]),
		C.uint(shared), native(s), unsafe.Pointer(unsafe.SliceData(args))))
}

func beginCapture(s cu.Stream) error { return of(C.begin_capture(native(s))) }

func endCapture(s cu.Stream) (captured C.CUgraph, err error) {
	err = of(C.cuStreamEndCapture(native(s), &captured))
	return captured, err
}

// instantiate makes what can be launched of a captured graph, and gives that back.
func instantiate(captured C.CUgraph) (exec C.CUgraphExec, err error) {
	err = of(C.instantiate(captured, &exec))
	return exec, err
}

func dropGraph(captured C.CUgraph) error { return of(C.instantiate(captured, nil)) }

func launchGraph(exec C.CUgraphExec, s cu.Stream) error { return of(C.cuGraphLaunch(exec, native(s))) }

func destroyGraph(exec C.CUgraphExec) error { return of(C.cuGraphExecDestroy(exec)) }

func queryStream(s cu.Stream) error { return of(C.cuStreamQuery(native(s))) }

// cu.Event is a struct of the driver's handle alone.
func queryEvent(e cu.Event) error { return of(C.cuEventQuery(*(*C.CUevent)(unsafe.Pointer(&e)))) }

// rest lets a short time pass, less than a second. A timer of Go's, where nothing else
// runs, is a millisecond late; the system's less than a tenth of that. A signal ends it.
func rest(d time.Duration) { C.usleep(C.useconds_t(d.Microseconds())) }

func native(s cu.Stream) C.CUstream { return C.CUstream(unsafe.Pointer(s.C())) }
