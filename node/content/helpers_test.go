package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

const leafBytes = modelfile.LeafBytes

// plenty is more than any file here has.
const plenty = 1 << 40

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Started by packages at init, for the life of the program.
		goleak.IgnoreTopFunction("github.com/ipfs/boxo/bitswap/client/internal/session.init.0"),
	)
}

// openStore opens the store in dir until the test ends.
func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

// newHost is a libp2p host on loopback QUIC.
func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, h.Close()) })
	return h
}

// online is a new store that has been started on a new host.
func online(t testing.TB) (*Store, host.Host) {
	t.Helper()
	h := newHost(t)
	s := openStore(t, t.TempDir())
	s.Start(h, nil)
	return s, h
}

// pair is two stores whose hosts are connected.
func pair(t testing.TB) (giver, taker *Store) {
	t.Helper()
	giver, a := online(t)
	taker, b := online(t)
	connect(t, b, a)
	return giver, taker
}

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	check(t, a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}))
}

// serveBlocks is a host that serves the given blocks, whatever their bytes are.
func serveBlocks(t testing.TB, served ...blocks.Block) (host.Host, *bitswap.Bitswap) {
	t.Helper()
	h := newHost(t)
	store := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()), blockstore.NoPrefix())
	check(t, store.PutMany(t.Context(), served))
	exchange := bitswap.New(t.Context(), bsnet.NewFromIpfsHost(h), nil, store)
	t.Cleanup(func() { check(t, exchange.Close()) })
	return h, exchange
}

// randomBytes are n bytes that depend on seed alone.
func randomBytes(seed uint64, n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data) // never fails
	return data
}

// outside writes data to a file that is in no store.
func outside(t testing.TB, data []byte) (path string, dag modelfile.FileDAG) {
	t.Helper()
	dag, err := modelfile.BuildFileDAG(bytes.NewReader(data))
	check(t, err)
	path = filepath.Join(t.TempDir(), "weights")
	check(t, os.WriteFile(path, data, 0o600))
	return path, dag
}

// give lets s serve size random bytes from outside.
func give(t testing.TB, s *Store, seed uint64, size int) (data []byte, dag modelfile.FileDAG, path string) {
	t.Helper()
	data = randomBytes(seed, size)
	path, dag = outside(t, data)
	check(t, s.addFile(t.Context(), dag.Root, path))
	return data, dag, path
}

// take fetches c and checks that its bytes are data.
func take(t testing.TB, s *Store, c cid.Cid, data []byte) (path string) {
	t.Helper()
	path, err := s.File(t.Context(), c, int64(len(data)), nil)
	check(t, err)
	got, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(got, data) {
		t.Fatalf("%s: %d bytes that are not those given", c, len(got))
	}
	return path
}

// flip changes one byte of a file in place, and its time of change for sure:
// some clocks are coarse.
func flip(t testing.TB, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], offset)
	check(t, err)
	b[0]++
	_, err = f.WriteAt(b[:], offset)
	check(t, errors.Join(err, f.Close()))
	touch(t, path)
}

// touched only moves forward, so that no two touches look the same.
var touched = time.Now().Add(time.Hour)

func touch(t testing.TB, path string) {
	t.Helper()
	touched = touched.Add(time.Second)
	check(t, os.Chtimes(path, touched, touched))
}

// holds fails unless the folders of s hold exactly so many entries.
func holds(t testing.TB, s *Store, want map[string]int) {
	t.Helper()
	for dir, n := range want {
		entries, err := os.ReadDir(s.path(dir))
		check(t, err)
		if len(entries) != n {
			t.Errorf("%s holds %d entries, want %d: %v", dir, len(entries), n, entries)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

// sent is how many blocks an exchange has sent to peers.
func sent(t testing.TB, exchange *bitswap.Bitswap) uint64 {
	t.Helper()
	stat, err := exchange.Stat()
	check(t, err)
	return stat.BlocksSent
}

// memory is a getBlock that knows some blocks.
func memory(known ...blocks.Block) getBlock {
	by := map[cid.Cid]blocks.Block{}
	for _, block := range known {
		by[block.Cid()] = block
	}
	return func(ctx context.Context, c cid.Cid) (blocks.Block, error) {
		if block, ok := by[c]; ok {
			return block, ctx.Err()
		}
		return nil, io.ErrUnexpectedEOF
	}
}

// waitAboard waits until callers wait for the fetch of c.
func waitAboard(s *Store, c cid.Cid, callers int) {
	for aboard := 0; aboard < callers; runtime.Gosched() {
		s.mu.Lock()
		if f := s.flights[c]; f != nil {
			aboard = f.waiting
		}
		s.mu.Unlock()
	}
}
