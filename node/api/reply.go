package api

import (
	"encoding/json"
	"math"

	"github.com/zetagrid/zetagrid/node/session"
)

// reply is an answer or a chunk of one, of either endpoint.
type reply[C any] struct {
	ID      string      `json:"id"`
	Object  string      `json:"object"`
	Created int64       `json:"created"` // Unix seconds
	Model   string      `json:"model"`   // Model CID
	Soul    string      `json:"soul,omitempty"`
	Seed    json.Number `json:"seed"`
	Choices []C         `json:"choices"`
	Usage   *usage      `json:"usage,omitempty"`
}

// completionChoice is a choice of /v1/completions, whole or a chunk.
type completionChoice struct {
	Index    int                 `json:"index"`
	Text     string              `json:"text"`
	Bytes    []byte              `json:"bytes"` // base64 of what text was made from
	LogProbs *completionLogProbs `json:"logprobs"`
	Finish   *session.Finish     `json:"finish_reason"`
}

// completionLogProbs is OpenAI's table: element i of each list is byte i.
type completionLogProbs struct {
	Tokens   []string             `json:"tokens"`
	LogProbs []*float32           `json:"token_logprobs"` // null for the first byte of an echoed prompt
	Top      []map[string]float32 `json:"top_logprobs"`   // the same
	Offsets  []int                `json:"text_offset"`    // in bytes, from the start of the answer
}

// chatChoice is a choice of a whole chat answer.
type chatChoice struct {
	Index    int             `json:"index"`
	Message  turn            `json:"message"`
	LogProbs *chatLogProbs   `json:"logprobs"`
	Finish   *session.Finish `json:"finish_reason"`
}

// chatChunk is a choice of a chunk of one.
type chatChunk struct {
	Index    int             `json:"index"`
	Delta    turn            `json:"delta"`
	LogProbs *chatLogProbs   `json:"logprobs"`
	Finish   *session.Finish `json:"finish_reason"`
}

// turn is what the assistant says.
type turn struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
	Bytes   []byte `json:"bytes"` // base64 of what content was made from
}

// chatLogProbs is OpenAI's list, an element a byte.
type chatLogProbs struct {
	Content []chatLogProb `json:"content"`
}

type chatLogProb struct {
	token
	Top []token `json:"top_logprobs"`
}

// token is one candidate byte.
type token struct {
	Token   string  `json:"token"`
	Bytes   []int   `json:"bytes"` // one element: a token is a byte
	LogProb float32 `json:"logprob"`
}

// part is a stretch of the answer, ready to be shown.
type part struct {
	bytes  []byte          // prompt if echoed, then generated
	pieces []session.Piece // of the generated ones
	offset int             // of pieces[0] in the answer
	finish *session.Finish // set in the last part
	whole  bool            // the only part, not streamed
	role   bool            // the first part of a streamed chat
	usage  *usage
}

// render is p in the JSON shape of g's endpoint.
func (g *generation) render(id string, created int64, p part) any {
	if p.bytes == nil {
		p.bytes = []byte{} // [] in JSON, never null
	}
	if !g.chat {
		return fill(g, "cmpl-"+id, "text_completion", created, p, completionChoice{
			Text: textOf(p.bytes), Bytes: p.bytes, LogProbs: g.completionLogProbs(p), Finish: p.finish,
		})
	}
	said := turn{Content: textOf(p.bytes), Bytes: p.bytes}
	if p.role || p.whole {
		said.Role = "assistant"
	}
	if p.whole {
		return fill(g, "chatcmpl-"+id, "chat.completion", created, p, chatChoice{
			Message: said, LogProbs: g.chatLogProbs(p), Finish: p.finish,
		})
	}
	return fill(g, "chatcmpl-"+id, "chat.completion.chunk", created, p, chatChunk{
		Delta: said, LogProbs: g.chatLogProbs(p), Finish: p.finish,
	})
}

// fill completes a reply; a chunk with usage has no choice, as OpenAI has it.
func fill[C any](g *generation, id, object string, created int64, p part, choice C) reply[C] {
	out := reply[C]{
		ID: id, Object: object, Created: created,
		Model: g.model.ID, Soul: g.soul, Seed: g.seed, Choices: []C{choice}, Usage: p.usage,
	}
	if p.usage != nil && !p.whole {
		out.Choices = []C{}
	}
	return out
}

func (g *generation) completionLogProbs(p part) *completionLogProbs {
	if g.request.LogProbs < 0 {
		return nil
	}
	out := &completionLogProbs{Tokens: []string{}, LogProbs: []*float32{}, Top: []map[string]float32{}, Offsets: []int{}}
	for i, piece := range p.pieces {
		out.Tokens = append(out.Tokens, tokenOf(piece.Byte))
		out.Offsets = append(out.Offsets, p.offset+i)
		if math.IsNaN(float64(piece.LogProb)) {
			out.LogProbs, out.Top = append(out.LogProbs, nil), append(out.Top, nil)
			continue
		}
		top := make(map[string]float32, len(piece.Top))
		for _, t := range piece.Top {
			top[tokenOf(t.Byte)] = finite(t.LogProb)
		}
		logProb := finite(piece.LogProb)
		out.LogProbs = append(out.LogProbs, &logProb)
		out.Top = append(out.Top, top)
	}
	return out
}

func (g *generation) chatLogProbs(p part) *chatLogProbs {
	if g.request.LogProbs < 0 {
		return nil
	}
	out := &chatLogProbs{Content: []chatLogProb{}}
	for _, piece := range p.pieces {
		one := chatLogProb{token: tokenFor(piece.Byte, piece.LogProb), Top: []token{}}
		for _, t := range piece.Top {
			one.Top = append(one.Top, tokenFor(t.Byte, t.LogProb))
		}
		out.Content = append(out.Content, one)
	}
	return out
}

func tokenFor(b byte, logProb float32) token {
	return token{Token: tokenOf(b), Bytes: []int{int(b)}, LogProb: finite(logProb)}
}

// finite is x as JSON can say it; -9999 stands for a probability of 0, as it
// does in OpenAI's answers.
func finite(x float32) float32 {
	if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
		return -9999
	}
	return x
}
