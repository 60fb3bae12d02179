package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/node/wire"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// caller is a gateway made by hand: its peer ID, and what it sends to hop 0 of a
// chain of one.
type caller struct {
	node *Node
	peer string
	id   wire.SessionID
}

// openFrame opens all blocks of the node's model. change, if not nil, makes
// something of it wrong.
func (c caller) openFrame(change func(*wire.Open)) *wire.Frame {
	all := c.node.Config().All()
	open := wire.Open{
		Model: c.node.library.modelCID.Bytes(), Hi: uint32(all.Hi), NextHi: uint32(all.Hi),
		Hops: 1, Window: wire.RowsInFlight, Previous: []byte(c.peer), Next: []byte(c.peer),
	}
	if change != nil {
		change(&open)
	}
	return &wire.Frame{
		Header: wire.Header{Kind: wire.KindOpen, Session: c.id, Epoch: 7},
		Body:   open.Append(nil),
	}
}

// open sends an open and returns the control stream and what was answered.
func (c caller) open(t testing.TB, change func(*wire.Open)) (stream, *wire.Frame) {
	t.Helper()
	control := c.control(change)
	var answer wire.Frame
	if err := answer.Read(control); err != nil {
		t.Fatal(err)
	}
	if answer.Session != c.id || answer.Epoch != 7 {
		t.Fatalf("an answer for session %v epoch %d", answer.Session, answer.Epoch)
	}
	return control, &answer
}

// control sends an open and returns the control stream.
func (c caller) control(change func(*wire.Open)) stream {
	near, far := net.Pipe()
	go c.node.hops.control(c.node.ctx, incoming{c.peer, pipe{far}}, c.openFrame(change))
	return pipe{near}
}

// attach opens the stream of rows.
func (c caller) attach() stream {
	near, far := net.Pipe()
	attach := &wire.Frame{Header: wire.Header{Kind: wire.KindAttach, Session: c.id, Epoch: 7}}
	go c.node.hops.rows(incoming{c.peer, pipe{far}}, attach)
	return pipe{near}
}

// row is the row of a zero byte at a position.
func (c caller) row(position uint64) *wire.Frame {
	return &wire.Frame{
		Header: wire.Header{
			Kind: wire.KindRows, Session: c.id, Epoch: 7, Rows: 1, Position: position, Done: position,
			Want: wire.Position, // none
		},
		Body: make([]byte, 4*c.node.Config().DModel),
	}
}

func callerOf(n *Node, peer string, id byte) caller {
	return caller{n, peer, wire.SessionID{id, 15: 1}}
}

// gatedBackend lets no new state come to be while its gate is shut.
type gatedBackend struct {
	tcn.Backend
	gate *sync.RWMutex
}

type gatedStage struct {
	tcn.Stage
	gate *sync.RWMutex
}

func (b gatedBackend) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	s, err := b.Backend.Load(c, r, blocks)
	return gatedStage{s, b.gate}, err
}

func (s gatedStage) NewState(r tcn.Range, start int) (tcn.State, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.Stage.NewState(r, start)
}

// TestRowsBeforeTheStateIsThere: a gateway that does not wait for its answer
// must not bring the node down.
func TestRowsBeforeTheStateIsThere(t *testing.T) {
	gate := new(sync.RWMutex)
	n := startNode(t, Options{
		Model: seededFolder(t, sixBlocks), Offline: true, Open: opens(gatedBackend{tcn.NewCPU(nil), gate}),
	})
	waitReady(t, n)
	gate.Lock()
	c := callerOf(n, "hasty", 1)
	control := c.control(nil)
	eventually(t, "reserved", func() bool { return n.hops.openSessions() == 1 })
	rows := c.attach()
	if err := writeFrame(rows, c.row(0)); err == nil {
		_, err = rows.Read(make([]byte, 1))
		if !errors.Is(err, io.EOF) {
			t.Errorf("rows were taken: %v", err)
		}
	}
	gate.Unlock()
	var opened wire.Frame
	if err := opened.Read(control); err != nil || opened.Kind != wire.KindOpened {
		t.Fatalf("kind %d, %v", opened.Kind, err)
	}
	hangUp(control)
	eventually(t, "freed", func() bool { return n.hops.reserved() == 0 })
}

// TestSessionLimits opens sessions up to each limit and one past it, and sees
// that what was reserved is given back.
func TestSessionLimits(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Offline: true})
	waitReady(t, n)
	row := int64(n.Config().DModel) * 4
	one := n.Config().StateBytes(n.Config().All()) + wire.RowsInFlight*row
	for _, c := range []struct {
		name    string
		budget  int64
		peer    func(i int) string
		allowed int
		want    wire.Code
	}{
		{"of one gateway", stateBytesDefault, func(int) string { return "busy" }, sessionsPerGateway, wire.CodeNoSlot},
		{"of all gateways", stateBytesDefault, func(i int) string { return fmt.Sprint("peer ", i/sessionsPerGateway) }, sessionsPerNode, wire.CodeNoSlot},
		{"bytes of one gateway", 4 * 3 * one, func(int) string { return "large" }, 3, wire.CodeNoMemory},
		{"bytes of all gateways", 5 * one, func(i int) string { return fmt.Sprint("peer ", i) }, 5, wire.CodeNoMemory},
		{"bytes of this node", 5 * one, func(int) string { return n.links.self }, 5, wire.CodeNoMemory},
		{"a first session past its share", 2 * one, func(int) string { return "only" }, 1, wire.CodeNoMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.hops.budget = c.budget
			var open []stream
			for i := range c.allowed + 1 {
				caller := caller{n, c.peer(i), wire.SessionID{byte(i), byte(i >> 8), 15: 1}}
				control, answer := caller.open(t, nil)
				open = append(open, control)
				switch {
				case i < c.allowed && answer.Kind != wire.KindOpened:
					t.Fatalf("session %d: %v", i, answer.Code)
				case i == c.allowed && answer.Code != c.want:
					t.Errorf("one more: kind %d %v, want %v", answer.Kind, answer.Code, c.want)
				}
			}
			if got, want := n.hops.reserved(), int64(c.allowed)*one; got != want {
				t.Errorf("reserved %d bytes, want %d", got, want)
			}
			for _, control := range open {
				hangUp(control)
			}
			eventually(t, "freed", func() bool { return n.hops.openSessions() == 0 })
			if n.hops.reserved() != 0 || len(n.hops.gateways) != 0 {
				t.Errorf("%d bytes of %d gateways are still reserved", n.hops.reserved(), len(n.hops.gateways))
			}
		})
	}
}

// TestOpenRefusals: what is wrong with an open is said by its code, and nothing
// stays reserved.
func TestOpenRefusals(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Offline: true})
	waitReady(t, n)
	first := callerOf(n, "peer", 1)
	control, answer := first.open(t, nil)
	if answer.Kind != wire.KindOpened {
		t.Fatal(answer.Code)
	}
	for _, c := range []struct {
		name   string
		change func(*wire.Open)
		want   wire.Code
	}{
		{"cut short", func(o *wire.Open) { o.Model = nil }, wire.CodeMalformed},
		{"another Genome's blocks", func(o *wire.Open) { o.Hi, o.NextHi = 9, 9 }, wire.CodeMalformed},
		{"model that is no CID", func(o *wire.Open) { o.Model = []byte("model") }, wire.CodeUnknownModel},
		{"Soul that is no CID", func(o *wire.Open) { o.Soul = []byte("soul") }, wire.CodeUnknownSoul},
		{"Soul that is a Model", func(o *wire.Open) { o.Soul = o.Model }, wire.CodeUnknownSoul},
		{"rows of another", func(o *wire.Open) { o.Previous = []byte("other") }, wire.CodeWrongPeer},
		{"open already", nil, wire.CodeWrongPeer},
	} {
		if _, answer := first.open(t, c.change); answer.Kind != wire.KindRefused || answer.Code != c.want {
			t.Errorf("%s: kind %d %v, want %v", c.name, answer.Kind, answer.Code, c.want)
		}
	}
	if got := n.hops.openSessions(); got != 1 {
		t.Errorf("%d sessions are open", got)
	}
	hangUp(control)
	eventually(t, "freed", func() bool { return n.hops.openSessions() == 0 && n.hops.reserved() == 0 })
	for key, entry := range n.variants.held {
		if entry.users != 0 {
			t.Errorf("%v is still used by %d", key.blocks, entry.users)
		}
	}
}

// TestRowsOfAnotherPeer: only the peer that the gateway named may attach, and
// only once.
func TestRowsOfAnotherPeer(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Offline: true})
	waitReady(t, n)
	c := callerOf(n, "peer", 1)
	control, _ := c.open(t, nil)
	defer hangUp(control)
	refused := func(who string, s stream) {
		t.Helper()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", who, err)
		}
	}
	stranger := c
	stranger.peer = "stranger"
	refused("a stranger", stranger.attach())
	rows := c.attach()
	defer hangUp(rows)
	if err := writeFrame(rows, c.row(0)); err != nil {
		t.Fatal(err)
	}
	refused("a second stream", c.attach())
}

// TestIdle: a session waits for the rest of its chain to open, then for no row
// longer than idleTimeout.
func TestIdle(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	synctest.Test(t, func(t *testing.T) {
		n, err := Start(t.Context(), Options{Model: dir, Offline: true, Compute: &tcn.Compute{Kernels: kernel.Portable()}})
		if err != nil {
			t.Fatal(err)
		}
		<-n.Ready()
		l := newLinks("slow", nil) // where the rows come back
		n.hops = newHops(l, n.executor, n.resident, n.variants, n.deviceLost, stateBytesDefault)
		go func() { _, _ = io.Copy(io.Discard, (<-l.local).stream) }() // till the session ends
		c := callerOf(n, "slow", 1)
		control, _ := c.open(t, nil)
		time.Sleep(session.OpenTimeout - time.Second)
		rows := c.attach()
		for p := range uint64(3) {
			if err := writeFrame(rows, c.row(p)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(idleTimeout - time.Second)
		}
		var f wire.Frame
		began := time.Now()
		if err := f.Read(control); err != nil || f.Code != wire.CodeIdle || f.Epoch != 7 {
			t.Errorf("kind %d epoch %d %v, %v", f.Kind, f.Epoch, f.Code, err)
		}
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("after %v more", waited)
		}
		hangUp(control)
		synctest.Wait()
		if n.hops.reserved() != 0 {
			t.Error("still reserved")
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSilentStream: a stream whose first frame does not come is dropped.
func TestSilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{log: slog.New(slog.DiscardHandler)}
		near, far := net.Pipe()
		go n.serve(incoming{"silent", pipe{far}})
		began := time.Now()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if waited := time.Since(began); waited != firstFrameTimeout {
			t.Errorf("after %v", waited)
		}
	})
}

// TestLeavingWhileOpening: a gateway that goes while a Model is looked for
// leaves nothing behind, and nothing to another that looks for the same.
func TestLeavingWhileOpening(t *testing.T) {
	n := startNode(t, Options{Model: seededFolder(t, sixBlocks), Blocks: []tcn.Range{sixBlocks.All()}})
	waitReady(t, n)
	other := seededFolderOf(t, sixBlocks, 8)
	absent := func(o *wire.Open) { o.Model = other.Bytes() }
	first, second := callerOf(n, "first", 1).control(absent), callerOf(n, "second", 2).control(absent)
	waiting := func(want int) func() bool {
		return func() bool {
			n.variants.mu.Lock()
			defer n.variants.mu.Unlock()
			users := 0
			for key, entry := range n.variants.held {
				if key.model == string(other.Bytes()) {
					users += entry.users
				}
			}
			return users == want
		}
	}
	eventually(t, "both wait", waiting(2))
	hangUp(first)
	eventually(t, "one waits", waiting(1))
	if n.variants.held[variantKey{string(other.Bytes()), "", sixBlocks.All()}].isLoaded() {
		t.Error("the loading ended with the first that left")
	}
	hangUp(second)
	eventually(t, "nobody waits", waiting(0))
	n.variants.loading.Wait()
}
