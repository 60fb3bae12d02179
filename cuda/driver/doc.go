// Package driver is the CUDA devices of this machine as [device.Device], through
// the driver API. Without the build tag cuda, or where it is not Linux, it has the
// same functions and no devices.
//
// # Laws
//
//  1. The program starts where there is no CUDA driver: libcuda.so.1 is looked for
//     when [Devices] or [Open] is first called, and once.
//  2. A device has a context of its own. Every call makes it current on a thread
//     that it holds for that long; none depends on the thread it came on.
//  3. The driver never gets an address in Go's heap that it keeps: copies of memory
//     that is not pinned go through pinned memory of the stream.
//  4. No method waits for the driver without a limit. Work is asked for and looked
//     at, never waited for inside the driver; calls that may wait there (memory,
//     modules, Close) run beside their caller, who gives up on them. What did not
//     end in time is an ErrHung, and the device is lost.
//  5. After a failure that a device does not survive every method returns that
//     failure and calls the driver no more. Close then destroys the context, with
//     all that was made of it, pinned memory included. A hung one cannot be destroyed: its context and its
//     memory stay taken until the program ends.
//
// # Limits
//
// Compute capability 8.0 or later, a driver for CUDA 11.4 or later, x86-64 and arm64
// Linux. The waits of law 4 are in limits.go.
package driver
