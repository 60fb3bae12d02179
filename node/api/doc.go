// Package api is the node's HTTP face: the OpenAI endpoints, the state of the
// grid, health and metrics, and a small [Client] for all of them.
//
// Its duty is translation. It turns a JSON body into one
// [session.Request], the pieces that come back into JSON or server-sent events,
// and every way a generation can fail into one error of a fixed list. It knows
// the grid only through [Grid], computes nothing and keeps no state between
// requests.
//
// # Laws
//
//  1. A token is a byte. `bytes` (base64), joined over all chunks of an answer,
//     is exactly what the model produced; `text` is made from it, for people.
//  2. A chunk never splits a character, and the texts of the chunks, joined,
//     are the text of the whole: each byte that is no UTF-8 becomes U+FFFD.
//  3. Same model, Soul, prompt, sampling and seed, same bytes. A seed that the
//     caller left out is drawn and returned.
//  4. What would change the answer and is not supported is refused by name,
//     never ignored. A field that is unknown is ignored, as OpenAI does.
//  5. What was streamed before an error is a true prefix of the answer. After an
//     error event nothing follows, not even [DONE].
//  6. When the caller goes away, its Stream is closed.
//  7. Whatever a stranger can grow is bounded in limits.go, and memory is
//     promised (a generation slot) before a body is read.
//
// # Limits
//
// One choice an answer, no tools, no penalties, no log-probabilities of the
// prompt. Without a token, only loopback names are answered, so that a web page
// cannot reach a node by rebinding its DNS name; with one, the token travels in
// the clear unless something in front adds TLS.
//
// The JSON of every answer is described in README.md.
package api
