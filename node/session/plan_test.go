package session

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// singles is n hops of one block.
func singles(n int) []tcn.Range {
	hops := make([]tcn.Range, n)
	for i := range hops {
		hops[i] = tcn.Range{Lo: i, Hi: i + 1}
	}
	return hops
}

func TestPlanCovers(t *testing.T) {
	for _, c := range []struct {
		name    string
		blocks  int
		hops    []tcn.Range
		missing string // part of the error; "" for a valid plan
	}{
		{"one hop", 6, []tcn.Range{{Lo: 0, Hi: 6}}, ""},
		{"three hops", 6, []tcn.Range{{Lo: 0, Hi: 1}, {Lo: 1, Hi: 5}, {Lo: 5, Hi: 6}}, ""},
		{"no hop", 6, nil, "0 hops"},
		{"chain at the limit", wire.HopsPerChain, singles(wire.HopsPerChain), ""},
		{"chain past the limit", wire.HopsPerChain + 1, singles(wire.HopsPerChain + 1), "257 hops"},
		{"first blocks missing", 6, []tcn.Range{{Lo: 1, Hi: 6}}, "from 0"},
		{"hole", 6, []tcn.Range{{Lo: 0, Hi: 2}, {Lo: 3, Hi: 6}}, "from 2"},
		{"overlap", 6, []tcn.Range{{Lo: 0, Hi: 3}, {Lo: 2, Hi: 6}}, "from 3"},
		{"empty hop", 6, []tcn.Range{{Lo: 0, Hi: 3}, {Lo: 3, Hi: 3}, {Lo: 3, Hi: 6}}, "from 3"},
		{"last blocks missing", 6, []tcn.Range{{Lo: 0, Hi: 4}}, "4-6"},
		{"more blocks than there are", 6, []tcn.Range{{Lo: 0, Hi: 7}}, "7-6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, ends := spelling(c.blocks, 0)
			_, err := NewGateway(planOf(config, ends, c.hops...), requestOf("x", 1))
			if c.missing == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrUncovered) || !strings.Contains(err.Error(), c.missing) {
				t.Errorf("got error %v, want %v with %q", err, ErrUncovered, c.missing)
			}
		})
	}
}

// TestNewGatewayChecksTheRequest: the model's positions count.
func TestNewGatewayChecksTheRequest(t *testing.T) {
	config, ends := spelling(1, 4)
	plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 1})
	for prompt, want := range map[string]error{"": ErrRequest, "four": nil, "five5": ErrTooLong} {
		if _, err := NewGateway(plan, requestOf(prompt, 1)); !errors.Is(err, want) {
			t.Errorf("prompt %q: got error %v, want %v", prompt, err, want)
		}
	}
}

// TestRowsPerFrame: a frame of any model holds at least a row, and never more
// than a frame may.
func TestRowsPerFrame(t *testing.T) {
	for _, c := range []struct {
		dModel   int
		boundary tcn.Number
		chunk    int
		want     int
	}{
		{256, tcn.F32, 0, wire.RowsPerFrame},
		{256, tcn.F32, 7, 7},
		{256, tcn.F32, 1000, wire.RowsPerFrame},
		{256, tcn.F32, -1, wire.RowsPerFrame},
		{16_384, tcn.F32, 0, 15},
		{16_384, tcn.BF16, 0, 31},
		{tcn.MaxFanIn, tcn.F32, 0, 1},
	} {
		config := tcn.Config{DModel: c.dModel, Boundary: c.boundary}
		got := rowsPerFrame(config, c.chunk)
		if got != c.want {
			t.Errorf("d_model %d, %s, chunk %d: %d rows, want %d", c.dModel, c.boundary, c.chunk, got, c.want)
		}
		if size := got*c.dModel*number(config).Bytes() + 8*wire.HopsPerChain; size > wire.PayloadBytes {
			t.Errorf("d_model %d: %d rows and timings take %d bytes, limit %d", c.dModel, got, size, wire.PayloadBytes)
		}
	}
}

// TestOpensFitTogether: every hop accepts what the plan tells it, and the peers
// form a ring through the gateway.
func TestOpensFitTogether(t *testing.T) {
	config, ends := spelling(6, 0)
	plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 1}, tcn.Range{Lo: 1, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	var peers []string
	for i := range plan.Hops {
		head, open := openOf(t, plan, i)
		w, err := NewWorker("g", head, open, config)
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		if w.Blocks() != plan.Hops[i].Blocks {
			t.Errorf("hop %d has blocks %v, want %v", i, w.Blocks(), plan.Hops[i].Blocks)
		}
		peers = append(peers, w.Previous()+plan.Hops[i].Peer+w.Next())
		want := wire.Header{Kind: wire.KindAttach, Session: sessionID, Epoch: 1, Hop: uint16(i + 1)}
		if attach := w.Attach(); attach.Header != want || len(attach.Body) != 0 {
			t.Errorf("hop %d attaches with\n%s", i, cmp.Diff(want, attach.Header))
		}
	}
	if diff := cmp.Diff([]string{"gab", "abc", "bcg"}, peers); diff != "" {
		t.Errorf("previous, self, next:\n%s", diff)
	}
}
