// Package content holds manifests and files by CID: what is on disk, what can
// be fetched from peers, what is served to them.
//
// Manifests are single DAG-JSON blocks; files are UnixFS with raw leaves of
// 1 MiB, moved by bitswap under its standard protocol names, so stock IPFS tools
// can fetch and pin them.
//
// # Laws
//
//  1. Content is used only after its hash matched its name; only sha2-256 counts
//     as a hash. Whoever sends other bytes has sent nothing, and others are asked.
//  2. Bytes are kept once: leaves are served straight from the file, and a model
//     folder is served in place.
//  3. A file is trusted while its size, time of change and inode stay as they
//     were when it was hashed; then it is hashed again, leaf by leaf to be served,
//     as a whole to be handed out.
//  4. A file appears under its name complete and on the disk, or not at all; a
//     fetch that was cut off goes on where it stood.
//  5. The size that a file declares is checked before anything is written.
//  6. Nothing outside the store's folder is written, and every name in it is a CID
//     that was decoded and encoded again.
//
// Limits are in limits.go. A store's folder holds manifests/<cid>.json,
// files/<cid>, partial/<cid> and index/<cid>.json. Nothing is ever evicted.
package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Errors that callers may test for; each comes wrapped with the CID.
var (
	// ErrAbsent: not here, and no exchange to fetch it with.
	ErrAbsent = errors.New("content: not here")
	// ErrTooLarge: more bytes than the caller or a limit allows.
	ErrTooLarge = errors.New("content: too large")
	// ErrCID: a CID that is not version 1, sha2-256 and of a codec that fits.
	ErrCID = errors.New("content: unsuitable CID")
	// ErrLayout: a file that is not laid out as modelfile.BuildFileDAG does it.
	ErrLayout = errors.New("content: not a file of this grid's layout")
	// ErrCorrupt: bytes whose hash is not their name.
	ErrCorrupt = errors.New("content: hash does not match")
	// ErrDisk: no room for a file, or the disk refused to take it.
	ErrDisk = errors.New("content: not written to disk")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("content: closed")
)

// Store is safe for concurrent use.
type Store struct {
	root  *os.Root
	log   *slog.Logger
	room  func(dir string) (uint64, error) // diskFree, but for tests
	slots chan struct{}                    // one for each file written or hashed

	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	close   func() error // works once
	running sync.WaitGroup

	mu        sync.Mutex
	manifests map[cid.Cid][]byte
	held      int64 // bytes of manifests
	files     map[cid.Cid]*file
	blocks    map[cid.Cid]location // leaves and inner nodes
	flights   map[cid.Cid]*flight
	exchange  *bitswap.Bitswap // nil before Start
}

// The folders of a store.
const (
	manifestsDir = "manifests"
	filesDir     = "files"
	partialDir   = "partial"
	indexDir     = "index"
)

func manifestName(c cid.Cid) string { return filepath.Join(manifestsDir, c.String()+".json") }
func fileName(c cid.Cid) string     { return filepath.Join(filesDir, c.String()) }
func partialName(c cid.Cid) string  { return filepath.Join(partialDir, c.String()) }
func indexName(c cid.Cid) string    { return filepath.Join(indexDir, c.String()+".json") }

// path is where name lies, for those who cannot use the store's root.
func (s *Store) path(name string) string { return filepath.Join(s.root.Name(), name) }

// Open opens the store in dir, which is made if need be. It hashes no file: one
// whose index does not vouch for it is hashed when it is wanted.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("content: %w", err)
	}
	s := &Store{
		root: root, log: log, room: diskFree, slots: make(chan struct{}, filesAtOnce),
		manifests: map[cid.Cid][]byte{}, files: map[cid.Cid]*file{},
		blocks: map[cid.Cid]location{}, flights: map[cid.Cid]*flight{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.close = sync.OnceValue(s.shutDown)
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("content: %w", err), s.Close())
	}
	return s, nil
}

// Close ends fetching and serving.
func (s *Store) Close() error { return s.close() }

func (s *Store) shutDown() error {
	s.mu.Lock()
	s.cancel() // from here on no flight begins
	exchange := s.exchange
	s.mu.Unlock()
	s.running.Wait()
	var err error
	if exchange != nil {
		err = exchange.Close()
	}
	return errors.Join(err, s.root.Close())
}

// load takes in what an earlier run kept. What does not fit its name is left
// aside until it is wanted.
func (s *Store) load() error {
	for _, dir := range []string{manifestsDir, filesDir, partialDir, indexDir} {
		if err := s.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		s.each(manifestsDir, ".json", func(c cid.Cid) error {
			data, err := s.readBounded(manifestName(c), modelfile.ManifestBytes)
			if err == nil {
				err = checkManifest(c, data)
			}
			if err == nil {
				s.keepManifest(c, data)
			}
			return err
		}),
		s.each(filesDir, "", func(c cid.Cid) error {
			f, err := s.vouched(c, s.path(fileName(c)))
			if err == nil {
				s.keepFile(f)
			}
			return err
		}),
		s.each(indexDir, ".json", func(cid.Cid) error { return nil }),
	)
}

// each calls take for every file of dir that is named by a CID, and removes what
// a killed process was writing there.
func (s *Store) each(dir, suffix string, take func(cid.Cid) error) error {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), atomicfile.TempPrefix) {
			if err := s.root.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
			continue
		}
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		c, err := cid.Decode(name)
		if !ok || err != nil || c.String() != name || !entry.Type().IsRegular() {
			continue // not ours
		}
		if err := take(c); err != nil {
			s.log.Warn("left aside", "folder", dir, "cid", c, "error", err)
		}
	}
	return nil
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
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(filesAtOnce)
	for _, ref := range f.Files() {
		group.Go(func() error {
			path, _ := f.Path(ref.CID)
			err := s.addFile(ctx, ref.CID, path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// addFile takes in the file at path under its name c.
func (s *Store) addFile(ctx context.Context, c cid.Cid, path string) error {
	if s.Has(c) {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	f, err := s.check(ctx, c, path)
	if err != nil {
		return err
	}
	s.keepFile(f)
	return nil
}

// Has reports whether file c is here, complete and as it was when it was hashed.
func (s *Store) Has(c cid.Cid) bool {
	f := s.file(c)
	return f != nil && f.unchanged()
}

// checkCID accepts a CIDv1 of sha2-256 with one of the codecs.
func checkCID(c cid.Cid, codecs ...uint64) error {
	if !c.Defined() {
		return fmt.Errorf("%w: none", ErrCID)
	}
	p := c.Prefix()
	if p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != 32 || !slices.Contains(codecs, p.Codec) {
		return fmt.Errorf("%w: %s", ErrCID, c)
	}
	return nil
}

// matches reports whether c is the name of data.
func matches(c cid.Cid, data []byte) bool {
	got, err := c.Prefix().Sum(data)
	return err == nil && got == c
}
