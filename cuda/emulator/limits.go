package emulator

// How much a kernel may ask for.
const (
	maxShared  = 227 << 10 // bytes of shared memory of a block, as compute capability 9.0 has
	maxLocal   = 1 << 16   // bytes of local memory of a thread
	maxCode    = 1 << 20   // instructions of a kernel, with those of functions it calls
	maxCalls   = 16        // calls within calls
	maxThreads = 1024      // of a block
	maxParams  = 4096      // bytes
)
