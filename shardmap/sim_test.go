package shardmap

import (
	"bytes"
	"container/heap"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// network runs many maps in one goroutine, with one event heap and one seed.
type network struct {
	t       testing.TB
	rng     *rand.Rand
	now     Millis
	queue   deliveries
	serial  int
	peers   []*peer
	trace   [sha256.Size]byte // of everything that happened
	quickly Millis            // longest way of a message
	opened  map[string]Claim  // by sealed bytes: checking a signature once is enough here
}

type peer struct {
	key    ed25519.PrivateKey
	m      *Map
	up     bool
	tick   Millis // when the next tick is queued for
	load   Millis // longest time to fetch tiles
	served Millis // when it first served; 0: not yet
}

type delivery struct {
	at     Millis
	serial int // ties go in order of sending
	run    func()
}

type deliveries []delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].serial < d[j].serial
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(delivery)) }
func (d *deliveries) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

func newNetwork(t testing.TB, seed uint64) *network {
	return &network{t: t, rng: rand.New(rand.NewPCG(seed, 99)), quickly: 60, opened: map[string]Claim{}}
}

func (n *network) after(wait Millis, run func()) {
	n.serial++
	heap.Push(&n.queue, delivery{n.now + wait, n.serial, run})
}

func (n *network) between(lo, hi Millis) Millis { return lo + Millis(n.rng.Int64N(int64(hi-lo+1))) }

// run plays until end.
func (n *network) run(end Millis) {
	for len(n.queue) > 0 && n.queue[0].at <= end {
		d := heap.Pop(&n.queue).(delivery)
		n.now = d.at
		d.run()
	}
	n.now = end
}

// join starts a node at a time: it exchanges digests with one that is up, then
// does first.
func (n *network) join(at Millis, blocks int, load Millis, first Event) *peer {
	key := seedKey(n.rng.Uint64())
	p := &peer{key: key, m: newMap(n.t, nodeOfKey(key), blocks, 0), load: load}
	n.peers = append(n.peers, p)
	n.after(at-n.now, func() {
		var up []*peer
		for _, q := range n.peers {
			if q.up {
				up = append(up, q)
			}
		}
		p.up = true
		n.step(p, first)
		if len(up) > 0 {
			n.connect(p, up[n.rng.IntN(len(up))])
		}
	})
	return p
}

// connect lets two nodes exchange digests and then what ranks higher.
func (n *network) connect(p, q *peer) {
	for _, pair := range [][2]*peer{{p, q}, {q, p}} {
		asker, giver := pair[0], pair[1]
		n.after(n.between(1, n.quickly), func() {
			digest := asker.m.Digest(n.now)
			answer, err := giver.m.Newer(n.now, digest)
			if err != nil {
				n.t.Fatal(err)
			}
			n.after(n.between(1, n.quickly), func() { n.receive(asker, answer) })
		})
	}
}

func (n *network) receive(p *peer, answer []byte) {
	entries, err := ParseEntries(answer)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		c, known := n.opened[string(e.Sealed)]
		if !known {
			if c, err = Open(e.Sealed); err != nil {
				n.t.Fatal(err)
			}
			n.opened[string(e.Sealed)] = c
		}
		n.step(p, Heard{Claim: c, Sealed: e.Sealed, Left: e.Left})
	}
}

// step steps a node that is up and carries its effects out.
func (n *network) step(p *peer, ev Event) {
	if !p.up {
		return
	}
	for _, effect := range p.m.Step(n.now, ev) {
		n.record(p, effect)
		switch f := effect.(type) {
		case Publish:
			n.gossip(p, f.Claim)
		case Load:
			n.after(n.between(0, p.load), func() { n.step(p, Loaded{[]Range{f.Range}}) })
		}
	}
	if wake := p.m.NextWake(n.now); wake < p.tick || p.tick <= n.now {
		p.tick = wake
		n.after(wake-n.now, func() {
			if p.tick == wake {
				n.step(p, Ticked{})
			}
		})
	}
}

func (n *network) gossip(p *peer, c Claim) {
	if c.State == Serving && len(c.Ranges) > 0 && p.served == 0 {
		p.served = n.now
	}
	sealed, err := c.Seal(p.key)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, q := range n.peers {
		if q.up {
			n.after(n.between(1, n.quickly), func() { n.step(q, Heard{Claim: c, Sealed: sealed, Left: c.Lease}) })
		}
	}
}

func (n *network) record(p *peer, effect Effect) {
	n.trace = sha256.Sum256(fmt.Appendf(n.trace[:], "%d %x %+v", n.now, string(p.m.options.Self), effect))
}

// checkCovered demands that every node serves something, knows every node, and
// finds a chain.
func (n *network) checkCovered() {
	n.t.Helper()
	for i, p := range n.peers {
		if p.served == 0 {
			n.t.Errorf("node %d never served: %+v", i, p.m.claim())
		}
		if got := len(p.m.View(n.now)); got != len(n.peers) {
			n.t.Errorf("node %d knows %d nodes, want %d", i, got, len(n.peers))
		}
		if _, err := p.m.Route(n.now, nil); err != nil {
			n.t.Errorf("node %d: %v", i, err)
		}
		if !slices.Equal(p.m.Coverage(n.now), n.peers[0].m.Coverage(n.now)) {
			n.t.Errorf("node %d sees coverage %v, node 0 %v", i, p.m.Coverage(n.now), n.peers[0].m.Coverage(n.now))
		}
	}
}

// seeds is how many seeds to run: a third in short mode.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return n / 3
	}
	return n
}

// TestGridOf200 lets 200 nodes of capacity 1 to 8 join 300 blocks, in random order
// within some seconds, each knowing one other. All blocks come to be served.
func TestGridOf200(t *testing.T) {
	for seed := range seeds(3) {
		n := newNetwork(t, seed)
		for range 200 {
			n.join(n.between(0, 5000), 300, 1500, Seek{CapacityBlocks: 1 + n.rng.IntN(8)})
		}
		n.run(12_000)
		n.checkCovered()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestStartTogether starts idle nodes at once. With a source that owns all, each
// serves within 2 s, and they spread; without, they cover the blocks between them.
func TestStartTogether(t *testing.T) {
	const blocks = 12
	for seed := range seeds(30) {
		for _, source := range []bool{true, false} {
			n := newNetwork(t, seed)
			if source {
				n.join(0, blocks, 0, Pin{[]Range{{0, blocks}}})
			}
			nodes := 2 + n.rng.IntN(14)
			capacity := (blocks + nodes - 1) / nodes
			if n.rng.IntN(2) == 0 {
				capacity = 1 + n.rng.IntN(blocks) // may be too little without a source
			}
			first := n.now + 200
			for range nodes {
				n.join(first+n.between(0, 20), blocks, 30, Seek{CapacityBlocks: capacity})
			}
			n.run(8_000)
			for i, p := range n.peers {
				if source && (p.served == 0 || p.served > first+2000) {
					t.Errorf("node %d served at %d, started at %d", i, p.served, first)
				}
			}
			if source || capacity*nodes >= 2*blocks {
				n.checkCovered()
			}
			if coverage := n.peers[0].m.Coverage(n.now); source && capacity*nodes >= 2*blocks && slices.Min(coverage) < 2 {
				t.Errorf("coverage %v of %d nodes with %d blocks each beside the source", coverage, nodes, capacity)
			}
			if t.Failed() {
				t.Fatalf("seed %d, source %v, %d nodes with %d blocks each", seed, source, nodes, capacity)
			}
		}
	}
}

// TestRackExactlyFits starts 2 to 9 nodes that together hold the blocks just once,
// within 3 s of each other and with nobody to follow: no two may hold the same.
func TestRackExactlyFits(t *testing.T) {
	const blocks = 36
	for seed := range seeds(30) {
		n := newNetwork(t, seed)
		nodes := 2 + n.rng.IntN(8)
		for range nodes {
			n.join(n.between(0, Millis(seed%4)*1000), blocks, 2000, Seek{CapacityBlocks: (blocks + nodes - 1) / nodes})
		}
		n.run(12_000)
		n.checkCovered()
		if t.Failed() {
			t.Fatalf("seed %d, %d nodes, coverage %v", seed, nodes, n.peers[0].m.Coverage(n.now))
		}
	}
}

// TestSameEventsSameEffects runs one seed several times: nothing may depend on the
// order of a Go map, or on an address.
func TestSameEventsSameEffects(t *testing.T) {
	var first []byte
	for range 5 {
		n := newNetwork(t, 3)
		for range 30 {
			n.join(n.between(0, 2000), 40, 500, Seek{CapacityBlocks: 1 + n.rng.IntN(6)})
		}
		n.run(6_000)
		n.peers[4].up = false // dies
		n.run(12_000)
		if first == nil {
			first = bytes.Clone(n.trace[:])
		}
		if !bytes.Equal(n.trace[:], first) {
			t.Fatalf("trace %x, before %x", n.trace, first)
		}
	}
}
