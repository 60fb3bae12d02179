// Package content holds manifests and files by CID: what is on disk, what can
// be fetched from peers, what is served to them.
//
// Manifests are single DAG-JSON blocks; files are UnixFS with raw leaves of
// 1 MiB, moved by bitswap under its standard protocol names, so stock IPFS tools
// can fetch and pin them.
//
// # Laws
//
//  1. Content is used only after its hash matched its name.
//  2. Bytes are kept once: leaves are served straight from the file, and a model
//     folder is served in place.
//  3. A file is trusted while its size, time of change and inode stay as they
//     were when it was hashed; a leaf of one that changed is hashed again.
//  4. A file appears under its name complete, or not at all; a fetch that was
//     cut off goes on where it stood.
//  5. A CID is decoded and encoded again before it is part of a path.
//
// Limits are in limits.go. A store's folder holds manifests/<cid>.json,
// files/<cid>, partial/<cid> and index/<cid>.json.
package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Errors that callers may test for; each comes wrapped with the CID.
var (
	// ErrAbsent: not here, and no exchange to fetch it with.
	ErrAbsent = errors.New("content: not here")
	// ErrTooLarge: more bytes than the caller or a limit allows.
	ErrTooLarge = errors.New("content: too large")
	// ErrLayout: a file that is not cut into raw leaves of 1 MiB.
	ErrLayout = errors.New("content: not a file of this grid's layout")
	// ErrCorrupt: bytes whose hash is not their name.
	ErrCorrupt = errors.New("content: hash does not match")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("content: closed")
)

// Store is safe for concurrent use.
type Store struct {
	dir string
	log *slog.Logger

	mu        sync.Mutex
	manifests map[cid.Cid][]byte
	files     map[cid.Cid]*file
	blocks    map[string]location // by multihash: leaves and inner nodes
	flights   map[cid.Cid]*flight
	closed    bool

	slots    chan struct{} // one for each file fetched at once
	exchange *bitswap.Bitswap
	network  interface{ Stop() }
	fetching sync.WaitGroup
}

// Open opens the store in dir, which is made if need be.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		dir: dir, log: log,
		manifests: map[cid.Cid][]byte{}, files: map[cid.Cid]*file{},
		blocks: map[string]location{}, flights: map[cid.Cid]*flight{},
		slots: make(chan struct{}, filesFetched),
	}
	for _, sub := range []string{"manifests", "files", "partial", "index"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("content: %w", err)
		}
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// load takes in what an earlier run kept. What does not fit its name is left
// aside and fetched again when it is wanted.
func (s *Store) load() error {
	manifests, err := os.ReadDir(filepath.Join(s.dir, "manifests"))
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	for _, entry := range manifests {
		name, ok := cidOf(entry.Name(), ".json")
		if !ok {
			continue
		}
		if data, err := readManifest(s.manifestPath(name), name); err != nil {
			s.log.Warn("manifest left aside", "cid", name, "error", err)
		} else {
			s.keepManifest(name, data)
		}
	}
	files, err := os.ReadDir(filepath.Join(s.dir, "files"))
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	for _, entry := range files {
		name, ok := cidOf(entry.Name(), "")
		if !ok {
			continue
		}
		if err := s.addFile(name, s.filePath(name)); err != nil {
			s.log.Warn("file left aside", "cid", name, "error", err)
		}
	}
	return nil
}

// cidOf is the CID that a file name spells exactly.
func cidOf(name, suffix string) (cid.Cid, bool) {
	if len(name) < len(suffix) || name[len(name)-len(suffix):] != suffix {
		return cid.Undef, false
	}
	stem := name[:len(name)-len(suffix)]
	c, err := cid.Decode(stem)
	return c, err == nil && c.String() == stem
}

func (s *Store) manifestPath(c cid.Cid) string {
	return filepath.Join(s.dir, "manifests", c.String()+".json")
}
func (s *Store) filePath(c cid.Cid) string    { return filepath.Join(s.dir, "files", c.String()) }
func (s *Store) partialPath(c cid.Cid) string { return filepath.Join(s.dir, "partial", c.String()) }
func (s *Store) indexPath(c cid.Cid) string {
	return filepath.Join(s.dir, "index", c.String()+".json")
}

func readManifest(path string, c cid.Cid) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > modelfile.ManifestBytes {
		return nil, fmt.Errorf("%w: manifest of %d bytes, limit %d", ErrTooLarge, info.Size(), modelfile.ManifestBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return data, checkManifest(c, data)
}

func checkManifest(c cid.Cid, data []byte) error {
	if len(data) > modelfile.ManifestBytes {
		return fmt.Errorf("%w: manifest %s of %d bytes, limit %d", ErrTooLarge, c, len(data), modelfile.ManifestBytes)
	}
	got, err := c.Prefix().Sum(data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
	if got != c {
		return fmt.Errorf("%w: manifest %s", ErrCorrupt, c)
	}
	return nil
}

func (s *Store) keepManifest(c cid.Cid, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifests[c] = data
	s.blocks[string(c.Hash())] = location{inline: data}
}

// AddFolder serves a model folder in place. Each file is hashed the first time;
// one whose bytes do not fit its name is an ErrCorrupt that names it, one that
// is missing is left to be fetched.
func (s *Store) AddFolder(ctx context.Context, f *modelfile.Folder) error {
	_, model := f.Model()
	_, genome := f.Genome()
	names := []cid.Cid{model, genome}
	if _, soul, ok := f.Soul(); ok {
		names = append(names, soul)
	}
	for _, name := range names {
		data, ok := f.Manifest(name)
		if !ok {
			return fmt.Errorf("%w: manifest %s of %s", ErrAbsent, name, f.Dir())
		}
		s.keepManifest(name, data)
	}
	for _, ref := range f.Files() {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, _ := f.Path(ref.CID)
		if err := s.addFile(ref.CID, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Start fetches from and serves peers of h. A nil discovery asks only peers
// that are connected.
func (s *Store) Start(h host.Host, discovery routing.ContentDiscovery) {
	if discovery == nil {
		discovery = nobody{}
	}
	network := bsnet.NewFromIpfsHost(h)
	exchange := bitswap.New(context.Background(), network, discovery, (*blockstore)(s),
		bitswap.RebroadcastDelay(rebroadcast),
		bitswap.ProviderSearchDelay(providerSearch),
		bitswap.WithoutDuplicatedBlockStats(),
	)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchange, s.network = exchange, network
}

// fetcher is the exchange, or ErrAbsent without one.
func (s *Store) fetcher(ctx context.Context, c cid.Cid) (exchange.Fetcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.exchange == nil:
		return nil, fmt.Errorf("%w: %s", ErrAbsent, c)
	}
	return s.exchange.NewSession(ctx), nil
}

// Manifest returns the bytes of manifest c, fetched if need be until ctx ends.
// They must not be changed. Errors: ErrAbsent, ErrTooLarge, ErrCorrupt.
func (s *Store) Manifest(ctx context.Context, c cid.Cid) ([]byte, error) {
	s.mu.Lock()
	data, ok := s.manifests[c]
	s.mu.Unlock()
	if ok {
		return data, nil
	}
	fetcher, err := s.fetcher(ctx, c)
	if err != nil {
		return nil, err
	}
	block, err := fetcher.GetBlock(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("content: manifest %s: %w", c, err)
	}
	if err := checkManifest(c, block.RawData()); err != nil {
		return nil, err
	}
	if err := atomicfile.Write(s.manifestPath(c), block.RawData(), 0o644); err != nil {
		return nil, fmt.Errorf("content: manifest %s: %w", c, err)
	}
	s.keepManifest(c, block.RawData())
	return block.RawData(), nil
}

// Has reports whether file c is here, complete.
func (s *Store) Has(c cid.Cid) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.files[c]
	return ok
}

// Close ends fetching and serving.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, f := range s.flights {
		f.cancel()
	}
	exchange, network := s.exchange, s.network
	s.mu.Unlock()
	s.fetching.Wait()
	if exchange == nil {
		return nil
	}
	network.Stop()
	return exchange.Close()
}
