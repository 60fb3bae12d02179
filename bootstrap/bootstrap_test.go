package bootstrap_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"go.uber.org/goleak"

	"github.com/zetagrid/zetagrid/bootstrap"
	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/shardmap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	loopback = []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	quiet    = slog.New(slog.DiscardHandler)
	genome   = cid.MustParse("baguqeerasords4njcts6vs7qvdjfcvgnume4hqohf65zsfguprqphs3icwea")
)

func Example() {
	dir, err := os.MkdirTemp("", "bootstrap")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	peer, err := bootstrap.Run(context.Background(), bootstrap.Options{
		Data:   dir,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(peer.Addrs()), "address")
	if err := peer.Close(); err != nil {
		log.Fatal(err)
	}
	// Output: 1 address
}

func run(t *testing.T, dir string) *bootstrap.Peer {
	t.Helper()
	p, err := bootstrap.Run(t.Context(), bootstrap.Options{Data: dir, Listen: loopback, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	first := run(t, dir)
	id := first.ID()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if again := run(t, dir); again.ID() != id {
		t.Fatalf("peer ID %s, then %s", id, again.ID())
	}
	if _, err := bootstrap.Run(t.Context(), bootstrap.Options{Listen: loopback}); !errors.Is(err, p2p.ErrOptions) {
		t.Fatalf("without a data folder: %v", err)
	}
}

// Nodes that know only the bootstrap peer find each other, not it, in their grid, and
// keep each other when it is gone.
func TestIntroduces(t *testing.T) {
	introducer := run(t, t.TempDir())
	members := make([]*p2p.Membership, 2)
	for i := range members {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		host, err := p2p.New(t.Context(), p2p.Options{
			Key: key, Listen: loopback, Bootstrap: introducer.Addrs(), DHT: true, Logger: quiet,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := host.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		members[i], err = host.Join(t.Context(), p2p.Grid{Genome: genome, Blocks: 2, Arithmetic: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	awaitClaims(t, members, "first")
	if err := introducer.Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		m.Do(shardmap.Speed{BlockMicros: 7})
	}
	awaitClaims(t, members, "after the bootstrap peer left")
}

// awaitClaims blocks until each member knows exactly the members, at their latest.
func awaitClaims(t *testing.T, members []*p2p.Membership, when string) {
	t.Helper()
	const testWait = 3 * time.Minute // it only bounds failure
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	latest := func(m *p2p.Membership) bool {
		seen := m.View()
		for _, s := range seen {
			if s.Claim.BlockMicros != seen[0].Claim.BlockMicros {
				return false
			}
		}
		return len(seen) == len(members)
	}
	for _, m := range members {
		for {
			changed := m.Changed()
			if latest(m) {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("%s: the map holds %d claims, want %d", when, len(m.View()), len(members))
			}
		}
	}
}
