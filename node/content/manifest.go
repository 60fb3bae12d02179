package content

import (
	"context"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Manifest returns the bytes of manifest c, fetched if need be until ctx ends.
// They must not be changed. Errors: ErrCID, ErrAbsent, ErrTooLarge, ErrDisk,
// ErrClosed.
func (s *Store) Manifest(ctx context.Context, c cid.Cid) ([]byte, error) {
	if err := checkCID(c, cid.DagJSON); err != nil {
		return nil, err
	}
	if data, ok := s.manifest(c); ok {
		return data, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	peers, err := s.peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", c, err)
	}
	block, err := peers.GetBlock(ctx, c)
	if err != nil {
		if s.ctx.Err() != nil {
			err = ErrClosed
		}
		return nil, fmt.Errorf("manifest %s: %w", c, err)
	}
	data := block.RawData()
	if err := checkManifest(c, data); err != nil {
		return nil, err
	}
	if !s.keepManifest(c, data) {
		s.log.Warn("no room to keep a manifest", "cid", c)
		return data, nil
	}
	if err := atomicfile.WriteIn(s.root, manifestName(c), data, 0o644); err != nil {
		return nil, fmt.Errorf("%w: manifest %s: %w", ErrDisk, c, err)
	}
	return data, nil
}

func (s *Store) manifest(c cid.Cid) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.manifests[c]
	return data, ok
}

// keepManifest keeps a checked manifest in memory, unless manifestsHeld are.
func (s *Store) keepManifest(c cid.Cid, data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.manifests[c]; ok {
		return true
	}
	if s.held+int64(len(data)) > manifestsHeld {
		return false
	}
	s.manifests[c] = data
	s.held += int64(len(data))
	return true
}

func checkManifest(c cid.Cid, data []byte) error {
	if err := checkCID(c, cid.DagJSON); err != nil {
		return err
	}
	if len(data) > modelfile.ManifestBytes {
		return fmt.Errorf("%w: manifest %s of %d bytes, limit %d", ErrTooLarge, c, len(data), modelfile.ManifestBytes)
	}
	if !matches(c, data) {
		return fmt.Errorf("%w: manifest %s", ErrCorrupt, c)
	}
	return nil
}

// readBounded reads a file of the store of at most limit bytes.
func (s *Store) readBounded(name string, limit int64) ([]byte, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %s of more than %d bytes", ErrTooLarge, name, limit)
	}
	return data, err
}
