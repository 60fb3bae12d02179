package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// toy is a model of six Fractal Blocks, the last of them shorter, with one stage
// that holds them all.
type toy struct {
	config  tcn.Config
	ends    *tcn.Ends
	stage   tcn.Stage
	variant *tcn.Variant
}

func newToy(t testing.TB, cell tcn.Cell, boundary tcn.Number, positions int) *toy {
	t.Helper()
	const seed = 42
	m := &toy{config: tcn.Config{
		Cell: cell, VocabSize: 256, DModel: 8, DFF: 6, Layers: 11, LayersPerBlock: 2,
		KernelSize: 3, Dilations: []int{1, 2, 3}, MaxPositions: positions, RMSEps: 1e-5,
		State: boundary, Boundary: boundary,
	}}
	m.variant = &tcn.Variant{Range: m.config.All()}
	var blocks []*tcn.Block
	for b := range m.config.Blocks() {
		block, err := tcn.SeededBlock(m.config, seed, b)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, block)
		m.variant.Small = append(m.variant.Small, tcn.SeededSmall(m.config, seed, b))
	}
	var err error
	if m.stage, err = tcn.NewCPU(nil).Load(m.config, m.config.All(), blocks); err != nil {
		t.Fatal(err)
	}
	emb, pos, normF := tcn.SeededEnds(m.config, seed)
	if m.ends, err = tcn.NewEnds(m.config, emb, pos, normF); err != nil {
		t.Fatal(err)
	}
	return m
}

// splits are all ways to cut n blocks into hops.
func splits(n int) [][]tcn.Range {
	var all [][]tcn.Range
	for cuts := range 1 << (n - 1) {
		hops := []tcn.Range{{Lo: 0, Hi: 1}}
		for b := 1; b < n; b++ {
			if cuts>>(b-1)&1 == 1 {
				hops = append(hops, tcn.Range{Lo: b, Hi: b})
			}
			hops[len(hops)-1].Hi = b + 1
		}
		all = append(all, hops)
	}
	return all
}

// plain answers a request with one stage, a row at a time: the answer that every
// chain must give.
func (m *toy) plain(t testing.TB, r Request) []Piece {
	t.Helper()
	state, err := m.stage.NewState(m.config.All(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var pieces []Piece
	text := bytes.Clone(r.Prompt)
	for position := 0; len(pieces) < r.MaxBytes; position++ {
		row := make([]float32, m.config.DModel)
		if err := m.ends.Embed(position, text[position], row); err != nil {
			t.Fatal(err)
		}
		m.compute(t, state, position, row)
		if position+1 < len(text) {
			continue
		}
		logits := new([256]float32)
		if err := m.ends.Logits(row, logits); err != nil {
			t.Fatal(err)
		}
		text = append(text, r.Sampling.Next(len(text), logits))
		pieces = append(pieces, Piece{Byte: text[position+1], Position: position + 1, Logits: logits})
		if len(text) == m.config.MaxPositions {
			break
		}
	}
	return pieces
}

// compute steps rows in place.
func (m *toy) compute(t testing.TB, state tcn.State, position int, rows []float32) {
	t.Helper()
	work := &tcn.Work{State: state, Variant: m.variant, Rows: tcn.Rows{Position: position, Count: len(rows) / m.config.DModel, Data: rows}}
	if err := m.stage.Step([]*tcn.Work{work}); err != nil {
		t.Fatal(err)
	}
	if work.Err != nil {
		t.Fatal(work.Err)
	}
}

// simulation is a grid in one goroutine. Whatever crosses a stream or waits for
// an executor stands in a line; which line moves next is drawn, so every order
// that a network allows can come up, and the seed alone decides.
type simulation struct {
	t       testing.TB
	random  *rand.Rand
	model   *toy
	gateway *Gateway
	hops    []*simulatedHop
	lines   [][]func()
	now     time.Duration
	pieces  []Piece
	end     *Ended
	watch   func() // called after every event
}

type simulatedHop struct {
	worker *Worker
	state  tcn.State
	out    []float32 // every row it has computed
	done   uint64    // of the last frame it has sent
}

func newSimulation(t testing.TB, seed uint64, m *toy, plan Plan, r Request) *simulation {
	t.Helper()
	gateway, err := NewGateway(plan, r)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), model: m, gateway: gateway,
		hops:  make([]*simulatedHop, len(plan.Hops)),
		lines: make([][]func(), lineKinds*(len(plan.Hops)+1)),
		watch: func() {},
	}
	for i := range s.hops {
		s.hops[i] = &simulatedHop{}
	}
	return s
}

// Lines of a hop; the gateway's place is behind the last hop.
const (
	lineOpen    = iota // gateway to hop
	lineOpened         // hop to gateway
	lineRows           // the stream into a hop, or from the last to the gateway
	lineCompute        // its executor
	lineKinds
)

func (s *simulation) queue(kind, hop int, event func()) {
	at := lineKinds*hop + kind
	s.lines[at] = append(s.lines[at], event)
}

// run lets one event after the other happen until the generation has ended.
func (s *simulation) run() {
	s.t.Helper()
	s.gatewayDoes(Started{})
	for s.end == nil {
		var ready []int
		for i, line := range s.lines {
			if len(line) > 0 {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			s.t.Fatal("nothing can happen any more, and the generation has not ended")
		}
		at := ready[s.random.IntN(len(ready))]
		event := s.lines[at][0]
		s.lines[at] = s.lines[at][1:]
		s.now += time.Duration(s.random.IntN(1000)) * time.Microsecond
		event()
		if n := s.gateway.next - s.gateway.done; n > Window {
			s.t.Fatalf("%d rows are in flight, window %d", n, Window)
		}
		s.watch()
	}
}

func (s *simulation) gatewayDoes(in Input) {
	for _, effect := range s.gateway.Step(s.now, in) {
		switch e := effect.(type) {
		case SendOpen:
			s.queue(lineOpen, e.Hop, func() { s.open(e) })
		case Send:
			s.send(-1, e.Frame)
		case Emit:
			for _, p := range e.Pieces {
				if want := s.gateway.usage.PromptBytes + len(s.pieces); p.Position != want {
					s.t.Fatalf("emitted position %d, want %d", p.Position, want)
				}
				s.pieces = append(s.pieces, p)
			}
		case Ended:
			s.end = &e
		}
	}
}

func (s *simulation) open(e SendOpen) {
	open, err := wire.ParseOpen(e.Frame.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	hop := s.hops[e.Hop]
	if hop.worker, err = NewWorker("g", e.Frame.Header, open, s.model.config); err != nil {
		s.t.Fatal(err)
	}
	if hop.state, err = s.model.stage.NewState(hop.worker.Blocks(), int(open.Start)); err != nil {
		s.t.Fatal(err)
	}
	s.queue(lineOpened, e.Hop, func() { s.gatewayDoes(Opened{e.Hop}) })
}

// send puts a frame's bytes on the stream behind hop from; -1 is the gateway.
func (s *simulation) send(from int, f wire.Frame) {
	encoded := f.Append(nil)
	peer := "g"
	if from >= 0 {
		peer = s.gateway.plan.Hops[from].Peer
	}
	s.queue(lineRows, from+1, func() {
		var got wire.Frame
		if err := got.Read(bytes.NewReader(encoded)); err != nil {
			s.t.Fatal(err)
		}
		if to := from + 1; to == len(s.hops) {
			s.gatewayDoes(Returned{&got})
		} else {
			s.hopDoes(to, Arrived{peer, &got})
		}
		for i := range got.Body { // no machine keeps a frame
			got.Body[i] = 0xff
		}
	})
}

func (s *simulation) hopDoes(i int, in Input) {
	hop := s.hops[i]
	for _, effect := range hop.worker.Step(in) {
		switch e := effect.(type) {
		case Compute:
			s.queue(lineCompute, i, func() {
				s.model.compute(s.t, hop.state, e.Rows.Position, e.Rows.Data)
				hop.out = append(hop.out, e.Rows.Data...)
				s.hopDoes(i, Computed{Rows: e.Rows, Timing: wire.Timing{QueueMicros: 1, ComputeMicros: 2}})
			})
		case Send:
			hop.done = e.Frame.Done
			s.send(i, e.Frame)
		case Refuse:
			s.t.Fatalf("hop %d refuses: %v", i, e.Refusal)
		}
	}
}

// textOf is a prompt of n bytes.
func textOf(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(tcn.Hash64(3, uint64(i)))
	}
	return text
}

// compare requires the bytes and the logits of the plain loop.
func compare(t testing.TB, got, want []Piece) {
	t.Helper()
	if bytesOf(got) != bytesOf(want) {
		t.Fatalf("answer %q, want %q", bytesOf(got), bytesOf(want))
	}
	for i := range want {
		if *got[i].Logits != *want[i].Logits {
			t.Fatalf("other logits at position %d", want[i].Position)
		}
	}
}

// TestOneAnswer: every split of the blocks, chunk size and temperature gives the
// bytes of one stage fed row by row. The prompt is longer than the window.
func TestOneAnswer(t *testing.T) {
	m := newToy(t, tcn.CellRelease, tcn.F32, 0)
	request := Request{Prompt: textOf(Window + 30), MaxBytes: 12, LogProbs: -1, Logits: true}
	for _, temperature := range []float32{0, 0.8} {
		request.Sampling = tcn.Sampling{Temperature: temperature, Seed: 7}
		want := m.plain(t, request)
		for _, hops := range splits(m.config.Blocks()) {
			for _, chunk := range []int{1, 2, 7, 64} {
				if testing.Short() && (chunk+len(hops))%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("temperature=%v/hops=%v/chunk=%d", temperature, hops, chunk), func(t *testing.T) {
					plan := planOf(m.config, m.ends, hops...)
					plan.Chunk = chunk
					s := newSimulation(t, uint64(chunk), m, plan, request)
					s.run()
					compare(t, s.pieces, want)
					if s.end.Finish != FinishLength || s.end.Err != nil {
						t.Errorf("ended with %v, %v", s.end.Finish, s.end.Err)
					}
				})
			}
		}
	}
}

// TestOneAnswerOfOtherModels: the paper's cell, rounded boundaries and learned
// positions, which end the text.
func TestOneAnswerOfOtherModels(t *testing.T) {
	for _, c := range []struct {
		cell      tcn.Cell
		boundary  tcn.Number
		positions int
	}{
		{tcn.CellPaper, tcn.F32, 0},
		{tcn.CellRelease, tcn.BF16, 0},
		{tcn.CellPaper, tcn.BF16, 50},
		{tcn.CellRelease, tcn.F32, 50},
	} {
		m := newToy(t, c.cell, c.boundary, c.positions)
		request := Request{
			Prompt: textOf(40), MaxBytes: 20, LogProbs: -1, Logits: true,
			Sampling: tcn.Sampling{Temperature: 0.8, TopK: 50, TopP: 0.95, Seed: 11},
		}
		want := m.plain(t, request)
		for i, hops := range splits(m.config.Blocks()) {
			t.Run(fmt.Sprintf("%s/%s/positions=%d/hops=%v", c.cell, c.boundary, c.positions, hops), func(t *testing.T) {
				plan := planOf(m.config, m.ends, hops...)
				plan.Chunk = 1 + i%9
				s := newSimulation(t, uint64(i), m, plan, request)
				s.run()
				compare(t, s.pieces, want)
			})
		}
	}
}

// TestOneAnswerInAnyOrder: the order in which a network delivers changes nothing.
func TestOneAnswerInAnyOrder(t *testing.T) {
	m := newToy(t, tcn.CellRelease, tcn.F32, 0)
	request := Request{
		Prompt: textOf(60), MaxBytes: 10, LogProbs: -1, Logits: true,
		Sampling: tcn.Sampling{Temperature: 0.8, Seed: 13},
	}
	want := m.plain(t, request)
	plan := planOf(m.config, m.ends, tcn.Range{Lo: 0, Hi: 1}, tcn.Range{Lo: 1, Hi: 4}, tcn.Range{Lo: 4, Hi: 6})
	plan.Chunk = 5
	for seed := range uint64(100) {
		s := newSimulation(t, seed, m, plan, request)
		s.run()
		compare(t, s.pieces, want)
	}
}

// TestOneAnswerStops: stop sequences taken from the middle of the answer cut it
// where a search of the whole answer finds them.
func TestOneAnswerStops(t *testing.T) {
	m := newToy(t, tcn.CellRelease, tcn.F32, 0)
	request := Request{
		Prompt: textOf(10), MaxBytes: 40, LogProbs: -1, Logits: true,
		Sampling: tcn.Sampling{Temperature: 1, Seed: 17},
	}
	whole := m.plain(t, request)
	text := bytesOf(whole)
	plan := planOf(m.config, m.ends, tcn.Range{Lo: 0, Hi: 3}, tcn.Range{Lo: 3, Hi: 6})
	for from := range len(text) - 3 {
		stop := text[from : from+1+from%3]
		want, _ := cut([]string{stop}, text)
		request.Stop = [][]byte{[]byte(stop)}
		s := newSimulation(t, uint64(from), m, plan, request)
		s.run()
		compare(t, s.pieces, whole[:len(want)])
		if s.end.Finish != FinishStop {
			t.Errorf("stop %q: finish %s", stop, s.end.Finish)
		}
	}
}
