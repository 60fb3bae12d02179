package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/zetagrid/zetagrid/shardmap"
)

// claimsPrefix, with a Genome CID behind it, names both the gossip topic of a grid's
// claims and the protocol of their exchange, by which a peer is known to belong.
const claimsPrefix = "/zetagrid/claims/1/"

// Grid says which grid to join.
type Grid struct {
	Genome     cid.Cid // of the Genome manifest
	Blocks     int     // Fractal Blocks of the Genome, 1 to shardmap.BlocksMost
	Arithmetic uint16  // version of the exact arithmetic, from 1
}

// Membership is a node's part in the grid of one Genome. It owns the shard map: it
// keeps its clock, feeds it what the network says, seals and gossips this node's
// claim, and compares the map with neighbours so that what gossip missed heals.
// Its methods may be called from any goroutine.
type Membership struct {
	host     *Host
	log      *slog.Logger
	key      cid.Cid // rendezvous in the DHT
	protocol protocol.ID
	gate     *claimGate
	topic    *pubsub.Topic
	claims   *pubsub.Subscription
	signer   ed25519.PrivateKey
	begun    time.Time

	mu      sync.Mutex
	shards  *shardmap.Map
	sealed  []byte            // our claim not gossiped yet, the latest; nil: none
	queue   []shardmap.Effect // not taken by the daemon yet
	changed chan struct{}     // closed when the map changed

	wake    chan struct{} // the map's next wake may have moved
	publish chan struct{} // sealed was set
	queued  chan struct{} // queue grew
	kick    chan struct{} // a neighbour appeared
	moved   chan struct{} // this node's addresses changed
	effects chan shardmap.Effect

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wait   sync.WaitGroup
	close  func() error // runs once
}

// Join takes part in a grid until Close of the Membership or of the host. A host
// joins one grid of each Genome at a time. The claim starts empty: the daemon says
// with Pin or Seek what to own.
func (h *Host) Join(ctx context.Context, g Grid) (*Membership, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !g.Genome.Defined() {
		return nil, fmt.Errorf("join: %w: no Genome", ErrOptions)
	}
	key, err := rendezvousKey(g.Genome)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	raw, err := h.key.Raw()
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	incarnation, err := nextIncarnation(h.dataDir)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	m := &Membership{
		host:     h,
		log:      h.log,
		key:      key,
		protocol: protocol.ID(claimsPrefix + g.Genome.String()),
		gate:     &claimGate{genome: string(g.Genome.Bytes())},
		signer:   ed25519.PrivateKey(raw),
		begun:    time.Now(),
		changed:  make(chan struct{}),
		wake:     make(chan struct{}, 1),
		publish:  make(chan struct{}, 1),
		queued:   make(chan struct{}, 1),
		kick:     make(chan struct{}, 1),
		moved:    make(chan struct{}, 1),
		effects:  make(chan shardmap.Effect),
	}
	m.shards, err = shardmap.New(shardmap.Options{
		Self:        NodeOf(h.ID()),
		Genome:      m.gate.genome,
		Blocks:      g.Blocks,
		Arithmetic:  g.Arithmetic,
		Incarnation: incarnation,
	})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	m.ctx, m.cancel = context.WithCancel(h.ctx)
	m.close = sync.OnceValue(m.shutDown)
	if err := m.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("join: %w", err), m.Close())
	}
	h.wait.Go(func() {
		<-m.ctx.Done() // at Close of either
		if err := m.Close(); err != nil {
			h.log.Debug("left the grid with an error", "error", err)
		}
	})
	return m, nil
}

// NodeOf is a peer's name in the shard map.
func NodeOf(p peer.ID) shardmap.NodeID { return shardmap.NodeID(p) }

// PeerOf is a node's peer ID.
func PeerOf(n shardmap.NodeID) peer.ID { return peer.ID(n) }

func (m *Membership) start() error {
	gossip, err := m.host.gossipOnce()
	if err != nil {
		return err
	}
	name := string(m.protocol)
	if err := gossip.RegisterTopicValidator(name, m.gate.validate); err != nil {
		return err
	}
	if m.topic, err = gossip.Join(name); err != nil {
		return errors.Join(err, gossip.UnregisterTopicValidator(name))
	}
	if err := m.topic.SetScoreParams(topicScore()); err != nil {
		return err
	}
	if m.claims, err = m.topic.Subscribe(); err != nil {
		return err
	}
	neighbours, err := m.subscribe()
	if err != nil {
		return err
	}
	m.host.host.SetStreamHandler(m.protocol, m.serveExchange)
	m.wait.Go(func() { m.watch(neighbours) })
	m.wait.Go(m.tick)
	m.wait.Go(m.hear)
	m.wait.Go(m.speak)
	m.wait.Go(m.deliver)
	m.wait.Go(m.heal)
	m.wait.Go(m.measure)
	if m.host.dht != nil {
		m.wait.Go(m.meetInDHT)
	}
	return nil
}

// Close leaves the grid without a word: whoever is to be told is told by Drain and
// [Membership.Tell] before. It waits for everything Join started.
func (m *Membership) Close() error { return m.close() }

func (m *Membership) shutDown() error {
	m.cancel()
	m.host.host.RemoveStreamHandler(m.protocol)
	if m.claims != nil {
		m.claims.Cancel()
	}
	m.wait.Wait()
	if m.topic == nil {
		return nil
	}
	gossip, err := m.host.gossipOnce()
	if err != nil {
		return err
	}
	err = errors.Join(gossip.UnregisterTopicValidator(string(m.protocol)), m.topic.Close())
	if m.host.ctx.Err() != nil {
		return nil // gossip ended with the host and has nothing to unregister
	}
	return err
}

// now is the map's clock: milliseconds since Join, from 1.
func (m *Membership) now() shardmap.Millis {
	return shardmap.Millis(time.Since(m.begun).Milliseconds()) + 1
}

// Do hands the map an event. Its effects reach the network or Effects.
func (m *Membership) Do(ev shardmap.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	effects := m.shards.Step(m.now(), ev)
	m.apply(effects)
	if _, heard := ev.(shardmap.Heard); heard || len(effects) > 0 {
		close(m.changed)
		m.changed = make(chan struct{})
	}
	signal(m.wake)
}

// apply sorts effects: claims are sealed for speak, the rest waits for the daemon.
// m.mu is held.
func (m *Membership) apply(effects []shardmap.Effect) {
	for _, effect := range effects {
		p, ok := effect.(shardmap.Publish)
		if !ok {
			m.enqueue(effect)
			continue
		}
		sealed, err := p.Claim.Seal(m.signer)
		if err != nil {
			m.log.Error("claim not sealed", "error", err) // the map never builds such a claim
			continue
		}
		m.sealed = sealed
		signal(m.publish)
		m.apply(m.shards.Step(m.now(), shardmap.Heard{Claim: p.Claim, Sealed: sealed, Left: p.Claim.Lease}))
	}
}

// enqueue keeps an effect for the daemon. When too many wait, news of other nodes
// is dropped: View has it all.
func (m *Membership) enqueue(effect shardmap.Effect) {
	if len(m.queue) >= EffectsBacklog {
		switch effect.(type) {
		case shardmap.Joined, shardmap.Lost:
			return
		}
	}
	m.queue = append(m.queue, effect)
	signal(m.queued)
}

// Effects yields what the daemon must do (Load, Release, Refused) and what it may
// want to know (Joined, Lost), in order. It is one channel for the Membership's
// life, closed at Close.
func (m *Membership) Effects() <-chan shardmap.Effect { return m.effects }

// Changed returns a channel that is closed when the map next hears a claim, loses a
// node, or says something new of this one: when Route may find another answer.
func (m *Membership) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Route finds a chain through all blocks without the nodes in avoid. It fails with
// shardmap.ErrUncovered, as an *shardmap.Uncovered that names the missing blocks.
func (m *Membership) Route(avoid []shardmap.NodeID) ([]shardmap.Hop, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards.Route(m.now(), avoid)
}

// View lists the claims in the map.
func (m *Membership) View() []shardmap.Seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards.View(m.now())
}

// Coverage is how many nodes serve each block, one number per block.
func (m *Membership) Coverage() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards.Coverage(m.now())
}

// tickMost is the longest the map's clock stands still.
const tickMost shardmap.Millis = 60_000

// tick lets the map's time pass.
func (m *Membership) tick() {
	for {
		m.mu.Lock()
		now := m.now()
		pause := min(m.shards.NextWake(now), now+tickMost) - now
		m.mu.Unlock()
		timer := time.NewTimer(time.Duration(max(pause, 1)) * time.Millisecond)
		select {
		case <-timer.C:
			m.Do(shardmap.Ticked{})
		case <-m.wake:
			timer.Stop()
		case <-m.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// hear feeds gossiped claims to the map. The topic's validator has opened them.
func (m *Membership) hear() {
	for {
		message, err := m.claims.Next(m.ctx)
		if err != nil {
			return // only at Close
		}
		if claim, ok := message.ValidatorData.(shardmap.Claim); ok && message.ReceivedFrom != m.host.ID() {
			m.Do(shardmap.Heard{Claim: claim, Sealed: message.Data, Left: claim.Lease})
		}
	}
}

// speak gossips this node's latest claim whenever there is a new one.
func (m *Membership) speak() {
	for {
		select {
		case <-m.publish:
		case <-m.ctx.Done():
			return
		}
		m.mu.Lock()
		sealed := m.sealed
		m.sealed = nil
		m.mu.Unlock()
		if sealed == nil {
			continue
		}
		if err := m.topic.Publish(m.ctx, sealed); err != nil && m.ctx.Err() == nil {
			m.log.Warn("claim not gossiped", "error", err)
		}
	}
}

// deliver hands queued effects to the daemon.
func (m *Membership) deliver() {
	defer close(m.effects)
	for {
		m.mu.Lock()
		batch := m.queue
		m.queue = nil
		m.mu.Unlock()
		for _, effect := range batch {
			select {
			case m.effects <- effect:
			case <-m.ctx.Done():
				return
			}
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-m.queued:
		case <-m.ctx.Done():
			return
		}
	}
}

// signal wakes whoever waits on c, once, without waiting for it.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
