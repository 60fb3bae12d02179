package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/zetagrid/zetagrid/shardmap"
)

// exchangeService names the exchange of claims to the resource manager.
const exchangeService = "zetagrid.claims"

// ErrExchange is wrapped by every refusal of what a neighbour sends.
var ErrExchange = errors.New("bad exchange of claims")

// An exchange is five messages on one stream, each a length of four bytes, big
// endian, and that many bytes:
//
//	opener  → digest, peer records
//	opener  ← entries newer than that digest, digest, peer records
//	opener  → entries newer than that digest
//
// Peer records are signed addresses of some of the sender's peers in the grid.

// openExchange runs an exchange with p. Without an error p has taken all that it
// lacked.
func (m *Membership) openExchange(ctx context.Context, p peer.ID) (err error) {
	ctx, cancel := context.WithTimeout(ctx, ExchangeTime)
	defer cancel()
	s, err := m.host.host.NewStream(network.WithAllowLimitedConn(ctx, exchangeService), p, m.protocol)
	if err != nil {
		return fmt.Errorf("exchange with %s: %w", p, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("exchange with %s: %w", p, err), s.Reset())
		}
	}()
	// Close of the Membership does not wait for a slow neighbour.
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	release, err := reserve(s)
	if err != nil {
		return err
	}
	defer release()
	if err := m.offer(s); err != nil {
		return err
	}
	if err := m.takeEntries(s); err != nil {
		return err
	}
	digest, err := m.takeOffer(s)
	if err != nil {
		return err
	}
	if err := m.answer(s, digest); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	// The other end closes once it has taken everything, and resets otherwise.
	if n, err := s.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("%w: %d bytes after the last message: %w", ErrExchange, n, err)
	}
	return s.Close()
}

// serveExchange is the other end.
func (m *Membership) serveExchange(s network.Stream) {
	m.belongs(s.Conn().RemotePeer()) // identify may bring its protocols later
	if err := m.answerExchange(s); err != nil {
		m.log.Debug("exchange refused", "peer", s.Conn().RemotePeer(), "error", err)
		_ = s.Reset()
		return
	}
	_ = s.Close() // all was said and heard
}

func (m *Membership) answerExchange(s network.Stream) error {
	release, err := reserve(s)
	if err != nil {
		return err
	}
	defer release()
	digest, err := m.takeOffer(s)
	if err != nil {
		return err
	}
	if err := m.answer(s, digest); err != nil {
		return err
	}
	if err := m.offer(s); err != nil {
		return err
	}
	return m.takeEntries(s)
}

// reserve asks the resource manager for an exchange's memory and sets its deadline.
func reserve(s network.Stream) (release func(), err error) {
	if err := s.Scope().SetService(exchangeService); err != nil {
		return nil, err
	}
	// Always: at less, the memory would be gone before the streams.
	if err := s.Scope().ReserveMemory(ExchangeMemory, network.ReservationPriorityAlways); err != nil {
		return nil, err
	}
	if err := s.SetDeadline(time.Now().Add(ExchangeTime)); err != nil {
		return nil, err
	}
	return func() { s.Scope().ReleaseMemory(ExchangeMemory) }, nil
}

// offer sends the digest of the map and some peers' records.
func (m *Membership) offer(w io.Writer) error {
	m.mu.Lock()
	digest := m.shards.Digest(m.now())
	m.mu.Unlock()
	out := appendMessage(nil, digest)
	out = appendMessage(out, appendRecords(nil, m.peerRecords()))
	_, err := w.Write(out)
	return err
}

// takeOffer reads what offer sends, and dials some of the peers in it.
func (m *Membership) takeOffer(r io.Reader) (digest []byte, err error) {
	if digest, err = readMessage(r, shardmap.DigestBytes); err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	list, err := readMessage(r, PeerRecords*(PeerRecordBytes+binary.MaxVarintLen16))
	if err != nil {
		return nil, fmt.Errorf("peer records: %w", err)
	}
	infos, err := parseRecords(list)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if m.gridPeers() < GridPeers {
			m.host.Discovered(info)
		}
	}
	return digest, nil
}

// answer sends the entries that are newer than digest.
func (m *Membership) answer(w io.Writer, digest []byte) error {
	m.mu.Lock()
	entries, err := m.shards.Newer(m.now(), digest)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = w.Write(appendMessage(nil, entries))
	return err
}

// takeEntries reads what answer sends and puts the claims in it, each checked,
// into the map. One bad entry spoils the rest: an honest neighbour passes on only
// what it checked.
func (m *Membership) takeEntries(r io.Reader) error {
	data, err := readMessage(r, shardmap.EntriesBytes)
	if err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	entries, err := shardmap.ParseEntries(data)
	if err != nil {
		return err
	}
	for i, entry := range entries {
		claim, err := shardmap.Open(entry.Sealed)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if claim.Genome != m.gate.genome {
			return fmt.Errorf("%w: entry %d is of another Genome", ErrExchange, i)
		}
		m.Do(shardmap.Heard{Claim: claim, Sealed: entry.Sealed, Left: entry.Left})
	}
	return nil
}

// peerRecords are the signed addresses of connected peers of the grid, at most
// PeerRecords, as they sent them.
func (m *Membership) peerRecords() [][]byte {
	var records [][]byte
	for _, p := range m.connectedGridPeers() {
		if r := m.host.records.of(p); r != nil && len(records) < PeerRecords {
			records = append(records, r)
		}
	}
	return records
}

func appendRecords(b []byte, records [][]byte) []byte {
	for _, r := range records {
		b = binary.AppendUvarint(b, uint64(len(r)))
		b = append(b, r...)
	}
	return b
}

// parseRecords decodes signed peer records, checks each signature and that it is
// the key of the peer it speaks of.
func parseRecords(b []byte) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for i := 0; len(b) > 0; i++ {
		length, n := binary.Uvarint(b)
		if n <= 0 || length == 0 || length > PeerRecordBytes || length > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: peer record %d has no valid length", ErrExchange, i)
		}
		if i == PeerRecords {
			return nil, fmt.Errorf("%w: more than %d peer records", ErrExchange, PeerRecords)
		}
		info, err := parseRecord(b[n : n+int(length)])
		if err != nil {
			return nil, fmt.Errorf("%w: peer record %d: %w", ErrExchange, i, err)
		}
		infos = append(infos, info)
		b = b[n+int(length):]
	}
	return infos, nil
}

func parseRecord(data []byte) (peer.AddrInfo, error) {
	envelope, untyped, err := record.ConsumeEnvelope(data, peer.PeerRecordEnvelopeDomain)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	r, ok := untyped.(*peer.PeerRecord)
	if !ok {
		return peer.AddrInfo{}, errors.New("not a peer record")
	}
	if !isEd25519(r.PeerID) || !r.PeerID.MatchesPublicKey(envelope.PublicKey) {
		return peer.AddrInfo{}, errors.New("not signed by the peer it speaks of")
	}
	return peer.AddrInfo{ID: r.PeerID, Addrs: r.Addrs}, nil
}

func appendMessage(b, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// readMessage reads one message of at most limit bytes. Memory grows with what
// arrives, not with what is announced.
func readMessage(r io.Reader, limit int64) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	if length > limit {
		return nil, fmt.Errorf("%w: message of %d bytes, at most %d", ErrExchange, length, limit)
	}
	var payload bytes.Buffer
	if n, err := io.CopyN(&payload, r, length); err != nil {
		return nil, fmt.Errorf("%w: message cut short at %d of %d bytes: %w", ErrExchange, n, length, err)
	}
	return payload.Bytes(), nil
}
