package emulator

// How much a kernel may ask for.
const (
	maxShared    = 227 << 10 // bytes of shared memory of a block, as compute capability 9.0 has
	maxLocal     = 1 << 16   // bytes of local memory of a thread
	maxParams    = 4096      // bytes
	maxThreads   = 1024      // of a block
	maxRegisters = 1 << 14   // of a kernel, constants and those of functions it calls included
	maxCode      = 1 << 18   // instructions of a text's kernels, with those of functions they call
	maxTexts     = 64        // of which is kept what was made of them
	maxDepth     = 16        // calls within calls
	maxCalls     = 1 << 12   // of a kernel and the functions it calls
)
