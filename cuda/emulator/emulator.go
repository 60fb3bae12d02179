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
//     [device.ErrIllegalAccess] and the device is lost, as a real one is. So does
//     a barrier that not all threads reach, and shared memory that two threads
//     touch, one of them writing, without a barrier between. A device that is
//     [Options].Strict looks for more.
//  3. Work of a stream is done when somebody waits for it or for what is after it,
//     not before: host code that takes back a buffer too early, or forgets that one
//     stream's work is after another's, computes wrongly here. So does a kernel that
//     does not wait for an asynchronous copy.
//  4. Neither a kernel nor its text can stop the program: a launch that has used
//     up its budget ends with [device.ErrHung], and texts have limits.
//  5. The same calls give the same results, the same errors and the same counts.
//
// # How it runs
//
// Load decodes every instruction once, into functions on registers of 32 lanes; what
// it made of a text serves the other devices of the process, too. What all lanes of a
// warp hold alike is computed once, and lanes that run without the others are computed
// like a whole warp where none of the others will read what that spoils.
// Lanes of a warp that go different ways are groups; the group furthest behind
// runs, so that they meet again where their ways do. The warps of a block run one
// after another from barrier to barrier, blocks one after another.
//
// # Limits
//
// A kernel whose blocks wait for later ones hangs here. It cannot show how long
// anything takes on a device (its clock counts instructions), in which order a
// device's memory is seen beyond these checks, or what the driver's own compiler
// makes of a text. Races between threads of a warp are found only where no barrier
// of the warp is between: a shuffle or a vote is none. A barrier of some of a
// block's threads counts as one of all when races are looked for.
package emulator
