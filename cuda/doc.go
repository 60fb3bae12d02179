// Package cuda is the model's stage on a GPU: a [tcn.Backend] over one
// [device.Device], which package driver or, in tests, package emulator provides.
//
// # Laws
//
//  1. One answer: a stage computes the bits of the CPU's stage, whatever the batch,
//     the passes it is cut into and the Souls worn in it.
//  2. In steady state a Step allocates nothing, neither here nor on the device: it
//     copies its rows in, replays one recorded graph a pass and copies them out. Of
//     several passes one is computed while the next one's rows come in and those
//     of the one before go out. A shape of batch seen for the first time records a
//     graph, a Variant worn for the first time is copied to the device.
//  3. A failure of the device is an error that wraps [tcn.ErrDevice] and its
//     [device.Error]; nothing panics. After it everything that was loaded refuses
//     work with the same error, and Close still gives back what can be given back.
//  4. Want of memory wraps [tcn.ErrNoRoom]: a Load or NewState that does not fit
//     takes nothing, a Soul that does not fit fails the Works that wear it alone.
//  5. The memory of states is taken by Load. NewState and State.Close never call
//     the device.
//
// # Memory of a stage
//
// [Needs] counts it: the weights, each matrix once however many blocks share it;
// room for one pass, and the rows of the next; the pool of states, see
// [Options.StateBytes]. Beside that Souls and small parameters are kept as long as a state wears them,
// and up to maxIdle Variants longer, unless the memory is wanted for something else.
//
// # Limits
//
// limits.go bounds graphs, idle Variants and the rows of a pass. The ranks of Souls
// are bounded by tcn; how many Souls a sequence wears is the caller's to bound.
//
// # Reading order
//
// backend.go and stage.go; step.go, how a Step is cut into passes; record.go, what a
// pass launches, which is the model itself; variant.go and parts.go, what sequences
// wear. layout.go says where everything lies; pool.go, arena.go and stager.go are
// memory; hands.go moves rows.
package cuda
