package api

import (
	"time"

	"github.com/zetagrid/zetagrid/node/session"
)

// usage is what an answer cost, as OpenAI says it, and where its time went.
type usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	Lap              lap `json:"lap"`
}

// lap is where the time of all laps together went, in milliseconds. queue and
// compute are summed over hops; wire is the rest of the laps' time.
type lap struct {
	Laps      int     `json:"laps"`
	TotalMS   float64 `json:"total_ms"`
	QueueMS   float64 `json:"queue_ms"`
	ComputeMS float64 `json:"compute_ms"`
	WireMS    float64 `json:"wire_ms"`
	Hops      []hop   `json:"hops"` // in chain order; never null
}

// hop is one hop's share.
type hop struct {
	Peer      string  `json:"peer"`
	Blocks    Span    `json:"blocks"`
	QueueMS   float64 `json:"queue_ms"`
	ComputeMS float64 `json:"compute_ms"`
}

func usageOf(u session.Usage) *usage {
	out := &usage{
		PromptTokens: u.PromptBytes, CompletionTokens: u.GeneratedBytes,
		TotalTokens: u.PromptBytes + u.GeneratedBytes,
		Lap: lap{
			Laps: u.Laps, TotalMS: ms(u.Total), QueueMS: ms(u.Queue),
			ComputeMS: ms(u.Compute), WireMS: ms(u.Wire), Hops: []hop{},
		},
	}
	for _, h := range u.Hops {
		out.Lap.Hops = append(out.Lap.Hops, hop{h.Peer, SpanOf(h.Blocks), ms(h.Queue), ms(h.Compute)})
	}
	return out
}

// session is the inverse of usageOf, but for the rounding of milliseconds.
func (u *usage) session() session.Usage {
	out := session.Usage{
		PromptBytes: u.PromptTokens, GeneratedBytes: u.CompletionTokens,
		Laps: u.Lap.Laps, Total: duration(u.Lap.TotalMS), Queue: duration(u.Lap.QueueMS),
		Compute: duration(u.Lap.ComputeMS), Wire: duration(u.Lap.WireMS),
	}
	for _, h := range u.Lap.Hops {
		out.Hops = append(out.Hops, session.HopUsage{
			Peer: h.Peer, Blocks: h.Blocks.Range(), Queue: duration(h.QueueMS), Compute: duration(h.ComputeMS),
		})
	}
	return out
}

func ms(d time.Duration) float64        { return float64(d) / float64(time.Millisecond) }
func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
