package session

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

func stopsOf(n, size int) [][]byte {
	stops := make([][]byte, n)
	for i := range stops {
		stops[i] = make([]byte, size)
	}
	return stops
}

func TestRequestLimits(t *testing.T) {
	for _, c := range []struct {
		name      string
		positions int
		change    func(r *Request)
		want      error // nil: the request is valid
	}{
		{"plain", 0, func(*Request) {}, nil},
		{"no prompt", 0, func(r *Request) { r.Prompt = nil }, ErrRequest},
		{"prompt at the limit", 0, func(r *Request) { r.Prompt = make([]byte, PromptBytes) }, nil},
		{"prompt past the limit", 0, func(r *Request) { r.Prompt = make([]byte, PromptBytes+1) }, ErrTooLong},
		{"prompt of all positions", 8, func(r *Request) { r.Prompt = make([]byte, 8) }, nil},
		{"prompt past the positions", 8, func(r *Request) { r.Prompt = make([]byte, 9) }, ErrTooLong},
		{"nothing to generate", 0, func(r *Request) { r.MaxBytes = 0 }, nil},
		{"less than nothing", 0, func(r *Request) { r.MaxBytes = -1 }, ErrRequest},
		{"bytes at the limit", 0, func(r *Request) { r.MaxBytes = GeneratedBytes }, nil},
		{"bytes past the limit", 0, func(r *Request) { r.MaxBytes = GeneratedBytes + 1 }, ErrRequest},
		{"most bytes", 0, func(r *Request) { r.MaxBytes = math.MaxInt }, ErrRequest},
		{"stops at the limit", 0, func(r *Request) { r.Stop = stopsOf(StopSequences, 1) }, nil},
		{"stops past the limit", 0, func(r *Request) { r.Stop = stopsOf(StopSequences+1, 1) }, ErrRequest},
		{"empty stop", 0, func(r *Request) { r.Stop = stopsOf(1, 0) }, ErrRequest},
		{"stop at the limit", 0, func(r *Request) { r.Stop = stopsOf(2, StopBytes) }, nil},
		{"stop past the limit", 0, func(r *Request) { r.Stop = stopsOf(2, StopBytes+1) }, ErrRequest},
		{"no log-probabilities", 0, func(r *Request) { r.LogProbs = -1 }, nil},
		{"fewer than none", 0, func(r *Request) { r.LogProbs = -2 }, ErrRequest},
		{"log-probabilities at the limit", 0, func(r *Request) { r.LogProbs = TopLogProbs }, nil},
		{"log-probabilities past the limit", 0, func(r *Request) { r.LogProbs = TopLogProbs + 1 }, ErrRequest},
		{"temperature below zero", 0, func(r *Request) { r.Sampling.Temperature = -1 }, ErrRequest},
		{"temperature not a number", 0, func(r *Request) { r.Sampling.Temperature = float32(math.NaN()) }, ErrRequest},
		{"top-k past the vocabulary", 0, func(r *Request) { r.Sampling.TopK = 257 }, ErrRequest},
		{"top-p above one", 0, func(r *Request) { r.Sampling.TopP = 1.5 }, ErrRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := requestOf("prompt", 5)
			c.change(&r)
			if err := r.Check(c.positions); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}

// TestRequestNamesTheSamplingOption: the cause is kept beside the kind.
func TestRequestNamesTheSamplingOption(t *testing.T) {
	r := requestOf("prompt", 5)
	r.Sampling.TopK = -1
	if err := r.Check(0); !errors.Is(err, tcn.ErrSampling) || !strings.Contains(err.Error(), "top-k") {
		t.Errorf("error %v does not name the option", err)
	}
}

func TestLikeliest(t *testing.T) {
	var logProbs [256]float32
	for b := range logProbs {
		logProbs[b] = -9
	}
	logProbs['b'], logProbs['a'], logProbs['z'] = -1, -1, -0.5
	for _, n := range []int{0, 1, 3, 4, 256} {
		got := likeliest(&logProbs, n)
		if len(got) != n {
			t.Fatalf("%d alternatives, want %d", len(got), n)
		}
		for i, want := range []byte("zab\x00")[:min(n, 4)] {
			if got[i].Byte != want || got[i].LogProb != logProbs[want] {
				t.Errorf("%d of %d: got %v, want %q", i, n, got[i], want)
			}
		}
	}
}
