package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// rendezvousPauses are the waits between looks into the DHT after a start, when
// the routing table still fills. The last repeats.
var rendezvousPauses = []time.Duration{
	200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
	4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute,
}

// rendezvousTime bounds one look into the DHT and one announcement to it.
const rendezvousTime = 20 * time.Second

// rendezvousKey is what the nodes of a Genome's grid provide in the DHT to find one
// another. It is no content: the Genome's own CID is provided by whoever has it.
func rendezvousKey(genome cid.Cid) (cid.Cid, error) {
	sum, err := multihash.Sum(append([]byte("zetagrid/rendezvous/1\x00"), genome.Bytes()...), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, fmt.Errorf("rendezvous: %w", err)
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

// meetInDHT announces this node under the grid's key and dials who else did, often
// at first and for ever after. New addresses of this node, such as one through a
// relay, start the schedule over; so does a new neighbour (a kick), until an
// announcement has been stored somewhere.
func (m *Membership) meetInDHT() {
	stored := false
	for attempt := 0; ; attempt++ {
		pause := rendezvousPauses[min(attempt, len(rendezvousPauses)-1)]
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-m.kick:
			timer.Stop()
			if stored {
				continue
			}
			attempt = 0
		case <-m.moved:
			timer.Stop()
			attempt = 0
		case <-m.ctx.Done():
			timer.Stop()
			return
		}
		stored = m.rendezvous() || stored
	}
}

// rendezvous announces and looks once, and reports whether the announcement was
// stored.
func (m *Membership) rendezvous() bool {
	ctx, cancel := context.WithTimeout(m.ctx, rendezvousTime)
	defer cancel()
	for info := range m.host.dht.FindProvidersAsync(ctx, m.key, ProvidersAsked) {
		if m.gridPeers() < GridPeers {
			m.host.Discovered(info)
		}
	}
	if err := m.host.dht.Provide(ctx, m.key, true); err != nil {
		m.log.Debug("not announced in the DHT", "error", err)
		return false
	}
	return true
}
