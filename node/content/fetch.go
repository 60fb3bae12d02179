package content

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// innerPrefix names the inner nodes of our files.
var innerPrefix = cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256)

// Progress is told how many bytes of a file are here.
type Progress func(have, size int64)

// flight is one fetch that several callers may wait for.
type flight struct {
	done    chan struct{}
	err     error
	waiters int
	cancel  context.CancelFunc
}

// File returns the path of file c, fetching it from peers if need be until ctx
// ends. A file that declares more than maxBytes is refused before any of it is
// written. Callers that want the same file share one fetch; progress, which may
// be nil, is called for the caller that began it.
// Errors: ErrAbsent, ErrTooLarge, ErrLayout, ErrCorrupt, ErrClosed.
func (s *Store) File(ctx context.Context, c cid.Cid, maxBytes int64, progress Progress) (string, error) {
	for {
		s.mu.Lock()
		if f, ok := s.files[c]; ok {
			s.mu.Unlock()
			if f.stamp.Size > maxBytes {
				return "", fmt.Errorf("%w: %s of %d bytes, limit %d", ErrTooLarge, c, f.stamp.Size, maxBytes)
			}
			return f.path, nil
		}
		if s.closed {
			s.mu.Unlock()
			return "", ErrClosed
		}
		f, shared := s.flights[c]
		if !shared {
			f = s.launch(c, maxBytes, progress)
		}
		f.waiters++
		s.mu.Unlock()
		select {
		case <-f.done:
			if f.err != nil {
				return "", f.err
			}
		case <-ctx.Done():
			s.leave(f)
			return "", fmt.Errorf("content: file %s: %w", c, ctx.Err())
		}
	}
}

// launch starts a fetch that goes on while somebody waits for it. The caller
// holds the lock.
func (s *Store) launch(c cid.Cid, maxBytes int64, progress Progress) *flight {
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{done: make(chan struct{}), cancel: cancel}
	s.flights[c] = f
	s.fetching.Add(1)
	go func() {
		defer s.fetching.Done()
		defer cancel()
		f.err = s.fetchInTurn(ctx, c, maxBytes, progress)
		s.mu.Lock()
		delete(s.flights, c)
		s.mu.Unlock()
		close(f.done)
	}()
	return f
}

// leave gives up waiting; the last to leave ends the fetch.
func (s *Store) leave(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		f.cancel()
	}
}

func (s *Store) fetchInTurn(ctx context.Context, c cid.Cid, maxBytes int64, progress Progress) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.fetch(ctx, c, maxBytes, progress); err != nil {
		return fmt.Errorf("content: file %s: %w", c, err)
	}
	return nil
}

// fetch brings file c into its place: the tree first, then the leaves that the
// partial file lacks, then the name.
func (s *Store) fetch(ctx context.Context, c cid.Cid, maxBytes int64, progress Progress) error {
	fetcher, err := s.fetcher(ctx, c)
	if err != nil {
		return err
	}
	tree := &tree{fetcher: fetcher, maxBytes: maxBytes}
	if err := tree.walk(ctx, c, 0); err != nil {
		return err
	}
	partial, err := os.OpenFile(s.partialPath(c), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer partial.Close() //nolint:errcheck // Commit closes it first when all went well
	if err := s.fill(ctx, fetcher, partial, tree, progress); err != nil {
		return err
	}
	if _, err := partial.Seek(0, io.SeekStart); err != nil {
		return err
	}
	dag, err := modelfile.BuildFileDAG(partial)
	if err != nil {
		return err
	}
	if dag.Root != c {
		// Every leaf matched its name, so the tree is another than ours.
		_ = os.Remove(s.partialPath(c))
		return fmt.Errorf("%w: its bytes are %s", ErrLayout, dag.Root)
	}
	if err := atomicfile.Commit(partial, s.filePath(c)); err != nil {
		return err
	}
	now, err := stampOf(s.filePath(c))
	if err != nil {
		return err
	}
	s.writeIndex(c, now, dag)
	s.keepFile(c, s.filePath(c), now, dag)
	return nil
}

// tree is the leaves of a file, in order.
type tree struct {
	fetcher  exchange.Fetcher
	maxBytes int64
	leaves   []cid.Cid
	size     int64 // by the root's own word; 0 for a file of one leaf
}

// walk fetches the inner nodes below c, depth first.
func (t *tree) walk(ctx context.Context, c cid.Cid, depth int) error {
	if c.Prefix().Codec == cid.Raw {
		t.leaves = append(t.leaves, c)
		if int64(len(t.leaves)-1)*modelfile.LeafBytes >= t.maxBytes {
			return fmt.Errorf("%w: over %d bytes", ErrTooLarge, t.maxBytes)
		}
		return nil
	}
	if c.Prefix() != innerPrefix || depth >= treeDepth {
		return fmt.Errorf("%w: node %s at depth %d", ErrLayout, c, depth)
	}
	block, err := t.fetcher.GetBlock(ctx, c)
	if err != nil {
		return err
	}
	node, err := merkledag.DecodeProtobuf(block.RawData())
	if err != nil {
		return fmt.Errorf("%w: node %s: %w", ErrLayout, c, err)
	}
	meta, err := unixfs.FSNodeFromBytes(node.Data())
	if err != nil {
		return fmt.Errorf("%w: node %s: %w", ErrLayout, c, err)
	}
	if meta.FileSize() > uint64(t.maxBytes) {
		return fmt.Errorf("%w: declares %d bytes, limit %d", ErrTooLarge, meta.FileSize(), t.maxBytes)
	}
	if depth == 0 {
		t.size = int64(meta.FileSize())
	}
	for _, link := range node.Links() {
		if err := t.walk(ctx, link.Cid, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the leaves that file lacks, a few at a time. Leaves that an
// earlier, cut off fetch wrote are hashed and kept.
func (s *Store) fill(ctx context.Context, fetcher exchange.Fetcher, file *os.File, t *tree, progress Progress) error {
	missing := map[cid.Cid][]int{}
	var order []cid.Cid
	var have int64
	for i, leaf := range t.leaves {
		if n, ok := leafOnDisk(file, i, leaf); ok {
			have += n
			continue
		}
		if missing[leaf] == nil {
			order = append(order, leaf)
		}
		missing[leaf] = append(missing[leaf], i)
	}
	for len(order) > 0 {
		batch := order[:min(len(order), leavesInFlight)]
		order = order[len(batch):]
		arriving, err := fetcher.GetBlocks(ctx, batch)
		if err != nil {
			return err
		}
		left := len(batch)
		for block := range arriving {
			for _, i := range missing[block.Cid()] {
				if len(block.RawData()) > modelfile.LeafBytes {
					return fmt.Errorf("%w: leaf %d of %d bytes", ErrLayout, i, len(block.RawData()))
				}
				if _, err := file.WriteAt(block.RawData(), int64(i)*modelfile.LeafBytes); err != nil {
					return err
				}
				have += int64(len(block.RawData()))
			}
			left--
			if progress != nil {
				progress(have, max(t.size, have))
			}
		}
		if left > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fmt.Errorf("%w: %d leaves did not come", ErrAbsent, left)
		}
	}
	return nil
}

// leafOnDisk reports whether leaf i of a partial file is there already, and its
// length.
func leafOnDisk(file *os.File, i int, leaf cid.Cid) (int64, bool) {
	data := make([]byte, modelfile.LeafBytes)
	n, err := file.ReadAt(data, int64(i)*modelfile.LeafBytes)
	if n == 0 || (err != nil && err != io.EOF) {
		return 0, false
	}
	got, err := leaf.Prefix().Sum(data[:n])
	return int64(n), err == nil && got == leaf
}
