// Package plan answers what hardware holds which model, before anybody buys or
// rents it. It computes and predicts; nothing is measured here, and no file, clock
// or network is used.
//
//	Upper  the tables of the scaling report: an upper bound from a number of
//	       parameters and bits alone
//	Needs  what this implementation takes: bytes of real files, rings, Souls
//	Lay    blocks over GPUs, copies of them, rates, and what one GPU's death costs
//
// # Rates
//
// Decoding reads every weight of a block once a Step, however many rows wait, so
// a Step over blocks takes
//
//	Σ max(bytes / (MemoryEfficiency·bandwidth), rows·operations / (ComputeEfficiency·int8 rate)) + layers·LayerSeconds
//
// and a hop takes half a round trip, its bytes over the link, and HopSeconds. A
// lap is the sum; sessions in flight fill the chain in groups. The constants are
// in limits.go with their reasons. A prediction is no measurement.
//
// # Laws
//
//  1. Byte counts are those of the files that package modelfile writes, to the
//     byte.
//  2. The same arguments give the same layout.
//  3. A GPU never holds more than its memory less Reserve and a workspace.
//  4. What a GPU holds of a block is all a session needs there: weights, Souls,
//     and room for the state of every session.
//
// # Limits
//
// GPUs of a rack, kinds and bytes of a table: see limits.go.
package plan
