// libcuda.a: what a program links in place of the driver's library, so that it is
// built, and starts, where there is no driver. Every function is a jump through a
// variable. Until zetagrid_cuda_start has found libcuda.so.1, and for functions
// that it lacks, the variables hold functions that only return an error.
//
// All of it is hidden: a program's own functions come before a library's, so if they
// were seen outside, the driver's calls of itself could end up here.
//
// Jumping, not calling, hands on arguments of any number and type untouched, so
// nothing is needed here but names: symbols.h has those that the program asks for.
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

enum { success = 0, stub_library = 34, not_found = 500 }; // of CUresult

static int without_driver(void) { return stub_library; }
static int too_old(void) { return not_found; }

#if defined(__x86_64__)
#define JUMP(name) "endbr64\n\tjmp *zetagrid_at_" #name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name) "adrp x16, zetagrid_at_" #name "\n\tldr x16, [x16, :lo12:zetagrid_at_" #name "]\n\tbr x16\n"
#else
#error "CUDA's driver is for x86-64 and arm64"
#endif

#define SYMBOL(name) \
	HIDDEN void *zetagrid_at_##name = (void *)without_driver; \
	__asm__(".pushsection .text\n.balign 16\n.globl " #name "\n.hidden " #name "\n.type " #name ", %function\n" #name ":\n\t" JUMP(name) \
	        ".size " #name ", .-" #name "\n.popsection\n");
#include "symbols.h"
#undef SYMBOL

static const struct {
	const char *name;
	void **at;
} symbols[] = {
#define SYMBOL(name) {#name, &zetagrid_at_##name},
#include "symbols.h"
#undef SYMBOL
};

// cuInit does nothing: package cu calls it when the program starts, and ends the
// program where it fails. zetagrid_cuda_start calls the driver's.
HIDDEN int cuInit(unsigned flags) {
	(void)flags;
	return success;
}

// zetagrid_cuda_start loads the driver and initializes it. It returns a CUresult;
// *why says which file could not be loaded, or is NULL.
HIDDEN int zetagrid_cuda_start(const char **why) {
	*why = NULL;
	void *library = dlopen("libcuda.so.1", RTLD_NOW);
	if (!library) {
		*why = dlerror();
		return stub_library;
	}
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		void *found = dlsym(library, symbols[i].name);
		*symbols[i].at = found ? found : (void *)too_old;
	}
	// Kernels are made ready when they are loaded, not when they are first launched: that
	// may be in a recording, or in what is timed.
	setenv("CUDA_MODULE_LOADING", "EAGER", 0);
	int (*init)(unsigned);
	*(void **)&init = dlsym(library, "cuInit");
	return init ? init(0) : not_found;
}
