package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
)

func TestClientCarriesARequestAndItsAnswerWhole(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	grid := &double{answer: saying(string(every) + "ü€𝄞")}
	server := serve(t, grid, Options{})
	client := &Client{Base: server.URL}
	for _, want := range []session.Request{
		{Prompt: []byte("plain"), MaxBytes: 300, LogProbs: -1},
		{Prompt: every, MaxBytes: 600, LogProbs: 3, Soul: "none", Model: otherModel,
			Sampling: tcn.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, Seed: 1<<64 - 1}},
		{Prompt: []byte("x"), MaxBytes: 0, LogProbs: 0, Stop: [][]byte{[]byte("never"), {0xff, 0x00}}},
		{Prompt: []byte("x"), MaxBytes: 9, LogProbs: -1, Sampling: tcn.Sampling{TopP: 1, Temperature: 2}},
		{Prompt: every, MaxBytes: 3, LogProbs: 2, Echo: true},
		{Prompt: []byte("scored"), MaxBytes: 0, LogProbs: 0, Echo: true},
	} {
		stream, err := client.Complete(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := collect(t, stream)
		if err != nil {
			t.Fatal(err)
		}
		got := grid.last(t)
		if want.Model == "" {
			want.Model = ownModel
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("request changed on the way (-sent +arrived):\n%s", diff)
		}
		direct, err := grid.Generate(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		same, err := collect(t, direct)
		if err != nil {
			t.Fatal(err)
		}
		if want.LogProbs < 0 {
			for i := range same {
				same[i].LogProb = 0
			}
		}
		if diff := cmp.Diff(same, pieces, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("answer changed on the way (-grid +client):\n%s", diff)
		}
		if stream.Finish() != direct.Finish() || stream.Seed() != want.Sampling.Seed || stream.Model() != want.Model {
			t.Errorf("finish %q seed %d model %q", stream.Finish(), stream.Seed(), stream.Model())
		}
		if diff := cmp.Diff(direct.Usage(), stream.Usage()); diff != "" {
			t.Errorf("usage changed on the way:\n%s", diff)
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClientGivesSentinelsBack(t *testing.T) {
	for _, row := range sentinels {
		if errors.Is(row.sentinel, context.Canceled) || errors.Is(row.sentinel, context.DeadlineExceeded) {
			continue // reach the client as ErrCanceled and ErrDeadline
		}
		t.Run(row.code, func(t *testing.T) {
			fail := fmt.Errorf("%w: blocks 2 to 4", row.sentinel)
			for name, grid := range map[string]*double{
				"at once": {refuse: fail}, "first byte": {fail: fail}, "later": {fail: fail, failAt: 5},
			} {
				server := serve(t, grid, Options{})
				client := &Client{Base: server.URL}
				var pieces []session.Piece
				stream, err := client.Complete(t.Context(), session.Request{Prompt: []byte("p"), MaxBytes: 9, LogProbs: -1})
				if err == nil {
					pieces, err = collect(t, stream)
					if closeErr := stream.Close(); closeErr != nil {
						t.Error(closeErr)
					}
				}
				var e *Error
				if !errors.Is(err, row.sentinel) || !errors.As(err, &e) || e.Code != row.code {
					t.Errorf("%s: got %v", name, err)
				}
				if len(pieces) != grid.failAt {
					t.Errorf("%s: %d bytes before the error, want %d", name, len(pieces), grid.failAt)
				}
			}
		})
	}
}

func TestClientReadsTheGrid(t *testing.T) {
	grid := &double{events: make(chan Event), status: Status{
		Self: "a", Model: ownModel, Blocks: 4, Missing: []Span{{2, 4}},
		Nodes: []Node{{Peer: "a", Blocks: Span{0, 2}, State: "serving"}, {Peer: "b", State: "joining"}},
	}}
	server := serve(t, grid, Options{Token: "secret"})
	client := &Client{Base: server.URL, Token: "secret"}

	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(grid.status.filled(), status); diff != "" {
		t.Errorf("status:\n%s", diff)
	}
	models, err := client.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(models) != 2 || models[0].ID != ownModel || models[0].Soul != ownSoul {
		t.Errorf("models: %+v", models)
	}
	if _, err := (&Client{Base: server.URL, Token: "wrong"}).Status(t.Context()); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong token: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := []Event{
		{Kind: NodeJoined, Peer: "c", AtMS: 1}, {Kind: RangeServing, Peer: "c", Blocks: Span{2, 4}, AtMS: 2},
	}
	var got []Event
	for change, err := range client.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Status != nil {
			if diff := cmp.Diff(grid.status.filled(), *change.Status); diff != "" {
				t.Errorf("first event:\n%s", diff)
			}
		} else {
			got = append(got, *change.Event)
		}
		if len(got) == len(sent) {
			break
		}
		grid.events <- sent[len(got)]
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("events:\n%s", diff)
	}
}
