package p2p

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
)

// PeersFile is the name of the list of known peers in the data folder.
const PeersFile = "peers.json"

// ErrKnownPeers says that peers.json is not what this package writes.
var ErrKnownPeers = errors.New("malformed list of known peers")

// knownPeers remembers the peers a node met, the latest first, over restarts. It
// is a cache: losing it costs time, never correctness.
type knownPeers struct {
	path string // "" keeps the list in memory only

	mu    sync.Mutex
	peers []peer.AddrInfo // latest first, at most KnownPeers
	dirty bool
}

// peersJSON is the layout of peers.json.
type peersJSON struct {
	Version int        `json:"version"` // 1
	Peers   [][]string `json:"peers"`   // per peer its full addresses, /p2p/ part included
}

// loadKnownPeers reads the list in dir. A missing list is empty; a malformed one is
// reported beside an empty list, which replaces it at the next save.
func loadKnownPeers(dir string) (*knownPeers, error) {
	if dir == "" {
		return &knownPeers{}, nil
	}
	k := &knownPeers{path: filepath.Join(dir, PeersFile)}
	data, err := readFileMax(k.path, KnownPeersBytes)
	if errors.Is(err, os.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		k.peers, err = parseKnownPeers(data)
	}
	if err != nil {
		return k, fmt.Errorf("known peers: %w", err)
	}
	return k, nil
}

// parseKnownPeers decodes peers.json. Every entry must name exactly one Ed25519
// peer by at least one address we can dial.
func parseKnownPeers(data []byte) ([]peer.AddrInfo, error) {
	var list peersJSON
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKnownPeers, err)
	}
	if list.Version != 1 {
		return nil, fmt.Errorf("%w: version %d", ErrKnownPeers, list.Version)
	}
	if len(list.Peers) > KnownPeers {
		return nil, fmt.Errorf("%w: %d peers, at most %d", ErrKnownPeers, len(list.Peers), KnownPeers)
	}
	var peers []peer.AddrInfo
	for i, addrs := range list.Peers {
		if len(addrs) > AddressesPerPeer {
			return nil, fmt.Errorf("%w: peer %d has %d addresses, at most %d", ErrKnownPeers, i, len(addrs), AddressesPerPeer)
		}
		infos, err := parsePeers(addrs)
		if err != nil {
			return nil, fmt.Errorf("%w: peer %d: %w", ErrKnownPeers, i, err)
		}
		if len(infos) != 1 {
			return nil, fmt.Errorf("%w: entry %d names %d peers", ErrKnownPeers, i, len(infos))
		}
		peers = append(peers, infos[0])
	}
	return peers, nil
}

// parsePeers parses full addresses, each ending in /p2p/<peer ID>, and groups them
// by peer in the order in which the peers first appear.
func parsePeers(addrs []string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, s := range addrs {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", s, err)
		}
		info, err := peer.AddrInfoFromP2pAddr(addr)
		if err != nil {
			return nil, fmt.Errorf("address %q does not end in /p2p/<peer ID>: %w", s, err)
		}
		if !isEd25519(info.ID) {
			return nil, fmt.Errorf("address %q: %w", s, ErrKeyType)
		}
		if len(info.Addrs) == 0 {
			return nil, fmt.Errorf("address %q names a peer but no way to it", s)
		}
		at := slices.IndexFunc(infos, func(known peer.AddrInfo) bool { return known.ID == info.ID })
		if at < 0 {
			infos = append(infos, *info)
			continue
		}
		infos[at].Addrs = append(infos[at].Addrs, info.Addrs...)
	}
	return infos, nil
}

// list returns the peers, the latest first.
func (k *knownPeers) list() []peer.AddrInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.peers)
}

// add puts a peer first and forgets the oldest beyond KnownPeers. A peer without
// an address that we could dial later is not remembered.
func (k *knownPeers) add(info peer.AddrInfo) {
	addrs := slices.DeleteFunc(slices.Clone(info.Addrs), func(a ma.Multiaddr) bool {
		return !isOurTransport(a) || len(a.String()) > maxAddressText
	})
	if len(addrs) == 0 {
		return
	}
	if len(addrs) > AddressesPerPeer {
		addrs = addrs[:AddressesPerPeer]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.peers = slices.DeleteFunc(k.peers, func(p peer.AddrInfo) bool { return p.ID == info.ID })
	k.peers = slices.Insert(k.peers, 0, peer.AddrInfo{ID: info.ID, Addrs: addrs})
	if len(k.peers) > KnownPeers {
		k.peers = k.peers[:KnownPeers]
	}
	k.dirty = true
}

// maxAddressText keeps a full address, with its peer ID, within the 256 bytes that
// KnownPeersBytes counts for it.
const maxAddressText = 160

// save writes the list if it changed since the last save.
func (k *knownPeers) save() error {
	k.mu.Lock()
	if !k.dirty || k.path == "" {
		k.mu.Unlock()
		return nil
	}
	k.dirty = false
	list := peersJSON{Version: 1}
	for _, p := range k.peers {
		full, err := peer.AddrInfoToP2pAddrs(&p)
		if err != nil {
			continue // an ID that does not print was never added
		}
		addrs := make([]string, len(full))
		for i, a := range full {
			addrs[i] = a.String()
		}
		list.Peers = append(list.Peers, addrs)
	}
	k.mu.Unlock()
	data, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return fmt.Errorf("known peers: %w", err)
	}
	return atomicfile.Write(k.path, append(data, '\n'), 0o600)
}

// peerRecords holds the signed addresses that connected peers sent about themselves,
// to be handed on.
type peerRecords struct {
	mu     sync.Mutex
	sealed map[peer.ID][]byte
}

// keep stores a peer's record, unless it is longer than PeerRecordBytes: whoever has
// a hundred addresses is found in other ways. When there are more records than there
// can be connections, those of peers that are gone are dropped.
func (r *peerRecords) keep(p peer.ID, sealed []byte, gone func(peer.ID) bool) {
	if len(sealed) > PeerRecordBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed == nil {
		r.sealed = make(map[peer.ID][]byte)
	}
	if len(r.sealed) >= Connections {
		maps.DeleteFunc(r.sealed, func(p peer.ID, _ []byte) bool { return gone(p) })
	}
	r.sealed[p] = sealed
}

// of is a peer's record, or nil.
func (r *peerRecords) of(p peer.ID) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sealed[p]
}
