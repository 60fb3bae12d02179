package p2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/shardmap"
)

// sealRecord signs an address record about peer of by key.
func sealRecord(t testing.TB, key crypto.PrivKey, of peer.ID) []byte {
	t.Helper()
	r := peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: of, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/udp/1/quic-v1")}})
	envelope, err := record.Seal(r, key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseRecords(t *testing.T) {
	key := newKey(t)
	id := peerOf(t, key)
	good := sealRecord(t, key, id)
	many := make([][]byte, PeerRecords)
	for i := range many {
		many[i] = good
	}
	infos, err := parseRecords(appendRecords(nil, many))
	if err != nil || len(infos) != PeerRecords || infos[0].ID != id || len(infos[0].Addrs) != 1 {
		t.Fatalf("%d records, %v", len(infos), err)
	}
	other, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, records := range map[string][][]byte{
		"one too many":     append(many, good),
		"empty":            {{}},
		"too long":         {make([]byte, PeerRecordBytes+1)},
		"of somebody else": {sealRecord(t, newKey(t), id)},
		"of another type":  {sealRecord(t, other, peerOf(t, other))},
		"garbage":          {[]byte("record")},
	} {
		if _, err := parseRecords(appendRecords(nil, records)); !errors.Is(err, ErrExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseRecords(appendRecords(nil, [][]byte{good})[:20]); !errors.Is(err, ErrExchange) {
		t.Errorf("cut short: %v", err)
	}
}

func TestReadMessage(t *testing.T) {
	const limit = 10
	full := appendMessage(nil, make([]byte, limit))
	if got, err := readMessage(bytes.NewReader(full), limit); err != nil || len(got) != limit {
		t.Fatalf("at the limit: %d bytes, %v", len(got), err)
	}
	for name, data := range map[string][]byte{
		"one past the limit": appendMessage(nil, make([]byte, limit+1)),
		"cut short":          full[:limit],
	} {
		if _, err := readMessage(bytes.NewReader(data), limit); !errors.Is(err, ErrExchange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readMessage(bytes.NewReader(nil), limit); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v", err)
	}
}

// What a hostile neighbour says on the exchange protocol ends the stream and changes
// nothing.
func TestHostileExchange(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	awaitConnected(t, b, a.ID())
	m := join(t, a)
	await(t, m, "announces itself", func() bool { return len(m.View()) == 1 })
	for name, say := range map[string][]byte{
		"digest too long":  {0xff, 0xff, 0xff, 0xff},
		"digest garbage":   appendMessage(appendMessage(nil, []byte("digest")), nil),
		"records garbage":  appendMessage(appendMessage(nil, nil), []byte("records")),
		"records too long": append(appendMessage(nil, nil), 0x7f, 0xff, 0xff, 0xff),
	} {
		s, err := b.Host().NewStream(t.Context(), a.ID(), m.protocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(say); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, s); !errors.Is(err, network.ErrReset) {
			t.Errorf("%s: answered with %d bytes, %v", name, n, err)
		}
		_ = s.Reset()
	}
	if seen := m.View(); len(seen) != 1 {
		t.Fatalf("%d claims in the map", len(seen))
	}
}

// As many exchanges as a peer may have, each way, fit the memory they reserve; one
// more is refused. Who opens one is of the grid, whatever identify has said of it.
func TestExchangesAtOnce(t *testing.T) {
	a := startHost(t, Options{})
	b := startHost(t, Options{Bootstrap: a.Addrs()})
	const silent = "/zetagrid/test" // b has not joined and serves no exchange
	b.Host().SetStreamHandler(silent, func(network.Stream) {})
	awaitConnected(t, b, a.ID())
	m := join(t, a)
	stream := func(from, to *Host, id protocol.ID) network.Stream {
		s, err := from.Host().NewStream(t.Context(), to.ID(), id)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Reset() })
		return s
	}
	answered := func() error {
		s := stream(b, a, m.protocol)
		if err := m.offer(s); err != nil {
			t.Fatal(err)
		}
		_, err := s.Read(make([]byte, 1)) // the answer; what it asks for is never sent
		return err
	}
	reserved := func() error {
		_, err := reserve(stream(a, b, silent))
		return err
	}
	for i := range ExchangeStreamsPerPeer {
		if err := answered(); err != nil {
			t.Fatalf("exchange %d of %d in: %v", i+1, ExchangeStreamsPerPeer, err)
		}
	}
	if !slices.Contains(m.connectedGridPeers(), b.ID()) {
		t.Error("who opened an exchange is no neighbour")
	}
	for i := range ExchangeStreamsPerPeer {
		if err := reserved(); err != nil {
			t.Fatalf("exchange %d of %d out: %v", i+1, ExchangeStreamsPerPeer, err)
		}
	}
	if err := answered(); !errors.Is(err, network.ErrReset) {
		t.Errorf("one more in: %v", err)
	}
	if err := reserved(); !errors.Is(err, network.ErrResourceLimitExceeded) {
		t.Errorf("one more out: %v", err)
	}
}

// A neighbour may hand on claims of this Genome only.
func TestForeignEntry(t *testing.T) {
	m := join(t, startHost(t, Options{}))
	await(t, m, "announces itself", func() bool { return len(m.View()) == 1 })
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		genome string
		claims int
		want   error
	}{{"another genome", 1, ErrExchange}, {m.gate.genome, 2, nil}} {
		claim := shardmap.Claim{
			Node: shardmap.NodeOf(key.Public().(ed25519.PublicKey)), Genome: c.genome,
			Incarnation: 1, Sequence: 1, State: shardmap.Serving, Arithmetic: 1, Lease: shardmap.LeaseMost,
		}
		sealed, err := claim.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		entries := binary.BigEndian.AppendUint32([]byte{1}, uint32(claim.Lease)) // version, time left
		entries = binary.BigEndian.AppendUint16(entries, uint16(len(sealed)))
		entries = append(entries, sealed...)
		if err := m.takeEntries(bytes.NewReader(appendMessage(nil, entries))); !errors.Is(err, c.want) {
			t.Errorf("genome %q: %v, want %v", c.genome, err, c.want)
		}
		if seen := m.View(); len(seen) != c.claims {
			t.Errorf("genome %q: %d claims in the map, want %d", c.genome, len(seen), c.claims)
		}
	}
}

func FuzzParseRecords(f *testing.F) {
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		f.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendRecords(nil, [][]byte{sealRecord(f, key, id)}))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		infos, err := parseRecords(data)
		if err != nil && !errors.Is(err, ErrExchange) {
			t.Fatalf("unnamed error %v", err)
		}
		if len(infos) > PeerRecords {
			t.Fatalf("%d records", len(infos))
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add(appendMessage(nil, []byte("digest")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readMessage(bytes.NewReader(data), shardmap.DigestBytes)
		if err == nil && !bytes.HasPrefix(data, appendMessage(nil, got)) {
			t.Fatalf("read %q from %q", got, data)
		}
	})
}
