package session

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// Input is what happens to a machine.
type Input interface{ input() }

// Effect is what a machine wants done.
type Effect interface{ effect() }

// Inputs of a Gateway.
type (
	// Started begins the session.
	Started struct{}
	// Opened: hop Hop answered its open.
	Opened struct{ Hop int }
	// Refused: hop Hop ended the session.
	Refused struct {
		Hop  int
		Code wire.Code
		Text string
	}
	// HopLost: hop Hop cannot be reached any more.
	HopLost struct {
		Hop    int
		Reason string
	}
	// LeaseExpired: the grid heard nothing of Peer for the length of its lease.
	LeaseExpired struct{ Peer string }
	// Sending: the frame of rows at Position is being sent now, from which its
	// lap is timed and its deadline counts; without it, from the Step that made it.
	Sending struct{ Position uint64 }
	// Returned: the last hop sent a frame. The machine does not keep it.
	Returned struct{ Frame *wire.Frame }
	// Ticked: the time asked for with WakeAt has come.
	Ticked struct{}
	// Canceled: the caller went away.
	Canceled struct{}
)

func (Started) input()      {}
func (Opened) input()       {}
func (LeaseExpired) input() {}
func (Refused) input()      {}
func (HopLost) input()      {}
func (Sending) input()      {}
func (Returned) input()     {}
func (Ticked) input()       {}
func (Canceled) input()     {}

// Effects of a Gateway; Send is also a Worker's.
type (
	// SendOpen: send Frame to hop Hop on a new control stream.
	SendOpen struct {
		Hop   int
		Frame wire.Frame
	}
	// Send: send Frame to the next peer on the rows stream.
	Send struct{ Frame wire.Frame }
	// Emit: the caller gets these pieces, in order.
	Emit struct{ Pieces []Piece }
	// WakeAt: Tick at that time unless told another.
	WakeAt struct{ At time.Duration }
	// Ended: the session is over; close every stream. Err is nil when it
	// finished.
	Ended struct {
		Finish Finish
		Err    error
	}
)

func (SendOpen) effect() {}
func (Send) effect()     {}
func (Emit) effect()     {}
func (WakeAt) effect()   {}
func (Ended) effect()    {}

// Gateway drives one generation. It is not safe for concurrent use.
type Gateway struct {
	plan    Plan
	request Request
	epoch   uint32
	opened  []bool
	waiting int // hops that have not answered
	ended   bool

	pending []byte      // known bytes that were not sent yet; the first is at position next
	next    uint64      // position of the next row to send
	done    uint64      // first position whose output has not come back
	want    uint64      // first position whose output is wanted
	limit   uint64      // length of text at which the generation ends
	history *Ring[byte] // bytes a replay may need (PROTOCOL, sessions, rule 6)
	flight  []inFlight
	stop    stopFilter

	chunk  int
	row    []float32 // [chunk, d_model]
	hops   []wire.Timing
	logits [256]float32 // of the last wanted row

	deadline   time.Duration
	longestLap time.Duration
	began      time.Duration
	usage      Usage
}

// inFlight is one frame between sending and return.
type inFlight struct {
	position, rows uint64
	sent           time.Duration
}

// NewGateway checks the plan and the request. Errors: ErrRequest, ErrTooLong,
// ErrUncovered.
func NewGateway(plan Plan, request Request) (*Gateway, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	if err := request.Check(plan.Config.MaxPositions); err != nil {
		return nil, err
	}
	limit := len(request.Prompt) + request.MaxBytes
	if n := plan.Config.MaxPositions; n > 0 {
		limit = min(limit, n)
	}
	want := len(request.Prompt) - 1
	if request.Echo {
		want = 0
	}
	chunk := rowsPerFrame(plan.Config, plan.Chunk)
	g := &Gateway{
		plan: plan, request: request, epoch: 1,
		opened: make([]bool, len(plan.Hops)), waiting: len(plan.Hops),
		pending: request.Prompt,
		want:    uint64(want),
		limit:   uint64(limit),
		history: NewRing[byte](plan.Config.HistoryRows(plan.Config.All())+Window, 1, 0),
		stop:    stopFilter{stops: request.Stop},
		chunk:   chunk,
		row:     make([]float32, chunk*plan.Config.DModel),
		hops:    make([]wire.Timing, len(plan.Hops)),
	}
	g.usage.PromptBytes = len(request.Prompt)
	for _, hop := range plan.Hops {
		g.usage.Hops = append(g.usage.Hops, HopUsage{Peer: hop.Peer, Blocks: hop.Blocks})
	}
	return g, nil
}

// Usage is what the generation cost so far.
func (g *Gateway) Usage() Usage {
	u := g.usage
	u.Hops = slices.Clone(u.Hops)
	return u
}

// Peer is the peer ID bytes of hop i.
func (g *Gateway) Peer(i int) string { return g.plan.peer(i) }

// Logits are those of the last position whose output came back.
func (g *Gateway) Logits() [256]float32 { return g.logits }

// Step takes what happened at time now and returns what to do about it.
func (g *Gateway) Step(now time.Duration, in Input) []Effect {
	if g.ended {
		return nil
	}
	switch in := in.(type) {
	case Started:
		return g.start(now)
	case Opened:
		return g.answered(now, in.Hop)
	case Refused:
		return g.fail(refusal(g.hopName(in.Hop), in.Code, in.Text))
	case HopLost:
		return g.fail(fmt.Errorf("%w: %s: %s", ErrHopLost, g.hopName(in.Hop), in.Reason))
	case LeaseExpired:
		return g.expired(in.Peer)
	case Sending:
		for i := range g.flight {
			if g.flight[i].position == in.Position {
				g.flight[i].sent = now
				return g.awaitLap(now)
			}
		}
	case Returned:
		return g.returned(now, in.Frame)
	case Ticked:
		if now >= g.deadline {
			return g.fail(g.late())
		}
		return []Effect{WakeAt{g.deadline}}
	case Canceled:
		return g.fail(ErrCanceled)
	}
	return nil
}

// expired gives up on a chain with a hop that is silent since before it opened:
// nobody has waited for long, and another chain may do. From a hop that has opened
// a late answer is worth more, and its lap has a deadline.
func (g *Gateway) expired(peer string) []Effect {
	for i, hop := range g.plan.Hops {
		if hop.Peer == peer && !g.opened[i] {
			return g.fail(fmt.Errorf("%w: %s: its lease ran out before it opened", ErrHopLost, g.hopName(i)))
		}
	}
	return nil
}

// late names what did not come in time.
func (g *Gateway) late() error {
	if hop := slices.Index(g.opened, false); hop >= 0 {
		return fmt.Errorf("%w: %s did not open", ErrDeadline, g.hopName(hop))
	}
	return fmt.Errorf("%w: nothing came back for position %d", ErrDeadline, g.done)
}

func (g *Gateway) hopName(i int) string {
	if i < 0 || i >= len(g.plan.Hops) {
		return fmt.Sprintf("hop %d", i)
	}
	b := g.plan.Hops[i].Blocks
	return fmt.Sprintf("hop %d with blocks %d-%d", i, b.Lo, b.Hi)
}

// refusal maps a hop's code to the error a caller can test for.
func refusal(hop string, code wire.Code, text string) error {
	kind := ErrRefused
	switch code {
	case wire.CodeUnknownModel:
		kind = ErrModel
	case wire.CodeUnknownSoul:
		kind = ErrSoul
	case wire.CodeNoSlot, wire.CodeNoMemory:
		kind = ErrBusy
	case wire.CodeClosing, wire.CodeNextHop, wire.CodePreviousHop:
		kind = ErrHopLost
	}
	if text != "" {
		return fmt.Errorf("%w: %s: %s: %q", kind, hop, code, text) // quoted: a stranger wrote it
	}
	return fmt.Errorf("%w: %s: %s", kind, hop, code)
}

func (g *Gateway) fail(err error) []Effect {
	g.ended = true
	return []Effect{Ended{Err: err}}
}

func (g *Gateway) finish(why Finish) []Effect {
	g.ended = true
	effects := []Effect{}
	if held := g.stop.flush(); len(held) > 0 {
		effects = append(effects, Emit{held})
	}
	return append(effects, Ended{Finish: why})
}

func (g *Gateway) start(now time.Duration) []Effect {
	effects := make([]Effect, 0, len(g.plan.Hops)+1)
	for i := range g.plan.Hops {
		effects = append(effects, SendOpen{i, g.plan.open(i, g.epoch, Window)})
	}
	g.deadline = now + OpenTimeout
	return append(effects, WakeAt{g.deadline})
}

func (g *Gateway) answered(now time.Duration, hop int) []Effect {
	if hop < 0 || hop >= len(g.opened) || g.opened[hop] {
		return nil
	}
	g.opened[hop] = true
	g.waiting--
	if g.waiting > 0 {
		return nil
	}
	g.began = now
	return g.send(now)
}

// send puts known bytes on their way as far as the window allows.
func (g *Gateway) send(now time.Duration) []Effect {
	var effects []Effect
	for len(g.pending) > 0 && g.next-g.done < Window {
		n := min(len(g.pending), g.chunk, int(Window-(g.next-g.done)))
		frame, err := g.rows(g.pending[:n])
		if err != nil {
			return append(effects, g.fail(err)...)
		}
		effects = append(effects, Send{frame})
		g.flight = append(g.flight, inFlight{g.next, uint64(n), now})
		g.history.Append(g.pending[:n])
		g.pending = g.pending[n:]
		g.next += uint64(n)
	}
	return append(effects, g.awaitLap(now)...)
}

// awaitLap gives what is in flight at now the time of a lap.
func (g *Gateway) awaitLap(now time.Duration) []Effect {
	g.deadline = now + max(LapTimeoutMin, LapTimeoutFactor*g.longestLap)
	return []Effect{WakeAt{g.deadline}}
}

// rows embeds text at positions next, next+1, … into a frame for the first hop.
func (g *Gateway) rows(text []byte) (wire.Frame, error) {
	d := g.plan.Config.DModel
	rows := g.row[:len(text)*d]
	for i, b := range text {
		if err := g.plan.Ends.Embed(int(g.next)+i, b, rows[i*d:(i+1)*d]); err != nil {
			return wire.Frame{}, fmt.Errorf("%w: %w", ErrTooLong, err)
		}
	}
	return wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: g.plan.ID, Epoch: g.epoch,
			Rows: uint32(len(text)), Position: g.next, Done: g.done, Want: g.want,
		},
		Body: wire.AppendRows(make([]byte, 0, len(rows)*number(g.plan.Config).Bytes()), rows, number(g.plan.Config)),
	}, nil
}

// returned takes the last hop's frame.
func (g *Gateway) returned(now time.Duration, f *wire.Frame) []Effect {
	if f.Kind == wire.KindRows && f.Session == g.plan.ID && f.Epoch < g.epoch {
		return nil // of an older epoch
	}
	last := len(g.plan.Hops) - 1
	if err := g.checkReturned(f); err != nil {
		return g.fail(fmt.Errorf("%w: %s sent %w", ErrRefused, g.hopName(last), err))
	}
	wanted := wantedRows(f.Position, uint64(f.Rows), g.want)
	rows := g.row[:wanted*g.plan.Config.DModel]
	if err := wire.ParseRows(f.Body, rows, number(g.plan.Config), g.hops); err != nil {
		return g.fail(fmt.Errorf("%w: %s: %w", ErrRefused, g.hopName(last), err))
	}
	g.account(now)
	g.done += uint64(f.Rows)
	g.history.Trim(keepFrom(g.done, g.plan.Config.HistoryRows(g.plan.Config.All())))
	var effects []Effect
	if g.request.Echo && f.Position < uint64(len(g.request.Prompt)) {
		emit, err := g.echo(f.Position, rows)
		if err != nil {
			return g.fail(err)
		}
		effects = emit
	}
	if g.done < uint64(len(g.request.Prompt)) {
		return append(effects, g.send(now)...)
	}
	if err := g.plan.Ends.Logits(rows[len(rows)-g.plan.Config.DModel:], &g.logits); err != nil {
		return g.fail(fmt.Errorf("logits at position %d: %w", g.done-1, err))
	}
	return append(effects, g.sample(now)...)
}

// echo emits the bytes of the prompt that rows from a position on predict, and
// with the first the one before it, which nothing predicts.
func (g *Gateway) echo(position uint64, rows []float32) ([]Effect, error) {
	var pieces []Piece
	if position == 0 {
		pieces = append(pieces, Piece{Byte: g.request.Prompt[0], LogProb: float32(math.NaN())})
	}
	d := g.plan.Config.DModel
	for ; len(rows) > 0 && position+1 < uint64(len(g.request.Prompt)); position, rows = position+1, rows[d:] {
		if err := g.plan.Ends.Logits(rows[:d], &g.logits); err != nil {
			return nil, fmt.Errorf("logits at position %d: %w", position, err)
		}
		pieces = append(pieces, g.report(g.request.Prompt[position+1], position+1))
	}
	if len(pieces) == 0 {
		return nil, nil
	}
	return []Effect{Emit{pieces}}, nil
}

func (g *Gateway) checkReturned(f *wire.Frame) error {
	switch {
	case f.Kind != wire.KindRows:
		return fmt.Errorf("a frame of kind %d in place of rows", f.Kind)
	case f.Session != g.plan.ID || f.Epoch != g.epoch || int(f.Hop) != len(g.plan.Hops):
		return fmt.Errorf("rows of session %s epoch %d for hop %d", f.Session, f.Epoch, f.Hop)
	case len(g.flight) == 0:
		return fmt.Errorf("rows at %d that were not asked for", f.Position)
	case f.Position != g.flight[0].position || uint64(f.Rows) != g.flight[0].rows:
		return fmt.Errorf("%d rows at %d, want %d at %d", f.Rows, f.Position, g.flight[0].rows, g.flight[0].position)
	case int(f.Timings) != len(g.plan.Hops):
		return fmt.Errorf("timings of %d hops, want %d", f.Timings, len(g.plan.Hops))
	}
	return nil
}

// wantedRows is how many of the rows at [position, position+rows) are at want
// or after.
func wantedRows(position, rows, want uint64) int {
	if position+rows <= want {
		return 0
	}
	return int(position + rows - max(position, want))
}

// account adds the oldest frame in flight and its timings to the usage.
func (g *Gateway) account(now time.Duration) {
	lap := now - g.flight[0].sent
	g.flight = g.flight[1:]
	g.longestLap = max(g.longestLap, lap)
	rest := lap
	for i, t := range g.hops {
		queue := time.Duration(t.QueueMicros) * time.Microsecond
		compute := time.Duration(t.ComputeMicros) * time.Microsecond
		g.usage.Hops[i].Queue += queue
		g.usage.Hops[i].Compute += compute
		g.usage.Queue += queue
		g.usage.Compute += compute
		rest -= queue + compute
	}
	g.usage.Wire += max(0, rest) // a hop that overstates its time cannot make it negative
	g.usage.Laps++
	g.usage.Total = now - g.began
}

// sample draws the next byte from the logits of the last known one.
func (g *Gateway) sample(now time.Duration) []Effect {
	if g.done >= g.limit {
		return g.finish(FinishLength)
	}
	piece := g.piece()
	g.usage.GeneratedBytes++
	emit, stopped := g.stop.push(piece)
	var effects []Effect
	if len(emit) > 0 {
		effects = append(effects, Emit{emit})
	}
	if stopped {
		return append(effects, g.finish(FinishStop)...)
	}
	if g.done+1 >= g.limit {
		return append(effects, g.finish(FinishLength)...)
	}
	g.pending = append(g.pending[:0:0], piece.Byte)
	return append(effects, g.send(now)...)
}

// piece draws the byte at position done and reports it as asked.
func (g *Gateway) piece() Piece {
	return g.report(g.request.Sampling.Next(int(g.done), &g.logits), g.done)
}

// report is byte b at a position, with what was asked for of the logits before it.
func (g *Gateway) report(b byte, position uint64) Piece {
	p := Piece{Byte: b, Position: int(position)}
	if g.request.LogProbs >= 0 {
		logProbs := tcn.LogProbs(&g.logits)
		p.LogProb = logProbs[p.Byte]
		p.Top = likeliest(&logProbs, g.request.LogProbs)
	}
	if g.request.Logits {
		logits := g.logits
		p.Logits = &logits
	}
	return p
}
