package p2p

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/shardmap"
)

func TestLoadKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	first, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(dir)
	if err != nil || !first.Equals(again) {
		t.Fatalf("another key after a restart, %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	other, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := crypto.MarshalPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		data []byte
		want error
	}{
		"another type": {foreign, ErrKeyType},
		"too long":     {make([]byte, KeyFileBytes+1), errFileTooLong},
		"no key":       {[]byte("key"), nil},
		"empty":        {nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, KeyFile)
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadKey(dir); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != string(c.data) {
				t.Fatal("the file was replaced")
			}
		})
	}
	if _, err := New(t.Context(), Options{Key: other, Listen: loopback}); !errors.Is(err, ErrKeyType) {
		t.Fatalf("a host with another key: %v", err)
	}
}

// A restart keeps the identity, counts itself, and finds a peer that nobody names
// any more.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	friend := startHost(t, Options{})
	join(t, friend)
	key, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	run := func(bootstrap []string) (peer.ID, uint64) {
		h := startHost(t, Options{Key: key, DataDir: dir, Bootstrap: bootstrap})
		m := join(t, h)
		await(t, m, "meets its friend", func() bool { return len(m.View()) == 2 })
		s, err := h.Dial(t.Context(), friend.ID()) // which waits until it knows its friend
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Reset()
		var incarnation uint64
		for _, seen := range m.View() {
			if seen.Self {
				incarnation = seen.Claim.Incarnation
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		return h.ID(), incarnation
	}
	first, one := run(friend.Addrs())
	second, two := run(nil)
	if first != second {
		t.Errorf("peer ID %s, then %s", first, second)
	}
	if one != 1 || two != 2 {
		t.Errorf("incarnations %d and %d, want 1 and 2", one, two)
	}
}

// A bootstrap peer that is not there does not stop a start, and one that comes late
// is found.
func TestDeadBootstrap(t *testing.T) {
	key := newKey(t)
	late := startHost(t, Options{Key: key})
	addrs := late.Addrs()
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}
	h := startHost(t, Options{Bootstrap: addrs})
	listen, _, _ := strings.Cut(addrs[0], "/p2p/")
	again := startHost(t, Options{Key: key, Listen: []string{listen}})
	awaitConnected(t, h, again.ID())
}

func TestOptionsRefused(t *testing.T) {
	addr := "/ip4/127.0.0.1/udp/1/quic-v1/p2p/" + peerOf(t, newKey(t)).String()
	many := make([]string, BootstrapPeers)
	for i := range many {
		many[i] = addr
	}
	h := startHost(t, Options{Bootstrap: many})
	if len(h.bootstrap) != 1 {
		t.Errorf("%d bootstrap peers from one peer's addresses", len(h.bootstrap))
	}
	for name, bootstrap := range map[string][]string{
		"one too many": append(many, addr),
		"no peer ID":   {"/ip4/127.0.0.1/udp/1/quic-v1"},
		"no address":   {"/p2p/" + peerOf(t, newKey(t)).String()},
		"no multiaddr": {"127.0.0.1:1"},
	} {
		if _, err := New(t.Context(), Options{Key: newKey(t), Listen: loopback, Bootstrap: bootstrap}); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func peerOf(t testing.TB, key crypto.PrivKey) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The list keeps the latest peers up to its limits, survives a write and read, and a
// malformed one does not stop a start.
func TestKnownPeers(t *testing.T) {
	dir := t.TempDir()
	k, err := loadKnownPeers(dir)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []ma.Multiaddr
	for port := range AddressesPerPeer + 1 {
		addrs = append(addrs, ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port+1)))
	}
	var last peer.ID
	for range KnownPeers + 1 {
		last = peerOf(t, newKey(t))
		k.add(peer.AddrInfo{ID: last, Addrs: addrs})
	}
	k.add(peer.AddrInfo{ID: peerOf(t, newKey(t)), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}})
	if err := k.save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, PeersFile))
	if err != nil || info.Size() > KnownPeersBytes {
		t.Fatalf("%d bytes, at most %d; %v", info.Size(), KnownPeersBytes, err)
	}
	again, err := loadKnownPeers(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := again.list()
	if len(list) != KnownPeers || list[0].ID != last || len(list[0].Addrs) != AddressesPerPeer {
		t.Fatalf("%d peers, first %v", len(list), list[0])
	}

	for name, data := range map[string]string{
		"not JSON": "{", "version": `{"version":2}`,
		"too many peers":     `{"version":1,"peers":[` + strings.Repeat("[],", KnownPeers) + `[]]}`,
		"nobody":             `{"version":1,"peers":[[]]}`,
		"too many addresses": `{"version":1,"peers":[[` + strings.Repeat(`"",`, AddressesPerPeer) + `""]]}`,
	} {
		if _, err := parseKnownPeers([]byte(data)); !errors.Is(err, ErrKnownPeers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, PeersFile), make([]byte, KnownPeersBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	startHost(t, Options{DataDir: dir})
}

func TestIncarnation(t *testing.T) {
	dir := t.TempDir()
	for want := uint64(1); want < 4; want++ {
		if got, err := nextIncarnation(dir); err != nil || got != want {
			t.Fatalf("start %d counted as %d, %v", want, got, err)
		}
	}
	most := fmt.Sprint(uint64(shardmap.CounterMost))
	for _, bad := range []string{"", "0", "-1", "x", most, strings.Repeat("1", IncarnationBytes)} {
		if _, err := parseIncarnation([]byte(bad)); !errors.Is(err, ErrIncarnation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if n, err := parseIncarnation([]byte("9223372036854775806\n")); err != nil || n != shardmap.CounterMost-1 {
		t.Errorf("the most: %d, %v", n, err)
	}
}

func FuzzKnownPeers(f *testing.F) {
	f.Add([]byte(`{"version":1,"peers":[["/ip4/127.0.0.1/udp/1/quic-v1/p2p/12D3KooWBLrAFTinALFMxmfwPLjMzanuwqUCWRv9QAmkg6m8QyaC"]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		peers, err := parseKnownPeers(data)
		if err != nil && !errors.Is(err, ErrKnownPeers) {
			t.Fatalf("unnamed error %v", err)
		}
		for _, p := range peers {
			if !isEd25519(p.ID) || len(p.Addrs) == 0 || len(p.Addrs) > AddressesPerPeer {
				t.Fatalf("accepted %v", p)
			}
		}
	})
}
