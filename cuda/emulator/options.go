package emulator

// Options is what a device is like. The zero value has 1 GiB, looks for races in
// shared memory and ends launches that are far too long.
type Options struct {
	// Memory is how many bytes the device has; 0: 1 GiB.
	Memory int64
	// Budget is how many instructions the warps of a launch may run together, past
	// which it hangs; 0: 1 << 32.
	Budget int64
	// Racy lets threads of a block touch the same shared memory, one of them
	// writing, without a barrier between: for kernels known to be right, which run
	// faster so.
	Racy bool
	// Strict looks also for what takes time and memory to find: memory that is
	// read and was never written, and threads of a launch that touch the same
	// memory of the device, one of them writing, without a barrier between. Atomic
	// instructions may meet each other.
	Strict bool
}
