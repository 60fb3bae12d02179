// Package session keeps one generation correct: two pure state machines, the
// [Gateway] that took the prompt and the [Worker] of each hop.
//
// A session's chain is the hops that cover all Fractal Blocks. The gateway
// embeds the text, sends rows to the first hop, gets the last hop's rows back,
// applies the head, samples, and sends the new byte round again: a lap. Each
// hop forwards directly to the next.
//
// Machines take inputs and the time and return effects. They have no clock,
// socket, file or goroutine; the caller carries the effects out, in order.
//
// # Laws
//
//  1. The bytes emitted depend on (Model, Soul, prompt, sampling, seed) alone.
//  2. What was emitted is never retracted or repeated.
//  3. At most Window rows are in flight; done is the first position whose
//     output has not reached the gateway.
//  4. A sender keeps the rows from done − H(next hop) on, so that a lost hop can
//     be rebuilt.
//  5. Frames of an older epoch are dropped; only the gateway raises the epoch.
//  6. Rows from anyone but the peer the gateway named are refused.
//
// Limits are in limits.go.
package session
