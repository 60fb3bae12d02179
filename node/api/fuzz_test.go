package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/zetagrid/zetagrid/node/session"
)

// checkDecoded holds what every decoded request must be, and every refusal.
func checkDecoded(t *testing.T, g *generation, e *Error) {
	t.Helper()
	if e != nil {
		if e.Status < 400 || e.Status > 499 || e.Code == "" || e.Type == "" || e.Message == "" {
			t.Fatalf("refusal without its parts: %+v", e)
		}
		return
	}
	r := g.request
	if err := r.Check(0); err != nil {
		t.Fatalf("a session refuses what was decoded: %v", err)
	}
	if r.Model == "" || r.LogProbs < -1 || r.LogProbs > Alternatives || len(r.Soul) > SoulName {
		t.Fatalf("decoded %+v", r)
	}
	if seed, err := ParseSeed(string(g.seed)); err != nil || seed != r.Sampling.Seed {
		t.Fatalf("seed %q is told and %d is used", g.seed, r.Sampling.Seed)
	}
	if _, err := encode(g.render("id", 1, part{whole: true, bytes: r.Prompt})); err != nil {
		t.Fatal(err)
	}
}

func FuzzCompletionRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		g, e := decodeCompletion(body, (&double{}).Models())
		checkDecoded(t, g, e)
		if e != nil {
			return
		}
		// What the Client would send for it decodes to the same request.
		r := g.request
		if r.Sampling.TopP == 0 || r.MaxBytes > 64 {
			return
		}
		again, err := json.Marshal(completionRequestOf(r))
		if err != nil {
			t.Fatal(err)
		}
		back, e := decodeCompletion(again, (&double{}).Models())
		if e != nil {
			t.Fatalf("%s: %v", again, e)
		}
		if !bytes.Equal(back.request.Prompt, r.Prompt) || back.request.Sampling != r.Sampling || len(back.request.Stop) != len(r.Stop) {
			t.Fatalf("%+v came back as %+v", r, back.request)
		}
	})
}

func FuzzChatRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		g, e := decodeChat(body, (&double{}).Models())
		checkDecoded(t, g, e)
	})
}

// FuzzCompletionStream: a node that lies gives its Client an error, not a panic
// and not a byte too many.
func FuzzCompletionStream(f *testing.F) {
	f.Fuzz(func(t *testing.T, events []byte, logProbs bool) {
		c := &Completion{
			body: io.NopCloser(bytes.NewReader(events)), cancel: func() {}, ended: func() error { return nil },
			events: newEventReader(bytes.NewReader(events)), logProbs: logProbs,
		}
		pieces, err := collect(t, c)
		for i, p := range pieces {
			if p.Position != i {
				t.Fatalf("byte %d is at position %d", i, p.Position)
			}
		}
		var e *Error
		if err != nil && !errors.Is(err, ErrReply) && !errors.Is(err, session.ErrHopLost) && !errors.As(err, &e) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && c.Finish() == "" {
			t.Fatal("an answer without a finish")
		}
	})
}

// FuzzReply: what a node answers outside a stream is decoded or refused.
func FuzzReply(f *testing.F) {
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		change, err := decodeChange(kind, data)
		if err == nil && (change.Status == nil) == (change.Event == nil) {
			t.Fatalf("%+v is neither a status nor an event", change)
		}
		if err != nil && !errors.Is(err, ErrReply) {
			t.Fatal(err)
		}
		var e *Error
		if err := decodeError(503, data); !errors.Is(err, ErrReply) && (!errors.As(err, &e) || e.Status != 503) {
			t.Fatal(err)
		}
	})
}
