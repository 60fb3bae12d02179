package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// hopKey names a session at a hop; one peer may be several hops of a chain.
type hopKey struct {
	id  wire.SessionID
	hop uint16
}

// hops is the worker side of the node: the sessions that other gateways, or
// this one, opened here.
type hops struct {
	links    *links
	executor *executor
	resident *resident
	variants *variants
	lost     func(*opening, error) // hears of a device that failed

	mu       sync.Mutex
	budget   int64 // bytes that sessions' states and rings may take
	sessions map[hopKey]*hopSession
	gateways map[string]*share
	bytes    int64
	closed   bool
	running  sync.WaitGroup
}

// share is what one gateway has open here.
type share struct {
	sessions int
	bytes    int64
}

func newHops(l *links, e *executor, r *resident, v *variants, lost func(*opening, error), budget int64) *hops {
	return &hops{
		links: l, executor: e, resident: r, variants: v, lost: lost, budget: budget,
		sessions: map[hopKey]*hopSession{}, gateways: map[string]*share{},
	}
}

// freeSlots is how many more sessions the node would take.
func (h *hops) freeSlots() int {
	return max(0, sessionsPerNode-h.openSessions())
}

// openSessions is how many sessions are open here, reserved the memory they
// hold in bytes.
func (h *hops) openSessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

func (h *hops) reserved() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}

// control serves a gateway's control stream, whose first frame is open: the
// session, and what is done to open it, lives as long as the stream.
func (h *hops) control(ctx context.Context, in incoming, open *wire.Frame) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		var f wire.Frame
		_ = f.Read(in.stream) // anything that comes ends the session: a new epoch's open comes with replacement
	}()
	s, err := h.open(ctx, in, open)
	if err != nil {
		answer := &wire.Frame{Header: wire.Header{Kind: wire.KindRefused, Session: open.Session, Epoch: open.Epoch, Hop: open.Hop, Code: wire.CodeStage}}
		var refusal *session.Refusal
		if errors.As(err, &refusal) {
			answer.Code, answer.Body = refusal.Code, refusalText(refusal.Text)
		} else {
			answer.Body = refusalText(err.Error())
		}
		_ = writeFrame(in.stream, answer) // the gateway may be gone; nothing was opened
		_ = in.stream.Close()
		return
	}
	s.run()
}

func refusalText(text string) []byte { return []byte(text[:min(len(text), 256)]) }

// open checks, reserves and answers. The error is a *session.Refusal or says
// what failed here.
func (h *hops) open(ctx context.Context, in incoming, f *wire.Frame) (*hopSession, error) {
	open, err := wire.ParseOpen(f.Body)
	if err != nil {
		return nil, &session.Refusal{Code: wire.CodeMalformed, Text: err.Error()}
	}
	worker, err := session.NewWorker(in.peer, f.Header, open, h.resident.config)
	if err != nil {
		return nil, err
	}
	loaded, unload := h.resident.acquire(worker.Blocks())
	if loaded == nil {
		return nil, &session.Refusal{Code: wire.CodeNotServed, Text: "the range is not loaded"}
	}
	variant, forget, err := h.variants.get(ctx, open.Model, open.Soul, worker.Blocks())
	if err != nil {
		unload()
		return nil, err
	}
	s := &hopSession{
		hops: h, key: hopKey{f.Session, f.Hop}, epoch: f.Epoch, gateway: in.peer, control: in.stream,
		worker: worker, loaded: loaded, variant: variant, release: func() { forget(); unload() },
		lost:    func(err error) { h.lost(loaded.on, err) },
		bytes:   h.resident.config.StateBytes(worker.Blocks()) + session.WindowBytes(h.resident.config, open),
		results: make(chan *job, open.Window), ended: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := h.register(s); err != nil {
		s.release()
		s.cancel()
		return nil, err
	}
	if s.state, err = h.newState(s, int(open.Start)); err != nil {
		s.end(nil)
		h.unregister(s)
		return nil, err
	}
	// The rest of the chain may still be opening.
	s.idle = time.AfterFunc(session.OpenTimeout, func() { s.end(&session.Refusal{Code: wire.CodeIdle}) })
	s.takeRows()
	opened := wire.Frame{Header: wire.Header{Kind: wire.KindOpened, Session: f.Session, Epoch: f.Epoch, Hop: f.Hop}}
	if err := writeFrame(in.stream, &opened); err != nil {
		s.end(nil) // the gateway went away; run cleans up
	}
	return s, nil
}

// newState makes the state of a session that is registered: from then on it is one
// of those that fail ends.
func (h *hops) newState(s *hopSession, start int) (tcn.State, error) {
	if h.resident.isLost(s.loaded.on) {
		return nil, &session.Refusal{Code: wire.CodeStage, Text: errNoDevice.Error()}
	}
	state, err := s.loaded.stage.NewState(s.worker.Blocks(), start)
	switch {
	case errors.Is(err, tcn.ErrDevice):
		h.lost(s.loaded.on, err)
	case errors.Is(err, tcn.ErrNoRoom):
		err = &session.Refusal{Code: wire.CodeNoMemory, Text: err.Error()}
	}
	return state, err
}

// register reserves the session's place and memory. The error is a
// *session.Refusal.
func (h *hops) register(s *hopSession) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	mine := h.gateways[s.gateway]
	if mine == nil {
		mine = &share{}
	}
	switch {
	case h.closed:
		return &session.Refusal{Code: wire.CodeClosing}
	case h.sessions[s.key] != nil:
		return &session.Refusal{Code: wire.CodeWrongPeer, Text: "the session is open already"}
	case len(h.sessions) >= sessionsPerNode || mine.sessions >= sessionsPerGateway:
		return &session.Refusal{Code: wire.CodeNoSlot}
	case h.bytes+s.bytes > h.budget, s.gateway != h.links.self && mine.bytes+s.bytes > max(h.budget/stateShare, s.bytes):
		return &session.Refusal{Code: wire.CodeNoMemory}
	}
	mine.sessions++
	mine.bytes += s.bytes
	h.bytes += s.bytes
	h.gateways[s.gateway] = mine
	h.sessions[s.key] = s
	h.running.Add(1)
	return nil
}

// unregister gives the reservation back.
func (h *hops) unregister(s *hopSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.release()
	delete(h.sessions, s.key)
	mine := h.gateways[s.gateway]
	mine.sessions--
	mine.bytes -= s.bytes
	h.bytes -= s.bytes
	if mine.sessions == 0 {
		delete(h.gateways, s.gateway)
	}
	h.running.Done()
}

// rows serves a rows stream, whose first frame attached it to a session.
func (h *hops) rows(in incoming, attach *wire.Frame) {
	h.mu.Lock()
	s := h.sessions[hopKey{attach.Session, attach.Hop}]
	h.mu.Unlock()
	if s == nil || s.worker.Previous() != in.peer || !s.attach(in.stream) {
		hangUp(in.stream)
		return
	}
	var f wire.Frame
	for {
		if err := f.Read(in.stream); err != nil {
			if !errors.Is(err, io.EOF) {
				code := wire.CodePreviousHop
				if errors.Is(err, wire.ErrFrame) || errors.Is(err, wire.ErrTooLarge) {
					code = wire.CodeMalformed
				}
				s.end(&session.Refusal{Code: code, Text: err.Error()})
			}
			return
		}
		s.arrived(in.peer, &f)
	}
}

// setBudget sets the bytes that sessions' states and rings may take.
func (h *hops) setBudget(bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.budget = bytes
}

// fail ends every session on a device that failed. It does not wait: a gateway may
// be slow to hear.
func (h *hops) fail(on *opening, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sessions {
		if s.loaded.on == on { // open, so close waits for more than this one
			h.running.Go(func() { s.end(&session.Refusal{Code: wire.CodeStage, Text: err.Error()}) })
		}
	}
}

// close ends every session and waits for them.
func (h *hops) close() {
	h.mu.Lock()
	h.closed = true
	open := make([]*hopSession, 0, len(h.sessions))
	for _, s := range h.sessions {
		open = append(open, s)
	}
	h.mu.Unlock()
	for _, s := range open {
		s.end(&session.Refusal{Code: wire.CodeClosing})
	}
	h.running.Wait()
}

// hopSession is one session at this hop.
type hopSession struct {
	hops    *hops
	key     hopKey
	epoch   uint32
	gateway string
	control stream
	loaded  *loadedRange
	state   tcn.State
	variant *tcn.Variant
	lost    func(error) // hears that the device of loaded failed
	release func()      // gives the stage and the variant back
	bytes   int64
	results chan *job // one place for each row in flight
	idle    *time.Timer

	ctx     context.Context // of dials; ends with the session
	cancel  context.CancelFunc
	jobs    sync.WaitGroup // jobs submitted whose result is not in the machine yet
	sending sync.Mutex     // held while a frame is sent

	mu       sync.Mutex // guards what follows
	worker   *session.Worker
	ready    bool   // state and idle are set: rows may come
	upstream stream // from the previous peer; nil until it attached
	next     stream // to the next peer; nil until the first rows

	once  sync.Once
	ended chan struct{}
}

// takeRows lets the previous hop attach from now on.
func (s *hopSession) takeRows() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = true
}

// attach makes in the session's one stream of rows from the previous hop.
func (s *hopSession) attach(in stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() || !s.ready || s.upstream != nil {
		return false
	}
	s.upstream = in
	return true
}

// over reports whether the session has ended.
func (s *hopSession) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// end ends the session once and hangs up on its neighbours, so that nobody goes
// on waiting for them; a refusal is told to the gateway. The caller does not hold
// the lock.
func (s *hopSession) end(refusal *session.Refusal) {
	s.once.Do(func() {
		if refusal != nil {
			_ = writeFrame(s.control, &wire.Frame{ // the gateway may be gone: the session ends either way
				Header: wire.Header{Kind: wire.KindRefused, Session: s.key.id, Epoch: s.epoch, Hop: s.key.hop, Code: refusal.Code},
				Body:   refusalText(refusal.Text),
			})
		}
		close(s.ended)
		s.cancel()
		s.mu.Lock() // from here on nobody attaches, dials or adds a job
		upstream, next := s.upstream, s.next
		s.mu.Unlock()
		hangUp(upstream)
		hangUp(next)
	})
}

// step feeds the machine.
func (s *hopSession) step(in session.Input) []session.Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() { // nothing may reach the executor once free counts what is there
		return nil
	}
	effects := s.worker.Step(in)
	for _, effect := range effects {
		if _, ok := effect.(session.Compute); ok {
			s.jobs.Add(1)
		}
	}
	return effects
}

// arrived takes a frame of rows. It never waits for the next peer, but where the
// frame is the only one in flight: then nothing else can be on its way behind
// it, and the row goes on without a hand-over.
func (s *hopSession) arrived(peer string, f *wire.Frame) {
	alone := f.Done == f.Position
	for _, effect := range s.step(session.Arrived{Peer: peer, Frame: f}) {
		switch effect := effect.(type) {
		case session.Refuse:
			s.end(effect.Refusal)
		case session.Compute:
			s.idle.Reset(idleTimeout)
			j := &job{
				stage: s.loaded.stage, results: s.results,
				lost: s.lost,
				work: tcn.Work{State: s.state, Variant: s.variant, Rows: effect.Rows},
			}
			switch done := s.hops.executor.submit(j); {
			case done && alone:
				s.forward(j)
			case done:
				s.results <- j
			}
		}
	}
}

// run forwards computed rows until the session ends, then frees everything.
func (s *hopSession) run() {
	defer s.free()
	for {
		select {
		case <-s.ended:
			return
		case <-s.ctx.Done(): // the gateway closed the control stream, or vanished
			return
		case j := <-s.results:
			s.forward(j)
		}
	}
}

// forward hands a job's result to the machine and sends what it wants sent.
func (s *hopSession) forward(j *job) {
	effects := s.step(session.Computed{
		Rows: j.work.Rows, Err: j.work.Err,
		Timing: wire.Timing{QueueMicros: micros(j.queue), ComputeMicros: micros(j.compute)},
	})
	s.jobs.Done()
	for _, effect := range effects {
		switch effect := effect.(type) {
		case session.Refuse:
			s.end(effect.Refusal)
		case session.Send:
			if err := s.send(&effect.Frame); err != nil {
				s.end(&session.Refusal{Code: nextHopCode(err), Text: err.Error()})
			}
		}
	}
}

func micros(d time.Duration) uint32 { return uint32(min(d.Microseconds(), 1<<32-1)) }

// send writes a frame to the next peer, whose stream it opens first.
func (s *hopSession) send(f *wire.Frame) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.next == nil { // set here only
		dialed, err := s.hops.links.dial(s.ctx, s.worker.Next())
		if err != nil {
			return err
		}
		if !s.keepNext(dialed) {
			hangUp(dialed)
			return nil
		}
		attach := s.worker.Attach()
		if err := writeFrame(dialed, &attach); err != nil {
			return err
		}
	}
	return writeFrame(s.next, f)
}

// keepNext makes out the stream to the next peer, unless the session has ended.
func (s *hopSession) keepNext(out stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return false
	}
	s.next = out
	return true
}

// free gives back what the session holds. Rows still in the executor are
// awaited first, since they use the state.
func (s *hopSession) free() {
	s.end(nil)
	s.idle.Stop()
	_ = s.control.Close() // not a reset, which would overtake a refusal
	done := make(chan struct{})
	go func() {
		s.jobs.Wait()
		close(done)
	}()
	for waiting := true; waiting; {
		select {
		case j := <-s.results:
			s.forward(j)
		case <-done:
			waiting = false
		}
	}
	_ = s.state.Close() // nothing of it is wanted any more
	s.hops.unregister(s)
}
