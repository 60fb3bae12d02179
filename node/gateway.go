package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
)

// gateways is the gateway side of the node: the generations it drives.
type gateways struct {
	links   *links
	library *library
	ends    *tcn.Ends
	route   func(avoid []string) ([]session.Hop, error)
	chunk   int

	mu      sync.Mutex
	open    map[wire.SessionID]*Generation
	closed  bool
	running sync.WaitGroup
}

// Generation is one answer on its way. Next, Finish and Usage belong to one
// goroutine; Close may be called from any.
type Generation struct {
	gateways *gateways
	last     string // peer that sends the rows back
	pieces   chan session.Piece
	ctx      context.Context
	cancel   context.CancelFunc
	began    time.Time

	mu      sync.Mutex // guards the machine and the streams
	machine *session.Gateway
	out     []wire.Frame // to be sent to the first hop
	writing bool         // somebody is sending them
	first   stream       // rows to the first hop; set by whoever is writing
	back    stream       // rows from the last
	control []stream
	timer   *time.Timer
	ended   bool
	finish  session.Finish
	err     error

	helpers sync.WaitGroup
}

// generate opens a chain and starts driving it.
func (g *gateways) generate(ctx context.Context, request session.Request) (*Generation, error) {
	plan, err := g.plan(request)
	if err != nil {
		return nil, err
	}
	machine, err := session.NewGateway(plan, request)
	if err != nil {
		return nil, err
	}
	gen := &Generation{
		gateways: g, machine: machine, began: time.Now(),
		last:    plan.Hops[len(plan.Hops)-1].Peer,
		pieces:  make(chan session.Piece, piecesQueued+piecesPerLap),
		control: make([]stream, len(plan.Hops)),
	}
	gen.ctx, gen.cancel = context.WithCancel(ctx)
	if err := g.register(plan.ID, gen); err != nil {
		gen.cancel()
		return nil, err
	}
	gen.timer = time.AfterFunc(session.OpenTimeout, func() { gen.step(session.Ticked{}) })
	stop := context.AfterFunc(gen.ctx, func() { gen.step(session.Canceled{}) })
	go func() {
		defer g.running.Done()
		defer stop()
		gen.step(session.Started{})
		<-gen.ctx.Done()             // ended or canceled; either way the machine is told
		gen.step(session.Canceled{}) // nothing if it ended
		gen.helpers.Wait()
		g.unregister(plan.ID)
		close(gen.pieces)
	}()
	return gen, nil
}

// plan resolves what the request names and picks a chain.
func (g *gateways) plan(request session.Request) (session.Plan, error) {
	if request.Model != "" && request.Model != g.library.modelCID.String() {
		return session.Plan{}, fmt.Errorf("%w: %s; this node serves %s", session.ErrModel, request.Model, g.library.modelCID)
	}
	soul, err := g.soul(request.Soul)
	if err != nil {
		return session.Plan{}, err
	}
	// What is wrong with the request is said before what is wrong with the grid.
	if err := request.Check(g.library.config.MaxPositions); err != nil {
		return session.Plan{}, err
	}
	hops, err := g.route(nil)
	if err != nil {
		return session.Plan{}, err
	}
	plan := session.Plan{
		Self: g.links.self, Model: g.library.modelCID.Bytes(), Soul: soul,
		Config: g.library.config, Ends: g.ends, Hops: hops, Chunk: g.chunk,
	}
	_, err = rand.Read(plan.ID[:])
	return plan, err
}

// soul is the CID bytes of the Soul a request names; empty is none.
func (g *gateways) soul(name string) ([]byte, error) {
	switch name {
	case "none":
		return nil, nil
	case "":
		if g.library.model.Soul == nil {
			return nil, nil
		}
		return g.library.model.Soul.Bytes(), nil
	}
	c, err := cid.Decode(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is neither a CID nor none", session.ErrSoul, name)
	}
	if len(c.Bytes()) > wire.CIDBytes {
		return nil, fmt.Errorf("%w: a CID of %d bytes, limit %d", session.ErrSoul, len(c.Bytes()), wire.CIDBytes)
	}
	return c.Bytes(), nil
}

func (g *gateways) register(id wire.SessionID, gen *Generation) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return fmt.Errorf("%w: the node is shutting down", session.ErrBusy)
	case len(g.open) >= generationsPerNode:
		return fmt.Errorf("%w: %d prompts at once", session.ErrBusy, generationsPerNode)
	}
	g.open[id] = gen
	g.running.Add(1)
	return nil
}

func (g *gateways) unregister(id wire.SessionID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, id)
}

// expired tells the generations that a peer is silent.
func (g *gateways) expired(peer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gen := range g.open {
		// Not here: a step may have to wait for a slow caller.
		g.running.Go(func() { gen.step(session.LeaseExpired{Peer: peer}) })
	}
}

// active is how many prompts are being answered.
func (g *gateways) active() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// close cancels every generation and waits for them.
func (g *gateways) close() {
	g.mu.Lock()
	g.closed = true
	for _, gen := range g.open {
		gen.cancel()
	}
	g.mu.Unlock()
	g.running.Wait()
}

// rows serves the stream on which the last hop sends rows back.
func (g *gateways) rows(in incoming, attach *wire.Frame) {
	g.mu.Lock()
	gen := g.open[attach.Session]
	g.mu.Unlock()
	if gen == nil || gen.last != in.peer || !gen.attach(in.stream) {
		hangUp(in.stream)
		return
	}
	defer gen.helpers.Done()
	var f wire.Frame
	for {
		if err := f.Read(in.stream); err != nil {
			// The hop that broke off says why on its control stream, which this
			// news may have overtaken.
			select {
			case <-time.After(lostGrace):
			case <-gen.ctx.Done():
			}
			gen.step(hopLost(len(gen.control)-1, err))
			return
		}
		gen.step(session.Returned{Frame: &f})
	}
}

// owns reports whether a rows stream attached to hop of session id comes back
// to this gateway, rather than to a hop at this node.
func (g *gateways) owns(id wire.SessionID, hop uint16) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	gen := g.open[id]
	return gen != nil && int(hop) == len(gen.control)
}

// attach makes in the generation's one stream back.
func (gen *Generation) attach(in stream) bool {
	gen.mu.Lock()
	defer gen.mu.Unlock()
	if gen.ended || gen.back != nil {
		return false
	}
	gen.back = in
	gen.helpers.Add(1)
	return true
}

// step feeds the machine and carries its effects out, in order.
func (gen *Generation) step(in session.Input) {
	gen.mu.Lock()
	if !gen.ended {
		gen.carryOut(gen.machine.Step(time.Since(gen.began), in))
	}
	gen.unlockAndWrite()
}

// unlockAndWrite sends what may be sent, unless somebody is sending already. The
// caller holds the lock, which is released.
func (gen *Generation) unlockAndWrite() {
	if gen.writing || !gen.maySend() {
		gen.mu.Unlock()
		return
	}
	gen.writing = true
	// Returns must be taken in while rows are sent, or a full chain would stand
	// still. A lone row cannot fill anything: it goes without a hand-over.
	alone := len(gen.out) == 1 && gen.out[0].Done == gen.out[0].Position
	if !alone {
		gen.helpers.Add(1)
	}
	gen.mu.Unlock()
	if alone {
		gen.write()
		return
	}
	go func() {
		defer gen.helpers.Done()
		gen.write()
	}()
}

// carryOut does what the machine wants. The caller holds the lock.
func (gen *Generation) carryOut(effects []session.Effect) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case session.SendOpen:
			gen.helpers.Add(1)
			go gen.serveControl(effect.Hop, effect.Frame)
		case session.Send:
			gen.out = append(gen.out, effect.Frame)
		case session.Emit:
			for _, piece := range effect.Pieces {
				gen.pieces <- piece // has room: maySend sees to it
			}
		case session.WakeAt:
			gen.timer.Reset(effect.At - time.Since(gen.began))
		case session.Ended:
			gen.end(effect.Finish, effect.Err)
			return
		}
	}
}

// maySend reports whether a frame is to be sent now. A byte's row waits while
// the caller leaves piecesQueued bytes unread, so that those of one more lap
// have room and nothing ever waits for the caller. The caller holds the lock.
func (gen *Generation) maySend() bool {
	return len(gen.out) > 0 && !gen.ended && len(gen.pieces) < piecesQueued
}

// write sends what waits to the first hop, whose stream it opens first.
func (gen *Generation) write() {
	for {
		gen.mu.Lock()
		if !gen.maySend() {
			gen.writing = false
			gen.mu.Unlock()
			return
		}
		f, first := gen.out[0], gen.first
		gen.out = gen.out[1:]
		gen.carryOut(gen.machine.Step(time.Since(gen.began), session.Sending{Position: f.Position}))
		gen.mu.Unlock()
		if err := gen.send(first, &f); err != nil {
			gen.step(hopLost(0, err))
			return
		}
	}
}

// end records the outcome and hangs up everywhere. The caller holds the lock.
func (gen *Generation) end(finish session.Finish, err error) {
	if gen.ended {
		return
	}
	gen.ended, gen.finish, gen.err = true, finish, err
	gen.timer.Stop()
	for _, s := range gen.control {
		hangUp(s)
	}
	hangUp(gen.first)
	hangUp(gen.back)
	gen.cancel()
}

// send writes a frame to the first hop. Only who is writing calls it.
func (gen *Generation) send(first stream, f *wire.Frame) error {
	if first != nil {
		return writeFrame(first, f)
	}
	first, err := gen.gateways.links.dial(gen.ctx, gen.machine.Peer(0))
	if err != nil {
		return err
	}
	gen.mu.Lock()
	if gen.ended {
		gen.mu.Unlock()
		hangUp(first)
		return nil
	}
	gen.first = first
	gen.mu.Unlock()
	attach := wire.Frame{Header: wire.Header{Kind: wire.KindAttach, Session: f.Session, Epoch: f.Epoch}}
	if err := writeFrame(first, &attach); err != nil {
		return err
	}
	return writeFrame(first, f)
}

// serveControl opens the control stream to one hop and hears what it says until
// either side hangs up.
func (gen *Generation) serveControl(hop int, open wire.Frame) {
	defer gen.helpers.Done()
	lost := func(err error) { gen.step(hopLost(hop, err)) }
	s, err := gen.gateways.links.dial(gen.ctx, gen.machine.Peer(hop))
	if err != nil {
		lost(err)
		return
	}
	gen.mu.Lock()
	if gen.ended {
		gen.mu.Unlock()
		hangUp(s)
		return
	}
	gen.control[hop] = s
	gen.mu.Unlock()
	if err := writeFrame(s, &open); err != nil {
		lost(err)
		return
	}
	var f wire.Frame
	for {
		if err := f.Read(s); err != nil {
			lost(err)
			return
		}
		switch {
		case f.Session != open.Session || f.Hop != open.Hop:
			lost(errors.New("an answer for another session"))
			return
		case f.Kind == wire.KindOpened:
			gen.step(session.Opened{Hop: hop})
		case f.Kind == wire.KindRefused:
			gen.step(session.Refused{Hop: hop, Code: f.Code, Text: string(f.Body)})
			return
		default:
			lost(fmt.Errorf("a frame of kind %d on the control stream", f.Kind))
			return
		}
	}
}

// Next waits for the next byte; io.EOF ends a complete answer. Other errors wrap
// a sentinel of package session.
func (gen *Generation) Next() (session.Piece, error) {
	if piece, ok := <-gen.pieces; ok {
		gen.mu.Lock()
		gen.unlockAndWrite() // what waited for room
		return piece, nil
	}
	if gen.err != nil {
		return session.Piece{}, gen.err
	}
	return session.Piece{}, io.EOF
}

// Finish says why the answer ended; valid after Next returned io.EOF.
func (gen *Generation) Finish() session.Finish {
	gen.mu.Lock()
	defer gen.mu.Unlock()
	return gen.finish
}

// Usage is what the generation cost so far, hops named by their peer IDs.
func (gen *Generation) Usage() session.Usage {
	gen.mu.Lock()
	defer gen.mu.Unlock()
	usage := gen.machine.Usage()
	for i := range usage.Hops {
		usage.Hops[i].Peer = peerName(usage.Hops[i].Peer)
	}
	return usage
}

// Logits are those at the last position whose output came back.
func (gen *Generation) Logits() [256]float32 {
	gen.mu.Lock()
	defer gen.mu.Unlock()
	return gen.machine.Logits()
}

// Close frees the generation everywhere and waits until this node holds nothing
// of it.
func (gen *Generation) Close() error {
	gen.cancel()
	for range gen.pieces { // closed when everything has ended
	}
	return nil
}

// peerName is a peer ID as people write it.
func peerName(id string) string {
	p, err := peer.IDFromBytes([]byte(id))
	if err != nil {
		return id
	}
	return p.String()
}
