package content

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

func testHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func testStore(t *testing.T, h host.Host) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		s.Start(h, nil)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// seed puts size bytes into s as a file and returns its name.
func seed(t *testing.T, s *Store, size int, salt byte) (cid.Cid, []byte) {
	t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i>>13) ^ byte(i*7) ^ salt
	}
	dag, err := modelfile.BuildFileDAG(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	path := s.filePath(dag.Root)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.addFile(dag.Root, path); err != nil {
		t.Fatal(err)
	}
	return dag.Root, data
}

func connect(t *testing.T, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

func TestFileCrossesTheNetwork(t *testing.T) {
	for _, size := range []int{1, 1000, modelfile.LeafBytes, modelfile.LeafBytes + 1, 5*modelfile.LeafBytes + 77} {
		ha, hb := testHost(t), testHost(t)
		a, b := testStore(t, ha), testStore(t, hb)
		name, data := seed(t, a, size, 0)
		connect(t, hb, ha)
		path, err := b.File(t.Context(), name, int64(size), nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: the copy differs (%v)", size, err)
		}
		if left, _ := os.ReadDir(filepath.Join(b.dir, "partial")); len(left) != 0 {
			t.Fatalf("%d bytes: %d partial files left", size, len(left))
		}
		if _, err := b.File(t.Context(), name, int64(size)-1, nil); err == nil {
			t.Fatalf("%d bytes: allowed over its limit", size)
		}
	}
}

func TestFetchGoesOnWhereItStood(t *testing.T) {
	ha, hb := testHost(t), testHost(t)
	a, b := testStore(t, ha), testStore(t, hb)
	name, data := seed(t, a, 3*modelfile.LeafBytes+5, 1)
	if err := os.WriteFile(b.partialPath(name), data[:2*modelfile.LeafBytes], 0o644); err != nil {
		t.Fatal(err)
	}
	connect(t, hb, ha)
	var first int64 = -1
	if _, err := b.File(t.Context(), name, 1<<30, func(have, _ int64) {
		if first < 0 {
			first = have
		}
	}); err != nil {
		t.Fatal(err)
	}
	if first <= 2*modelfile.LeafBytes {
		t.Errorf("began again at %d", first)
	}
}

func TestOversizeIsRefusedBeforeWriting(t *testing.T) {
	ha, hb := testHost(t), testHost(t)
	a, b := testStore(t, ha), testStore(t, hb)
	name, _ := seed(t, a, 4*modelfile.LeafBytes, 2)
	connect(t, hb, ha)
	if _, err := b.File(t.Context(), name, 3*modelfile.LeafBytes, nil); err == nil {
		t.Fatal("allowed")
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, "partial")); len(left) != 0 {
		t.Fatal("wrote before refusing")
	}
}

func TestChangedFileIsNotServed(t *testing.T) {
	s := testStore(t, nil)
	name, data := seed(t, s, 2*modelfile.LeafBytes, 3)
	leaf := s.files[name].leaves[1]
	if _, err := (*blockstore)(s).Get(context.Background(), leaf); err != nil {
		t.Fatal(err)
	}
	data[modelfile.LeafBytes] ^= 1
	if err := os.WriteFile(s.filePath(name), append(data, 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (*blockstore)(s).Get(context.Background(), leaf); err == nil {
		t.Fatal("a changed leaf was served")
	}
}

func TestReopenTrustsTheIndex(t *testing.T) {
	s := testStore(t, nil)
	name, _ := seed(t, s, 3*modelfile.LeafBytes, 4)
	again, err := Open(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Has(name) {
		t.Fatal("lost the file")
	}
	if dag, ok := again.readIndex(name, again.files[name].stamp); !ok || len(dag.Leaves) != 3 {
		t.Fatal("hashed again")
	}
}

func TestCallersShareAFetch(t *testing.T) {
	ha, hb := testHost(t), testHost(t)
	a, b := testStore(t, ha), testStore(t, hb)
	name, _ := seed(t, a, 2*modelfile.LeafBytes, 5)
	errs := make(chan error, 8)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.File(gone, name, 1<<30, nil); err == nil {
		t.Fatal("a canceled caller got a file that is nowhere")
	}
	connect(t, hb, ha)
	for range cap(errs) {
		go func() {
			_, err := b.File(t.Context(), name, 1<<30, nil)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
