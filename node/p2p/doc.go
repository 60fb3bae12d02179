// Package p2p is a node's presence on the network: its identity and connections
// (Host), the claims it shares with the grid of one Genome (Membership), and the
// streams between the hops of a chain (Stream).
//
// A Host speaks QUIC v1 and nothing else, to Ed25519 identities and nobody else.
// It finds peers in three ways, each enough alone: addresses given at start
// (bootstrap), multicast on the local network (mDNS), and a Kademlia DHT of our
// own. What the DHT says is a hint: a peer is believed for what it signs.
//
// Laws:
//
//  1. Remote input never panics and never grows anything past limits.go.
//  2. A claim reaches the shard map only after its signature was checked.
//  3. A relayed connection carries control only, never rows, unless its relay sets
//     no limits (Options.RelayRows).
//  4. Nothing outlives Close.
//  5. A bootstrap peer that does not answer delays nothing but its own dial.
//
// Limits are the constants of limits.go, each with its reason.
package p2p
