// Package device is what the GPU stage asks of a CUDA device: memory, streams,
// launches, graphs. Package driver answers with a real one, package emulator with
// one that runs the same PTX on the processor.
//
// # Laws
//
//  1. What a [Stream] is asked to do happens in the order it was asked, and after
//     the call returned: only [Stream.Wait] says that it has happened. Streams do
//     their work beside each other, in no order but that of [Stream.After].
//  2. Memory handed to CopyIn and CopyOut stays valid and untouched until a Wait
//     after them returned.
//  3. Every failure is an [Error]: what kind of failure, the driver's own code and
//     name, and what was being done. After one whose kind is not [ErrOutOfMemory]
//     or [ErrUnsupported] the device computes nothing any more: Close it.
//  4. A Device, its streams, modules and graphs are used by one goroutine at a
//     time, whichever: no call depends on the operating system's thread. Only
//     [Device.Allocate], [Device.Free] and [Device.Info] may be called beside
//     others.
//
// # Limits
//
// A device has no limits of its own here: whoever calls bounds what it asks for.
package device

import "time"

// Pointer is an address in a device's memory; 0 is none.
type Pointer uint64

// Info is what a device says of itself.
type Info struct {
	Name            string // as the driver names it
	Memory          int64  // bytes it has
	Free            int64  // bytes of them that nobody has taken, when asked
	Major, Minor    int    // compute capability: 9, 0 is Hopper
	Multiprocessors int
	Driver          string // version of the driver
}

// Device is one CUDA device with a context of its own.
type Device interface {
	Info() Info
	// Allocate takes bytes of memory, at least 1, aligned to 256 bytes. What is
	// in it is undefined. Errors: ErrOutOfMemory.
	Allocate(bytes int64) (Pointer, error)
	Free(Pointer) error
	// Pinned is host memory that copies reach without a detour; 0 < bytes. It
	// lies outside the heap and must be given back with Unpin.
	Pinned(bytes int) ([]byte, error)
	Unpin([]byte) error
	// Load readies the kernels of a PTX text. Errors: ErrUnsupported when the
	// device cannot run it.
	Load(ptx []byte) (Module, error)
	NewStream() (Stream, error)
	// Close frees everything that was made of the device, also a lost one.
	Close() error
}

// Module is the kernels of one PTX text.
type Module interface {
	// Function is the kernel of a name. Errors: ErrUnsupported when there is none.
	Function(name string) (Function, error)
}

// Function is one kernel.
type Function interface {
	Name() string
}

// Launch is one run of a kernel.
type Launch struct {
	Grid   [3]int // blocks; each at least 1
	Block  [3]int // threads of a block; each at least 1, together at most 1,024
	Shared int    // bytes of dynamic shared memory of a block
	// Args is the kernel's one parameter, a struct, as the device lays it out:
	// little-endian, fields aligned to their size.
	Args []byte
}

// Stream is work that a device does in order.
type Stream interface {
	CopyIn(to Pointer, from []byte) error  // host to device
	CopyOut(to []byte, from Pointer) error // device to host
	CopyWithin(to, from Pointer, bytes int64) error
	Fill(to Pointer, value byte, bytes int64) error // every byte
	Launch(f Function, l Launch) error
	// Record runs do, which calls this stream's methods: they are not done but
	// become the graph. Args are read now; CopyIn and CopyOut are refused.
	Record(do func() error) (Graph, error)
	Replay(g Graph) error
	// Mark is a moment between what was asked before and after it.
	Mark() (Event, error)
	// After makes all that this stream is asked from now on happen after all that
	// earlier was asked until now. The host does not wait. What earlier is asked
	// later changes nothing, nor does its Close. Errors: ErrUnsupported if earlier
	// is another device's, one of the two is closed, or one is recording.
	After(earlier Stream) error
	// Wait returns when all that was asked is done, or with an ErrHung after
	// limit, which must be positive: the device is then lost.
	Wait(limit time.Duration) error
	// Close gives the stream back; what it was asked to do is still done.
	Close() error
}

// Graph is recorded work, ready to be done again and again at one launch's cost.
type Graph interface {
	// Close gives the graph back, once every Replay of it has been waited for.
	Close() error
}

// Event is a moment in a stream.
type Event interface {
	// Since is the device's time from an earlier event to this one. Both must
	// have been waited for.
	Since(earlier Event) (time.Duration, error)
	Close() error
}
