package session

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestErrorsNameTheHop: whoever reads an error learns which blocks to look for.
func TestErrorsNameTheHop(t *testing.T) {
	hop := "hop 1 with blocks 2-6"
	for _, c := range []struct {
		name string
		in   Input
		at   time.Duration
		want []string
	}{
		{"lost", HopLost{1, "no route"}, 0, []string{hop, "no route"}},
		{"silent", LeaseExpired{"b"}, 0, []string{hop, "lease ran out"}},
		{"refused", Refused{1, wire.CodeNoSlot, "16 sessions"}, 0, []string{hop, "no free slot", `"16 sessions"`}},
		{"refused without a text", Refused{1, wire.CodeNoSlot, ""}, 0, []string{hop, "no free slot"}},
		{"text of a stranger", Refused{1, wire.CodeStage, "\x1b[2J"}, 0, []string{hop, `"\x1b[2J"`}},
		{"not opened", Ticked{}, OpenTimeout, []string{hop, "did not open"}},
		{"unknown hop", HopLost{1 << 20, "odd"}, 0, []string{"hop 1048576"}},
		{"hop below the first", Refused{-1, wire.CodeStage, ""}, 0, []string{"hop -1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t, requestOf("a", 1), tcn.Range{Lo: 0, Hi: 2}, tcn.Range{Lo: 2, Hi: 6})
			g.Step(0, Started{})
			g.Step(0, Opened{0})
			err := endOf(t, g.Step(c.at, c.in)).Err
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
		})
	}
}

// TestLateLapNamesThePosition: all hops opened, nothing comes back.
func TestLateLapNamesThePosition(t *testing.T) {
	g := newGateway(t, requestOf("a", 1), tcn.Range{Lo: 0, Hi: 6})
	g.Step(0, Started{})
	g.Step(0, Opened{0})
	err := endOf(t, g.Step(LapTimeoutMin, Ticked{})).Err
	if !errors.Is(err, ErrDeadline) || !strings.Contains(err.Error(), "position 0") {
		t.Errorf("got error %v", err)
	}
}

// TestDeadlineCountsFromSending: rows that waited before they were sent have
// their whole lap yet.
func TestDeadlineCountsFromSending(t *testing.T) {
	g := newGateway(t, requestOf("a", 1), tcn.Range{Lo: 0, Hi: 6})
	g.Step(0, Started{})
	g.Step(0, Opened{0})
	const sent = LapTimeoutMin - 1
	if got := g.Step(sent, Sending{Position: 0}); len(got) != 1 || got[0] != (WakeAt{sent + LapTimeoutMin}) {
		t.Errorf("sending has the effects %v", got)
	}
	if got := g.Step(sent, Sending{Position: 1}); len(got) != 0 {
		t.Errorf("sending what is not in flight has the effects %v", got)
	}
	if got := g.Step(sent+LapTimeoutMin-1, Ticked{}); len(got) != 1 || got[0] != (WakeAt{sent + LapTimeoutMin}) {
		t.Errorf("before the deadline: %v", got)
	}
	if err := endOf(t, g.Step(sent+LapTimeoutMin, Ticked{})).Err; !errors.Is(err, ErrDeadline) {
		t.Errorf("at the deadline: %v", err)
	}
}

// TestRequestIsNotChanged: the prompt, and what lies behind it, stay the
// caller's.
func TestRequestIsNotChanged(t *testing.T) {
	prompt := []byte("abc")
	request := requestOf("", 5)
	request.Prompt = prompt[:2]
	g := newGateway(t, request, tcn.Range{Lo: 0, Hi: 6})
	g.Step(0, Started{})
	sent := g.Step(0, Opened{0})[0].(Send).Frame
	sent.Hop, sent.Timings = 1, 1
	sent.Body = wire.AppendTimings(wire.AppendRows(nil, spell('x'), wire.F32), make([]wire.Timing, 1))
	effects := g.Step(0, Returned{&sent})
	if emit, ok := effects[0].(Emit); !ok || bytesOf(emit.Pieces) != "x" {
		t.Fatalf("got %v, want x", effects)
	}
	if string(prompt) != "abc" {
		t.Errorf("the prompt has become %q", prompt)
	}
}

// TestUsageIsACopy: what a caller does to it does not reach the machine.
func TestUsageIsACopy(t *testing.T) {
	g := newGateway(t, requestOf("a", 1), tcn.Range{Lo: 0, Hi: 6})
	g.Usage().Hops[0].Peer = "changed"
	if got := g.Usage().Hops[0].Peer; got != "a" {
		t.Errorf("peer %q, want a", got)
	}
}

// newGateway is a gateway of a spelling model with six blocks.
func newGateway(t testing.TB, request Request, hops ...tcn.Range) *Gateway {
	t.Helper()
	config, ends := spelling(6, 0)
	g, err := NewGateway(planOf(config, ends, hops...), request)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// endOf is the Ended among effects.
func endOf(t testing.TB, effects []Effect) Ended {
	t.Helper()
	for _, effect := range effects {
		if ended, ok := effect.(Ended); ok {
			return ended
		}
	}
	t.Fatalf("no end among %v", effects)
	return Ended{}
}
