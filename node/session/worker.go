package session

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// Refusal is why a worker ends its session; the gateway is told.
type Refusal struct {
	Code wire.Code
	Text string
}

func (r *Refusal) Error() string { return r.Code.String() + ": " + r.Text }

func refuse(code wire.Code, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Inputs of a Worker.
type (
	// Arrived: Peer sent a frame. The machine does not keep it.
	Arrived struct {
		Peer  string
		Frame *wire.Frame
	}
	// Computed: the rows of the oldest Compute effect went through the stage.
	Computed struct {
		Rows   tcn.Rows
		Timing wire.Timing
		Err    error
	}
)

func (Arrived) input()  {}
func (Computed) input() {}

// Effects of a Worker; it also has Send.
type (
	// Compute: step these rows; answer with Computed, in order.
	Compute struct{ Rows tcn.Rows }
	// Refuse: tell the gateway and end the session here.
	Refuse struct{ Refusal *Refusal }
)

func (Compute) effect() {}
func (Refuse) effect()  {}

// Worker is one hop's side of a session. It is not safe for concurrent use.
type Worker struct {
	id      wire.SessionID
	hop     uint16
	hops    uint16
	epoch   uint32
	gateway string
	open    wire.Open
	blocks  tcn.Range
	dModel  int
	number  wire.Number
	history int // H(next hop)

	next  uint64         // position of the next row to arrive
	out   uint64         // position of the next row to leave the stage
	sent  *Ring[float32] // rows sent on; nil for the last hop, whose next is the gateway
	busy  []arrival      // frames between Compute and Computed
	spare [][]float32    // row buffers to use again, at most spareBuffers
	ended bool
}

// arrival is what must be remembered of a frame while its rows are computed.
type arrival struct {
	header  wire.Header
	timings []wire.Timing
}

// NewWorker opens a session at a hop for the gateway, whose identity is proven
// by its connection. The range must be one of c's; whether it is loaded here is
// the caller's to check. The error is a *Refusal.
func NewWorker(gateway string, head wire.Header, open wire.Open, c tcn.Config) (*Worker, error) {
	blocks := tcn.Range{Lo: int(open.Lo), Hi: int(open.Hi)}
	last := head.Hop+1 == open.Hops
	switch {
	case head.Kind != wire.KindOpen:
		return nil, refuse(wire.CodeMalformed, "a frame of kind %d in place of an open", head.Kind)
	case head.Hop >= open.Hops:
		return nil, refuse(wire.CodeMalformed, "hop %d of a chain of %d", head.Hop, open.Hops)
	case int(open.NextHi) > c.Blocks():
		return nil, refuse(wire.CodeMalformed, "blocks to %d of a model with %d", open.NextHi, c.Blocks())
	case last != (open.NextHi == open.Hi) || last != (blocks.Hi == c.Blocks()) || (head.Hop == 0) != (blocks.Lo == 0):
		return nil, refuse(wire.CodeMalformed, "hop %d of %d with blocks %d-%d before %d", head.Hop, open.Hops, open.Lo, open.Hi, open.NextHi)
	case head.Hop == 0 && string(open.Previous) != gateway, last && string(open.Next) != gateway:
		return nil, refuse(wire.CodeWrongPeer, "the chain does not begin and end at its gateway")
	}
	w := &Worker{
		id: head.Session, hop: head.Hop, hops: open.Hops, epoch: head.Epoch,
		gateway: gateway, open: open, blocks: blocks, dModel: c.DModel, number: number(c),
		next: open.Start, out: open.Start,
	}
	if !last {
		w.history = c.HistoryRows(tcn.Range{Lo: blocks.Hi, Hi: int(open.NextHi)})
		w.sent = NewRing[float32](w.history+int(open.Window), c.DModel, open.Start)
	}
	return w, nil
}

// RingBytes is the memory a worker's ring takes from its first row on, to be
// reserved before it. Blocks that c does not have count for nothing.
func RingBytes(c tcn.Config, open wire.Open) int64 {
	next := tcn.Range{Lo: int(open.Hi), Hi: min(int(open.NextHi), c.Blocks())}
	if next.Hi <= next.Lo {
		return 0
	}
	rows := c.HistoryRows(next) + int(open.Window)
	return int64(rows) * int64(c.DModel) * 4
}

// WindowBytes is the memory a worker's rows take at most, to be reserved before
// the first: those that arrived and wait for the stage, and the ring of those
// sent on.
func WindowBytes(c tcn.Config, open wire.Open) int64 {
	return int64(open.Window)*int64(c.DModel)*4 + RingBytes(c, open)
}

// Blocks is the range the session uses here.
func (w *Worker) Blocks() tcn.Range { return w.blocks }

// Previous and Next are the peers that the gateway named.
func (w *Worker) Previous() string { return string(w.open.Previous) }
func (w *Worker) Next() string     { return string(w.open.Next) }

// Attach is the first frame of the rows stream to Next.
func (w *Worker) Attach() wire.Frame {
	return wire.Frame{Header: wire.Header{Kind: wire.KindAttach, Session: w.id, Epoch: w.epoch, Hop: w.hop + 1}}
}

// Step takes what happened and returns what to do about it. A worker needs no
// clock: its session lives as long as the gateway's control stream.
func (w *Worker) Step(in Input) []Effect {
	if w.ended {
		return nil
	}
	switch in := in.(type) {
	case Arrived:
		if in.Frame.Kind == wire.KindRows && in.Frame.Session == w.id && in.Frame.Epoch < w.epoch {
			return nil // of an older epoch
		}
		compute, refusal := w.arrived(in.Peer, in.Frame)
		if refusal != nil {
			return w.refuse(refusal)
		}
		return []Effect{compute}
	case Computed:
		if in.Err != nil {
			return w.refuse(refuse(stageCode(in.Err), "%v", in.Err))
		}
		return w.computed(in)
	}
	return nil
}

// stageCode is the refusal for an error of a stage.
func stageCode(err error) wire.Code {
	if errors.Is(err, tcn.ErrNoRoom) {
		return wire.CodeNoMemory
	}
	return wire.CodeStage
}

func (w *Worker) refuse(r *Refusal) []Effect {
	w.ended = true
	return []Effect{Refuse{r}}
}

func (w *Worker) arrived(peer string, f *wire.Frame) (Compute, *Refusal) {
	if peer != w.Previous() {
		return Compute{}, refuse(wire.CodeWrongPeer, "hop %d", w.hop)
	}
	switch {
	case f.Kind != wire.KindRows || f.Session != w.id || f.Hop != w.hop || f.Timings != w.hop:
		return Compute{}, refuse(wire.CodeMalformed, "kind %d for hop %d with %d timings at hop %d", f.Kind, f.Hop, f.Timings, w.hop)
	case f.Epoch != w.epoch:
		return Compute{}, refuse(wire.CodeEpoch, "epoch %d, the session's is %d", f.Epoch, w.epoch)
	case f.Position != w.next:
		return Compute{}, refuse(wire.CodePosition, "rows at %d, want %d", f.Position, w.next)
	case f.Done > w.out: // else whoever lies about done has no window
		return Compute{}, refuse(wire.CodeWindow, "done %d, but rows from %d on are still here", f.Done, w.out)
	case f.Position+uint64(f.Rows)-f.Done > uint64(w.open.Window):
		return Compute{}, refuse(wire.CodeWindow, "rows to %d while %d is not done, window %d", f.Position+uint64(f.Rows), f.Done, w.open.Window)
	}
	a := arrival{header: f.Header, timings: make([]wire.Timing, f.Timings, int(f.Timings)+1)}
	rows := w.buffer(int(f.Rows) * w.dModel)
	if err := wire.ParseRows(f.Body, rows, w.number, a.timings); err != nil {
		code := wire.CodeMalformed
		if errors.Is(err, wire.ErrNotFinite) {
			code = wire.CodeNotFinite
		}
		return Compute{}, refuse(code, "%v", err)
	}
	w.busy = append(w.busy, a)
	w.next += uint64(f.Rows)
	return Compute{tcn.Rows{Position: int(f.Position), Count: int(f.Rows), Data: rows}}, nil
}

// buffer returns room for n numbers: a spare that is large enough, or new.
func (w *Worker) buffer(n int) []float32 {
	if last := len(w.spare) - 1; last >= 0 {
		b := w.spare[last]
		w.spare = w.spare[:last]
		if cap(b) >= n {
			return b[:n]
		}
	}
	return make([]float32, n)
}

// computed forwards the rows: all of them to the next hop, those wanted to the
// gateway.
func (w *Worker) computed(in Computed) []Effect {
	if len(w.busy) == 0 {
		return nil
	}
	a := w.busy[0]
	w.busy = w.busy[1:]
	if uint64(in.Rows.Position) != a.header.Position {
		// Only a gateway that lies about done makes results overtake each other.
		return w.refuse(refuse(wire.CodePosition, "rows at %d computed before those at %d", in.Rows.Position, a.header.Position))
	}
	w.out += uint64(a.header.Rows)
	head := a.header
	head.Hop++
	head.Timings++
	rows := in.Rows.Data
	if w.sent != nil {
		w.sent.Append(rows)
		w.sent.Trim(keepFrom(head.Done, w.history))
	} else {
		rows = rows[len(rows)-wantedRows(head.Position, uint64(head.Rows), head.Want)*w.dModel:]
	}
	body := make([]byte, 0, len(rows)*w.number.Bytes()+8*len(a.timings)+8)
	body = wire.AppendRows(body, rows, w.number)
	body = wire.AppendTimings(body, append(a.timings, in.Timing))
	if len(w.spare) < spareBuffers {
		w.spare = append(w.spare, in.Rows.Data)
	}
	return []Effect{Send{wire.Frame{Header: head, Body: body}}}
}
