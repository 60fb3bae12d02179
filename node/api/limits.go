package api

import (
	"time"

	"github.com/zetagrid/zetagrid/node/session"
)

// What a caller can make the API hold, and why no more than that.
const (
	// PromptBytes is the longest prompt, after the chat template: what a session
	// takes.
	PromptBytes = session.PromptBytes
	// RequestBytes is the longest request body: a prompt of PromptBytes bytes
	// each escaped as \u00XX, and 64 KiB for every other field.
	RequestBytes = 6*PromptBytes + 64<<10
	// JSONDepth is how deep arrays and objects nest in a request. The deepest
	// field the API reads is at 5; tools and schemas, refused by name rather
	// than as bad JSON, rarely pass 16.
	JSONDepth = 32
	// ChatMessages is how many messages one chat holds: the template may put
	// 8 KiB around each, and so 8 MiB before the prompt is measured.
	ChatMessages = 1024
	// ContentParts is how many parts one message's content may come in.
	ContentParts = 256
	// StopSequences is how many stop sequences a request may name, those of the
	// chat template among them (OpenAI: 4), and StopBytes how long each may be:
	// what a session takes.
	StopSequences = session.StopSequences
	StopBytes     = session.StopBytes
	// Alternatives is how many likeliest bytes can be asked for with each byte
	// (top_logprobs, as OpenAI's; also the integer logprobs of completions).
	Alternatives = 20
	// SoulName is the longest Soul name: a CID of any sane kind fits in 128.
	SoulName = 128

	// StreamedBytes is the most bytes a streamed answer may ask for: what a
	// session takes.
	StreamedBytes = session.GeneratedBytes
	// BufferedBytes is the most bytes of an answer in one piece, which the
	// gateway holds until it ends.
	BufferedBytes = 1 << 20
	// BufferedLogProbBytes is the same with log-probabilities: about 2 KiB of
	// JSON a byte with 20 alternatives, so 16 MiB.
	BufferedLogProbBytes = 8 << 10

	// DefaultConcurrent is how many generations run at once unless Options says
	// otherwise. Each may hold a body of RequestBytes while it is decoded.
	DefaultConcurrent = 64
	// EventStreams is how many callers may follow /api/v1/events at once.
	EventStreams = 32
	// Connections is how many sockets Listen keeps open; more wait.
	Connections = 512
	// HeaderBytes is the longest request head.
	HeaderBytes = 16 << 10

	// EventBytes is the longest line of a server-sent event that the Client
	// reads: a chunk of one byte with its alternatives is about 3 KiB.
	EventBytes = 256 << 10
	// ReplyBytes is the longest JSON answer that the Client reads: a Status of
	// 16,384 nodes at 1 KiB each.
	ReplyBytes = 16 << 20
)

// How long a caller may keep the API waiting.
const (
	headerTimeout = 5 * time.Second   // a request's head, from its first byte
	bodyTimeout   = 30 * time.Second  // a request's body: RequestBytes at 2 Mbit/s
	writeTimeout  = 30 * time.Second  // one write, until the socket takes it
	idleTimeout   = 120 * time.Second // an open connection without a request
	cutTime       = time.Second       // an answer cut off, until its error is written
	retryAfter    = "1"               // seconds; leases in a small grid last 3
)

// MaxTemperature is the highest temperature, as OpenAI has it.
const MaxTemperature = 2

// What a caller gets who does not say how many bytes to generate.
const (
	// DefaultCompletion is max_tokens of /v1/completions when absent.
	DefaultCompletion = 256
	// DefaultChat is max_tokens of /v1/chat/completions when absent.
	DefaultChat = 1024
)
