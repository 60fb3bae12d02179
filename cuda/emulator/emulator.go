// Package emulator is a CUDA device that runs PTX on the processor, so that the
// GPU stage, host code and kernels, is tested where there is no GPU.
//
// # Laws
//
//  1. What an instruction computes is what the PTX language says, to the bit. One
//     whose result is not exact, or that is not known here, is refused by
//     [Device.Load], with its line.
//  2. A kernel reaches nothing but its parameters, its shared and local memory and
//     live allocations, at aligned addresses; else the launch fails with
//     [device.ErrIllegalAccess] and the device is lost, as a real one is.
//  3. Work of a stream is done when somebody waits for it, not before: host code
//     that takes back a buffer too early computes wrongly here.
//  4. Neither a kernel nor its text can stop the program: endless loops end with
//     [device.ErrHung], deadlocks with [device.ErrIllegalAccess].
//
// # Limits
//
// Blocks run one after another, so a kernel whose blocks wait for each other
// hangs. It cannot show how long anything takes on a device, in which order a
// device's memory is seen beyond these checks, or what the driver's own compiler
// makes of a text.
package emulator
