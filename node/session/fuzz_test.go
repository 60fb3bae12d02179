package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// script is what a fuzz target plays: each byte decides one thing.
type script struct{ rest []byte }

// pick is a number in [0, n); 0 when the script is over.
func (s *script) pick(n int) int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b) % n
}

func (s *script) uint64() uint64 {
	var b [8]byte
	s.rest = s.rest[copy(b[:], s.rest):]
	return binary.LittleEndian.Uint64(b[:])
}

// tamper changes one part of a frame.
func (s *script) tamper(f *wire.Frame) {
	switch s.pick(12) {
	case 0:
		f.Kind = wire.Kind(s.pick(256))
	case 1:
		f.Session[s.pick(16)] ^= 1
	case 2:
		f.Epoch = uint32(s.uint64())
	case 3:
		f.Hop = uint16(s.uint64())
	case 4:
		f.Timings = uint16(s.uint64())
	case 5:
		f.Rows = uint32(s.uint64())
	case 6:
		f.Position = s.uint64()
	case 7:
		f.Done = s.uint64()
	case 8:
		f.Want = s.uint64()
	case 9:
		f.Body = f.Body[:len(f.Body)*s.pick(256)/256]
	case 10:
		f.Body = append(f.Body, make([]byte, s.pick(256))...)
	case 11:
		if len(f.Body) > 0 {
			copy(f.Body[s.pick(len(f.Body)):], []byte{0xff, 0xff, 0xff, 0xff})
		}
	}
}

// crosses reports whether f would get past a reader: machines see no other.
func crosses(f *wire.Frame) bool {
	return new(wire.Frame).Read(bytes.NewReader(f.Append(nil))) == nil
}

// FuzzWorker plays a previous hop that sends what it likes, in and out of turn.
// The worker goes on or refuses, once; it never keeps or computes more than the
// window and the history allow.
func FuzzWorker(f *testing.F) {
	config := narrow(tcn.F32)
	plan := planOf(config, nil, tcn.Range{Lo: 0, Hi: 2}, tcn.Range{Lo: 2, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	f.Fuzz(func(t *testing.T, hop uint8, b []byte) {
		frame := plan.open(int(hop%3), 2, 1+len(b)%Window)
		open, err := wire.ParseOpen(frame.Body)
		if err != nil {
			t.Fatal(err)
		}
		w, err := NewWorker("g", frame.Header, open, config)
		if err != nil {
			t.Fatal(err)
		}
		play := &workerFuzz{t: t, worker: w, script: script{b}}
		for len(play.script.rest) > 0 {
			play.step()
		}
	})
}

type workerFuzz struct {
	t         *testing.T
	worker    *Worker
	script    script
	computing []tcn.Rows
	position  int // of the next row that an honest hop would send
	done      int // as an honest gateway would have it
	refused   bool
}

func (p *workerFuzz) step() {
	switch p.script.pick(4) {
	case 0, 1:
		f := p.honest()
		for range p.script.pick(3) {
			p.script.tamper(f)
		}
		if crosses(f) {
			p.does(p.worker.Step(Arrived{p.worker.Previous(), f}))
		}
	case 2:
		p.does(p.worker.Step(Arrived{"stranger", p.honest()}))
	case 3:
		in := Computed{}
		if len(p.computing) > 0 {
			in.Rows, p.computing = p.computing[0], p.computing[1:]
			p.done = in.Rows.Position + p.script.pick(in.Rows.Count+1)
		}
		if p.script.pick(32) == 31 {
			in.Err = errors.New("device failed")
		}
		p.does(p.worker.Step(in))
	}
}

func (p *workerFuzz) honest() *wire.Frame {
	count := 1 + p.script.pick(wire.RowsPerFrame)
	w := p.worker
	return &wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: sessionID, Epoch: w.epoch, Hop: w.hop, Timings: w.hop,
			Rows: uint32(count), Position: uint64(p.position), Done: uint64(p.done), Want: uint64(p.script.pick(256)),
		},
		Body: make([]byte, count*workerWidth*4+8*int(w.hop)),
	}
}

func (p *workerFuzz) does(effects []Effect) {
	if p.refused && len(effects) > 0 {
		p.t.Fatalf("a worker that has refused wants %v", effects)
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case Compute:
			if e.Rows.Position != p.position || len(e.Rows.Data) != e.Rows.Count*workerWidth {
				p.t.Fatalf("computes %d rows at %d, want them at %d", e.Rows.Count, e.Rows.Position, p.position)
			}
			p.position += e.Rows.Count
			p.computing = append(p.computing, e.Rows)
		case Send:
			if !crosses(&e.Frame) {
				p.t.Fatalf("sends a frame that nobody reads: %+v", e.Frame.Header)
			}
		case Refuse:
			if e.Refusal.Code == 0 {
				p.t.Fatal("refuses without a code")
			}
			p.refused = true
		}
	}
	inFlight := 0
	for _, rows := range p.computing {
		inFlight += rows.Count
	}
	if inFlight > int(p.worker.open.Window) {
		p.t.Fatalf("%d rows wait for the stage, window %d", inFlight, p.worker.open.Window)
	}
	if ring := p.worker.sent; ring != nil && ring.End()-ring.Begin() > uint64(p.worker.history)+uint64(p.worker.open.Window) {
		p.t.Fatalf("keeps %d rows", ring.End()-ring.Begin())
	}
	if len(p.worker.spare) > spareBuffers {
		p.t.Fatalf("keeps %d spare buffers", len(p.worker.spare))
	}
}

// FuzzGateway plays hops that answer what they like, in and out of turn. The
// gateway goes on or ends, once; it emits position after position and never has
// more in flight than the window.
func FuzzGateway(f *testing.F) {
	config, ends := spelling(6, 0)
	f.Fuzz(func(t *testing.T, length uint16, maxBytes uint8, chunk uint8, b []byte) {
		request := requestOf(string(textOf(1+int(length)%600)), int(maxBytes))
		request.Stop = [][]byte{[]byte("\x01\x02"), []byte("\x01\x01\x03")}
		plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 2}, tcn.Range{Lo: 2, Hi: 6})
		plan.Chunk = int(chunk)
		g, err := NewGateway(plan, request)
		if err != nil {
			t.Fatal(err)
		}
		play := &gatewayFuzz{t: t, gateway: g, script: script{b}, next: len(request.Prompt)}
		play.does(g.Step(0, Started{}))
		for len(play.script.rest) > 0 {
			play.step()
		}
	})
}

type gatewayFuzz struct {
	t       *testing.T
	gateway *Gateway
	script  script
	now     time.Duration
	next    int // position of the next byte to be emitted
	ended   bool
}

func (p *gatewayFuzz) step() {
	p.now += time.Duration(p.script.pick(256)) * 10 * time.Millisecond
	switch p.script.pick(12) {
	case 0, 1:
		p.does(p.gateway.Step(p.now, Opened{p.script.pick(256) - 3}))
	case 2:
		p.does(p.gateway.Step(p.now, Ticked{}))
	case 3:
		switch p.script.pick(60) {
		case 57:
			p.does(p.gateway.Step(p.now, Refused{p.script.pick(256) - 3, wire.Code(p.script.pick(256)), "because"}))
		case 58:
			p.does(p.gateway.Step(p.now, HopLost{p.script.pick(256) - 3, "lost"}))
		case 59:
			p.does(p.gateway.Step(p.now, Canceled{}))
		}
	case 4:
		f := p.honest()
		for range 1 + p.script.pick(2) {
			p.script.tamper(f)
		}
		if crosses(f) {
			p.does(p.gateway.Step(p.now, Returned{f}))
		}
	default:
		p.does(p.gateway.Step(p.now, Returned{p.honest()}))
	}
}

// honest is what the last hop would answer the oldest frame in flight with.
func (p *gatewayFuzz) honest() *wire.Frame {
	g := p.gateway
	var oldest inFlight
	if len(g.flight) > 0 {
		oldest = g.flight[0]
	}
	rows := make([]float32, wantedRows(oldest.position, oldest.rows, g.want)*256)
	if len(rows) > 0 {
		copy(rows[len(rows)-256:], spell(byte(p.script.pick(4))))
	}
	return &wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: sessionID, Epoch: 1, Hop: 2, Timings: 2,
			Rows: uint32(oldest.rows), Position: oldest.position, Done: min(g.done, oldest.position), Want: g.want,
		},
		Body: wire.AppendTimings(wire.AppendRows(nil, rows, wire.F32), []wire.Timing{{QueueMicros: uint32(p.script.pick(256))}, {}}),
	}
}

func (p *gatewayFuzz) does(effects []Effect) {
	if p.ended && len(effects) > 0 {
		p.t.Fatalf("a gateway that has ended wants %v", effects)
	}
	for _, effect := range effects {
		if p.ended {
			p.t.Fatalf("%T behind the end", effect)
		}
		switch e := effect.(type) {
		case Send:
			if !crosses(&e.Frame) {
				p.t.Fatalf("sends a frame that nobody reads: %+v", e.Frame.Header)
			}
		case Emit:
			for _, piece := range e.Pieces {
				if piece.Position != p.next {
					p.t.Fatalf("emits position %d, want %d", piece.Position, p.next)
				}
				p.next++
			}
		case Ended:
			if (e.Err == nil) == (e.Finish == "") {
				p.t.Fatalf("ends with finish %q and error %v", e.Finish, e.Err)
			}
			p.ended = true
		}
	}
	if g := p.gateway; g.next-g.done > Window || g.usage.GeneratedBytes > g.request.MaxBytes {
		p.t.Fatalf("%d rows in flight, %d bytes of %d", g.next-g.done, g.usage.GeneratedBytes, g.request.MaxBytes)
	}
}
