package session

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// Traces are plays: what happens, then what the machine does about it. Run with
// -rewrite to write what it does now, and commit the difference only when you
// can explain every line of it.
//
//	new hops=(0-2,2-6) max=3     a gateway g with hops at peers a, b, …; the input is the prompt
//	ready hops=(0-6) max=3       the same, started and opened
//	start, opened hop=0, …       what happens, at=5s from then on
//	return next=x                the last hop returns the oldest frame in flight; x becomes the next byte
func TestGatewayTraces(t *testing.T) {
	datadriven.Walk(t, "testdata/gateway", func(t *testing.T, path string) {
		play := &gatewayPlay{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return play.step(t, d)
		})
	})
}

type gatewayPlay struct {
	gateway *Gateway
	now     time.Duration
	sent    []wire.Header // rows that have not come back
}

func (p *gatewayPlay) step(t *testing.T, d *datadriven.TestData) string {
	if d.HasArg("at") {
		p.now = duration(t, d, "at")
	}
	hop := -1
	d.MaybeScanArgs(t, "hop", &hop)
	switch d.Cmd {
	case "new":
		return p.open(t, d)
	case "ready":
		failed := p.open(t, d)
		if failed == "" {
			p.effects(Started{})
			for i := range p.gateway.plan.Hops {
				p.effects(Opened{i})
			}
		}
		return failed
	case "start":
		return p.effects(Started{})
	case "opened":
		return p.effects(Opened{hop})
	case "refused":
		return p.effects(Refused{hop, codeArg(t, d), d.Input})
	case "lost":
		return p.effects(HopLost{hop, d.Input})
	case "expired":
		return p.effects(LeaseExpired{d.Input})
	case "return":
		var effects strings.Builder
		times := 1
		d.MaybeScanArgs(t, "times", &times)
		for range times {
			effects.WriteString(p.effects(Returned{p.returned(t, d)}))
		}
		return effects.String()
	case "tick":
		return p.effects(Ticked{})
	case "cancel":
		return p.effects(Canceled{})
	case "usage":
		return p.usage()
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (p *gatewayPlay) open(t *testing.T, d *datadriven.TestData) string {
	var positions, chunk int
	repeat, request := 1, Request{LogProbs: -1}
	d.MaybeScanArgs(t, "positions", &positions)
	d.MaybeScanArgs(t, "chunk", &chunk)
	d.MaybeScanArgs(t, "repeat", &repeat)
	d.MaybeScanArgs(t, "logprobs", &request.LogProbs)
	d.ScanArgs(t, "max", &request.MaxBytes)
	if stops, ok := d.Arg("stop"); ok {
		for _, stop := range stops.Vals {
			request.Stop = append(request.Stop, []byte(stop))
		}
	}
	request.Prompt = []byte(strings.Repeat(d.Input, repeat))
	hops := rangesArg(t, d, "hops")
	blocks := 6
	d.MaybeScanArgs(t, "blocks", &blocks)
	config, ends := spelling(blocks, positions)
	plan := planOf(config, ends, hops...)
	plan.Chunk = chunk
	gateway, err := NewGateway(plan, request)
	if err != nil {
		return nameOf(err) + "\n"
	}
	*p = gatewayPlay{gateway: gateway}
	return ""
}

// returned makes the frame that the last hop answers the oldest one with; every
// part of it can be made wrong.
func (p *gatewayPlay) returned(t *testing.T, d *datadriven.TestData) *wire.Frame {
	last := len(p.gateway.plan.Hops)
	var sent wire.Header
	if len(p.sent) > 0 {
		sent = p.sent[0]
	}
	f := &wire.Frame{Header: sent}
	f.Hop, f.Timings = uint16(last), uint16(last)
	for key, field := range map[string]any{
		"epoch": &f.Epoch, "position": &f.Position, "rows": &f.Rows, "timings": &f.Timings, "for": &f.Hop,
	} {
		d.MaybeScanArgs(t, key, field)
	}
	if d.HasArg("attach") {
		f.Kind = wire.KindAttach
	}
	if d.HasArg("session") {
		f.Session = wire.SessionID{9}
	}
	wanted := wantedRows(sent.Position, uint64(sent.Rows), sent.Want)
	rows := make([]float32, wanted*256)
	if wanted > 0 {
		next := " "
		d.MaybeScanArgs(t, "next", &next)
		copy(rows[len(rows)-256:], spell(next[0]))
	}
	if d.HasArg("nan") {
		rows[0] = float32(math.NaN())
	}
	f.Body = wire.AppendTimings(wire.AppendRows(nil, rows, wire.F32), timingsArg(t, d, last))
	if d.HasArg("short") {
		f.Body = f.Body[:len(f.Body)-1]
	}
	return f
}

// effects steps the machine and describes what it wants.
func (p *gatewayPlay) effects(in Input) string {
	done := p.gateway.done
	var s strings.Builder
	for _, effect := range p.gateway.Step(p.now, in) {
		if send, ok := effect.(Send); ok {
			p.sent = append(p.sent, send.Frame.Header)
		}
		s.WriteString(describe(effect))
	}
	if p.gateway.done > done {
		p.sent = p.sent[1:]
	}
	return s.String()
}

func (p *gatewayPlay) usage() string {
	u := p.gateway.Usage()
	var s strings.Builder
	fmt.Fprintf(&s, "prompt %d generated %d laps %d\n", u.PromptBytes, u.GeneratedBytes, u.Laps)
	fmt.Fprintf(&s, "total %v queue %v compute %v wire %v\n", u.Total, u.Queue, u.Compute, u.Wire)
	for _, hop := range u.Hops {
		fmt.Fprintf(&s, "  %s with %d-%d: queue %v compute %v\n", hop.Peer, hop.Blocks.Lo, hop.Blocks.Hi, hop.Queue, hop.Compute)
	}
	return s.String()
}

// describe is one line for an effect of either machine.
func describe(effect Effect) string {
	switch e := effect.(type) {
	case SendOpen:
		o, err := wire.ParseOpen(e.Frame.Body)
		if err != nil {
			return nameOf(err)
		}
		return fmt.Sprintf("open hop %d of %d epoch %d: blocks %d-%d before %d, window %d, start %d, from %s to %s\n",
			e.Hop, o.Hops, e.Frame.Epoch, o.Lo, o.Hi, o.NextHi, o.Window, o.Start, o.Previous, o.Next)
	case Send:
		h := e.Frame.Header
		return fmt.Sprintf("send rows %d-%d to hop %d: done %d want %d timings %d %s\n",
			h.Position, h.Position+uint64(h.Rows), h.Hop, h.Done, h.Want, h.Timings, bodyOf(&e.Frame))
	case Emit:
		return emitted(e.Pieces)
	case WakeAt:
		return fmt.Sprintf("wake at %v\n", e.At)
	case Ended:
		if e.Err != nil {
			return nameOf(e.Err) + "\n"
		}
		return fmt.Sprintf("finish: %s\n", e.Finish)
	case Compute:
		return fmt.Sprintf("compute rows %d-%d %v\n", e.Rows.Position, e.Rows.Position+e.Rows.Count, e.Rows.Data)
	case Refuse:
		return fmt.Sprintf("refuse: %s\n", e.Refusal.Code)
	}
	return fmt.Sprintf("%T\n", effect)
}

// bodyOf describes a payload: as the text that a gateway's rows spell, else as
// numbers.
func bodyOf(f *wire.Frame) string {
	size := len(f.Body) - 8*int(f.Timings)
	rows, timings := make([]float32, size/4), make([]wire.Timing, f.Timings)
	if err := wire.ParseRows(f.Body, rows, wire.F32, timings); err != nil {
		return nameOf(err)
	}
	if f.Hop == 0 {
		text := spelled(rows)
		if len(text) > 8 {
			text = text[:8] + "…"
		}
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(rows, timings)
}

func emitted(pieces []Piece) string {
	var s strings.Builder
	fmt.Fprintf(&s, "emit %q at %d\n", bytesOf(pieces), pieces[0].Position)
	for _, p := range pieces {
		if p.LogProb != 0 {
			fmt.Fprintf(&s, "  %q %.3f", p.Byte, p.LogProb)
			for _, top := range p.Top {
				fmt.Fprintf(&s, ", %q %.3f", top.Byte, top.LogProb)
			}
			fmt.Fprintln(&s)
		}
	}
	return s.String()
}

// nameOf names the kind of an error; texts may change freely.
func nameOf(err error) string {
	names := []struct {
		err  error
		name string
	}{
		{ErrRequest, "ErrRequest"}, {ErrTooLong, "ErrTooLong"}, {ErrModel, "ErrModel"}, {ErrSoul, "ErrSoul"},
		{ErrUncovered, "ErrUncovered"}, {ErrHopLost, "ErrHopLost"}, {ErrRefused, "ErrRefused"},
		{ErrDeadline, "ErrDeadline"}, {ErrBusy, "ErrBusy"}, {ErrCanceled, "ErrCanceled"},
		{wire.ErrFrame, "wire.ErrFrame"}, {wire.ErrNotFinite, "wire.ErrNotFinite"},
		{tcn.ErrNotFinite, "tcn.ErrNotFinite"}, {tcn.ErrTooLong, "tcn.ErrTooLong"},
	}
	var found []string
	for _, n := range names {
		if errors.Is(err, n.err) {
			found = append(found, n.name)
		}
	}
	if found == nil {
		found = []string{fmt.Sprintf("%T", err)}
	}
	return "error: " + strings.Join(found, " ")
}
