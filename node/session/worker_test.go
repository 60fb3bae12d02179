package session

import (
	"errors"
	"fmt"
	"testing"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// TestNewWorkerRefuses changes one thing of what the gateway tells hop 1 of 3.
func TestNewWorkerRefuses(t *testing.T) {
	config, ends := spelling(6, 0)
	plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 2}, tcn.Range{Lo: 2, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	for _, c := range []struct {
		name   string
		hop    int
		change func(h *wire.Header, o *wire.Open)
		want   wire.Code // 0: the open is accepted
	}{
		{"first hop", 0, func(*wire.Header, *wire.Open) {}, 0},
		{"hop between", 1, func(*wire.Header, *wire.Open) {}, 0},
		{"last hop", 2, func(*wire.Header, *wire.Open) {}, 0},
		{"not an open", 1, func(h *wire.Header, _ *wire.Open) { h.Kind = wire.KindAttach }, wire.CodeMalformed},
		{"hop past the chain", 1, func(h *wire.Header, _ *wire.Open) { h.Hop = 3 }, wire.CodeMalformed},
		{"largest hop", 1, func(h *wire.Header, _ *wire.Open) { h.Hop = 1<<16 - 1 }, wire.CodeMalformed},
		{"blocks the model lacks", 1, func(_ *wire.Header, o *wire.Open) { o.NextHi = 7 }, wire.CodeMalformed},
		{"most blocks", 1, func(_ *wire.Header, o *wire.Open) { o.NextHi = 1<<32 - 1 }, wire.CodeMalformed},
		{"last hop with a next one", 2, func(_ *wire.Header, o *wire.Open) { o.Hi, o.NextHi = 5, 6 }, wire.CodeMalformed},
		{"last hop without the last block", 2, func(_ *wire.Header, o *wire.Open) { o.Hi, o.NextHi = 5, 5 }, wire.CodeMalformed},
		{"hop between without a next one", 1, func(_ *wire.Header, o *wire.Open) { o.NextHi = o.Hi }, wire.CodeMalformed},
		{"hop between with the last block", 1, func(_ *wire.Header, o *wire.Open) { o.Hi, o.NextHi = 6, 6 }, wire.CodeMalformed},
		{"hop between with the first block", 1, func(_ *wire.Header, o *wire.Open) { o.Lo = 0 }, wire.CodeMalformed},
		{"first hop without the first block", 0, func(_ *wire.Header, o *wire.Open) { o.Lo = 1 }, wire.CodeMalformed},
		{"rows from another than the gateway", 0, func(_ *wire.Header, o *wire.Open) { o.Previous = []byte("x") }, wire.CodeWrongPeer},
		{"rows to another than the gateway", 2, func(_ *wire.Header, o *wire.Open) { o.Next = []byte("x") }, wire.CodeWrongPeer},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, open := openOf(t, plan, c.hop)
			c.change(&head, &open)
			_, err := NewWorker("g", head, open, config)
			var refusal *Refusal
			switch {
			case c.want == 0 && err != nil:
				t.Errorf("got error %v", err)
			case c.want != 0 && (!errors.As(err, &refusal) || refusal.Code != c.want):
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}

// TestRingBytes: what is reserved is what the ring takes, and a stranger's open
// that no worker accepts yet costs no time.
func TestRingBytes(t *testing.T) {
	config, ends := spelling(6, 0)
	plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 1}, tcn.Range{Lo: 1, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	const row = 256 * 4
	for hop, want := range []int64{(3 + Window) * row, (2 + Window) * row, 0} {
		head, open := openOf(t, plan, hop)
		if got := RingBytes(config, open); got != want {
			t.Errorf("hop %d reserves %d bytes, want %d", hop, got, want)
		}
		w, err := NewWorker("g", head, open, config)
		if err != nil {
			t.Fatal(err)
		}
		if w.sent == nil {
			continue
		}
		w.sent.Append(make([]float32, 256))
		if got := int64(len(w.sent.data)) * 4; got != want {
			t.Errorf("hop %d's ring takes %d bytes, reserved were %d", hop, got, want)
		}
	}
	lying := wire.Open{Lo: 0, Hi: 1, NextHi: 1<<32 - 1, Window: 1}
	if got, want := RingBytes(config, lying), int64(5+1)*row; got != want {
		t.Errorf("an open of too many blocks reserves %d bytes, want %d", got, want)
	}
	lying.Hi = 1<<32 - 2
	if got := RingBytes(config, lying); got != 0 {
		t.Errorf("an open of no block that is there reserves %d bytes", got)
	}
}

// TestWindowBytes: the rows that wait for the stage count beside the ring.
func TestWindowBytes(t *testing.T) {
	config, _ := spelling(6, 0)
	const row = 256 * 4
	if got := WindowBytes(config, wire.Open{Lo: 0, Hi: 1, NextHi: 4, Window: 9}); got != (9+3+9)*row {
		t.Errorf("a hop between takes %d bytes, want %d", got, (9+3+9)*row)
	}
	if got := WindowBytes(config, wire.Open{Lo: 4, Hi: 6, NextHi: 6, Window: 9}); got != 9*row {
		t.Errorf("the last hop takes %d bytes, want %d", got, 9*row)
	}
}

// TestTimingsOfOthers: a frame names the hops it passed, no more and no fewer.
func TestTimingsOfOthers(t *testing.T) {
	config, ends := spelling(1, 0)
	head, open := openOf(t, planOf(config, ends, tcn.Range{Lo: 0, Hi: 1}), 0)
	w, err := NewWorker("g", head, open, config)
	if err != nil {
		t.Fatal(err)
	}
	f := rowsFrame(0, 1, 0)
	f.Timings = 1
	f.Body = append(f.Body, make([]byte, 8)...)
	if refuse, ok := w.Step(Arrived{"g", f})[0].(Refuse); !ok || refuse.Refusal.Code != wire.CodeMalformed {
		t.Error("a timing of a hop that was not passed was taken")
	}
}

// TestSpareBuffersAreBounded: a peer that varies the sizes of its frames cannot
// make a worker keep ever more of them.
func TestSpareBuffersAreBounded(t *testing.T) {
	config, ends := spelling(1, 0)
	plan := planOf(config, ends, tcn.Range{Lo: 0, Hi: 1})
	head, open := openOf(t, plan, 0)
	w, err := NewWorker("g", head, open, config)
	if err != nil {
		t.Fatal(err)
	}
	position := 0
	for round := range 200 {
		var computing []tcn.Rows
		first := position
		for i := round; ; i++ {
			count := 1 + i%2*(wire.RowsPerFrame-1)
			if position+count-first > Window {
				break
			}
			compute, ok := w.Step(Arrived{"g", rowsFrame(position, count, first)})[0].(Compute)
			if !ok {
				t.Fatalf("round %d: rows at %d were refused", round, position)
			}
			computing = append(computing, compute.Rows)
			position += count
		}
		for _, rows := range computing {
			w.Step(Computed{Rows: rows})
		}
		if len(w.spare) > spareBuffers {
			t.Fatalf("round %d: %d spare buffers, limit %d", round, len(w.spare), spareBuffers)
		}
	}
}

// rowsFrame is rows of zeroes for hop 0 of a spelling model.
func rowsFrame(position, count, done int) *wire.Frame {
	return &wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: sessionID, Epoch: 1,
			Rows: uint32(count), Position: uint64(position), Done: uint64(done), Want: 1 << 40,
		},
		Body: make([]byte, count*256*4),
	}
}

// TestStageErrors: what a stage says of a Work ends the session with its code.
func TestStageErrors(t *testing.T) {
	for err, want := range map[error]wire.Code{
		fmt.Errorf("%w: hung", tcn.ErrDevice):   wire.CodeStage,
		fmt.Errorf("%w: a Soul", tcn.ErrNoRoom): wire.CodeNoMemory,
		tcn.ErrNotFinite:                        wire.CodeStage,
	} {
		effects := (&Worker{}).Step(Computed{Err: err})
		refuse, ok := effects[0].(Refuse)
		if !ok || refuse.Refusal.Code != want {
			t.Errorf("%v: %+v, want %v", err, effects, want)
		}
	}
}
