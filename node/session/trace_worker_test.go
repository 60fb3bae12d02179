package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestWorkerTraces plays the side of a hop, of a model whose rows are two
// numbers and whose blocks have one row of history each.
//
//	new hop=1 blocks=2-4 next=6        hop 1 of 3 opens, at peer b between a and c
//	rows position=0 values=(1,2,3,4)   rows arrive from the previous hop
//	computed                           the stage, which adds 100, is through with the oldest rows
func TestWorkerTraces(t *testing.T) {
	datadriven.Walk(t, "testdata/worker", func(t *testing.T, path string) {
		play := &workerPlay{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return play.step(t, d)
		})
	})
}

const workerWidth = 2

// narrow is a model of six blocks whose rows are two numbers.
func narrow(boundary tcn.Number) tcn.Config {
	return tcn.Config{
		Cell: tcn.CellRelease, VocabSize: 256, DModel: workerWidth, DFF: 1, Layers: 6, LayersPerBlock: 1,
		KernelSize: 2, Dilations: []int{1}, RMSEps: 1, State: tcn.F32, Boundary: boundary,
	}
}

type workerPlay struct {
	worker    *Worker
	computing []tcn.Rows
}

func (p *workerPlay) step(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "new":
		return p.open(t, d)
	case "attach":
		h := p.worker.Attach().Header
		return fmt.Sprintf("attach to hop %d epoch %d\n", h.Hop, h.Epoch)
	case "rows":
		from := p.worker.Previous()
		d.MaybeScanArgs(t, "from", &from)
		return p.effects(Arrived{from, p.rows(t, d)})
	case "computed":
		return p.computed(t, d)
	case "ring":
		return p.ring()
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (p *workerPlay) open(t *testing.T, d *datadriven.TestData) string {
	head := wire.Header{Kind: wire.KindOpen, Session: sessionID, Epoch: 1}
	open := wire.Open{Model: []byte("model"), Hops: 3, Window: Window}
	d.ScanArgs(t, "hop", &head.Hop)
	d.MaybeScanArgs(t, "epoch", &head.Epoch)
	d.MaybeScanArgs(t, "window", &open.Window)
	d.MaybeScanArgs(t, "start", &open.Start)
	blocks := rangesArg(t, d, "blocks")[0]
	open.Lo, open.Hi, open.NextHi = uint32(blocks.Lo), uint32(blocks.Hi), uint32(blocks.Hi)
	d.MaybeScanArgs(t, "next", &open.NextHi)
	peers := "gabcg"[head.Hop:]
	open.Previous, open.Next = []byte(peers[:1]), []byte(peers[2:3])
	boundary := tcn.F32
	if d.HasArg("bf16") {
		boundary = tcn.BF16
	}
	worker, err := NewWorker("g", head, open, narrow(boundary))
	if err != nil {
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			return nameOf(err) + "\n"
		}
		return describe(Refuse{refusal})
	}
	*p = workerPlay{worker: worker}
	return ""
}

// rows is a frame as the previous hop sends it; every part of it can be made
// wrong.
func (p *workerPlay) rows(t *testing.T, d *datadriven.TestData) *wire.Frame {
	var values []float32
	if arg, ok := d.Arg("values"); ok {
		values = make([]float32, len(arg.Vals))
		for i := range values {
			arg.Scan(t, i, &values[i])
		}
	}
	w := p.worker
	f := &wire.Frame{Header: wire.Header{
		Kind: wire.KindRows, Session: sessionID, Epoch: w.epoch, Hop: w.hop, Timings: w.hop,
		Rows: uint32(len(values) / workerWidth),
	}}
	for key, field := range map[string]any{
		"position": &f.Position, "done": &f.Done, "want": &f.Want, "count": &f.Rows,
		"epoch": &f.Epoch, "for": &f.Hop, "timings": &f.Timings,
	} {
		d.MaybeScanArgs(t, key, field)
	}
	if values == nil {
		values = make([]float32, int(f.Rows)*workerWidth)
	}
	if d.HasArg("attach") {
		f.Kind = wire.KindAttach
	}
	if d.HasArg("session") {
		f.Session = wire.SessionID{9}
	}
	f.Body = wire.AppendTimings(wire.AppendRows(nil, values, w.number), timingsArg(t, d, int(w.hop)))
	return f
}

func (p *workerPlay) computed(t *testing.T, d *datadriven.TestData) string {
	in := Computed{Timing: timingsArg(t, d, 1)[0]}
	if d.HasArg("failed") {
		in.Err = errors.New("device on fire")
	}
	if len(p.computing) > 0 {
		in.Rows = p.computing[0]
		p.computing = p.computing[1:]
		for i := range in.Rows.Data {
			in.Rows.Data[i] += 100
		}
	}
	return p.effects(in)
}

func (p *workerPlay) effects(in Input) string {
	var s strings.Builder
	for _, effect := range p.worker.Step(in) {
		line := describe(effect)
		if compute, ok := effect.(Compute); ok {
			p.computing = append(p.computing, compute.Rows)
			if len(line) > 100 {
				line = line[:strings.Index(line, "[")] + "…\n"
			}
		}
		s.WriteString(line)
	}
	return s.String()
}

func (p *workerPlay) ring() string {
	ring := p.worker.sent
	if ring == nil {
		return "none\n"
	}
	rows, err := ring.From(nil, ring.Begin())
	if err != nil {
		return nameOf(err) + "\n"
	}
	return fmt.Sprintf("rows %d-%d %v\n", ring.Begin(), ring.End(), rows)
}
