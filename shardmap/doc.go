// Package shardmap decides who serves which Fractal Blocks, and finds chains
// through those that do.
//
// A [Map] is one node's view of the grid and its own part in it: a pure state
// machine. Events go into [Map.Step] with the time, effects come out. It reads no
// clock, starts no goroutine, takes no lock and touches no network; the shell
// around it (node/p2p) seals and gossips the claims it publishes, opens those that
// arrive, fetches the tiles it asks for, and ticks it at [Map.NextWake].
//
// # Claims
//
// Each node alone says what it owns, in a signed [Claim] with a lease. Claims come
// by gossip, and by an exchange when two nodes connect: each sends its
// [Map.Digest], answers the other's with [Map.Newer], and opens and hears what
// [ParseEntries] finds in the answer.
//
// # Laws
//
//  1. Only a claim with a higher (incarnation, sequence) extends a lease.
//  2. A lease runs for no longer than its claim says, nor, when a third party
//     handed the claim on, for longer than the time left that came with it.
//  3. An expired claim leaves a tombstone for ten leases. Only a higher claim
//     lifts it. So no copy still under way revives the dead.
//  4. A claim is believed about its own node only. What a stranger says is
//     bounded, and bad claims are dropped and counted, never an error or a panic.
//  5. A node moves only itself. Whose turn it is to fill a hole follows from the
//     map, alike on every node that sees the same.
//  6. A joining claim counts as held for others that choose, and not for routes.
//  7. A node announces only numbers above all that it, or anyone, used for it.
//  8. The same events at the same times have the same effects: nothing depends on
//     the order of a Go map.
//
// # Limits
//
// They are in limits.go with their reasons: sealed claim [ClaimBytes], ranges
// [ClaimRanges], table [TableNodes], blocks [BlocksMost], exchange [DigestBytes]
// and [EntriesBytes], leases [LeaseLeast] to [LeaseMost], servers weighed for a
// block [RouteServers].
//
// # Example
//
//	m, err := shardmap.New(shardmap.Options{Self: id, Genome: cid, Blocks: 32, Arithmetic: 1, Incarnation: n})
//	effects := m.Step(now, shardmap.Seek{CapacityBlocks: 8}) // Publish: idle
//	effects = m.Step(now, shardmap.Heard{Claim: claim, Sealed: sealed, Left: claim.Lease})
//	effects = m.Step(m.NextWake(now), shardmap.Ticked{})     // Load 8-16, Publish: joining
//	effects = m.Step(now, shardmap.Loaded{Ranges: ranges})   // Publish: serving
//	hops, err := m.Route(now, nil)
package shardmap
