// Package node is the daemon: it wires the host, the shard map, the content
// store, the stage and the API together and owns their lifetimes.
//
// A prompt enters through [Node.Generate] at any node, the gateway. It routes a
// chain of hops over the blocks, drives a session.Gateway, and sends rows to the
// first hop; every hop forwards to the next, the last back to the gateway. At a
// hop, a session.Worker checks frames and the device's one executor steps all
// waiting rows of all sessions together.
//
// # Laws
//
//  1. What is computed where, with whom and in what pieces changes no byte.
//  2. Nothing computes on the device outside its executor, and the executor
//     never waits for a peer.
//  3. A session's state, ring and slots are reserved before they are made, and
//     are gone when its gateway's control stream is.
//  4. Close returns when nothing of the node is left running.
//  5. When the device fails (tcn.ErrDevice), the node's claim and every session on
//     it end at once; the rest of the node lives on. The device is opened again,
//     with pauses and not for ever, and serves only once it computes the golden
//     digests. What a device cannot hold (tcn.ErrNoRoom) the node does not own.
//
// Limits are in limits.go.
package node
