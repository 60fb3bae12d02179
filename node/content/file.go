package content

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// file is a file on disk that was hashed.
type file struct {
	layout
	path  string // absolute
	stamp stamp  // when it was hashed
}

// stamp tells whether a file is still the one that was hashed.
type stamp struct {
	Size    int64  `json:"size"`
	ModTime int64  `json:"mtime_ns"`
	Inode   uint64 `json:"inode"` // 0 where files have none
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Inode: inode(info)}
}

// unchanged reports whether the file is in its place as it was when it was hashed.
func (f *file) unchanged() bool {
	info, err := os.Stat(f.path)
	return err == nil && info.Mode().IsRegular() && stampOf(info) == f.stamp
}

// readLeaf reads leaf i. It is hashed if the file has changed: ErrCorrupt.
func (f *file) readLeaf(i int) ([]byte, error) {
	open, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = open.Close() }() // read only
	data := make([]byte, f.leafSize(i))
	if _, err := io.ReadFull(io.NewSectionReader(open, int64(i)*modelfile.LeafBytes, int64(len(data))), data); err != nil {
		return nil, fmt.Errorf("%w: leaf %d of %s: %w", ErrCorrupt, i, f.path, err)
	}
	info, err := open.Stat() // after reading, so that no change goes unseen
	if err != nil {
		return nil, err
	}
	if stampOf(info) != f.stamp && !matches(f.leaves[i], data) {
		return nil, fmt.Errorf("%w: leaf %d of %s", ErrCorrupt, i, f.path)
	}
	return data, nil
}

// hashFile reads all of the file at path, whose name should be c. Errors:
// ErrCorrupt, those of reading, that of ctx.
func hashFile(ctx context.Context, c cid.Cid, path string) (*file, error) {
	before, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrCorrupt, path)
	}
	open, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = open.Close() }() // read only
	dag, err := modelfile.BuildFileDAG(untilDone{ctx, open})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	after, err := open.Stat()
	if err != nil {
		return nil, err
	}
	if dag.Root != c || stampOf(before) != stampOf(after) {
		return nil, fmt.Errorf("%w: %s is %s, want %s", ErrCorrupt, path, dag.Root, c)
	}
	slices.Reverse(dag.Inner)
	return &file{
		layout: layout{root: c, size: dag.Size, leaves: dag.Leaves, inner: dag.Inner},
		path:   path, stamp: stampOf(after),
	}, nil
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// check returns the file at path if it is c: by its index, or else by its hash.
func (s *Store) check(ctx context.Context, c cid.Cid, path string) (*file, error) {
	if f, err := s.vouched(c, path); err == nil {
		return f, nil
	}
	f, err := hashFile(ctx, c, path)
	if err == nil {
		s.writeIndex(f)
	}
	return f, err
}

func (s *Store) file(c cid.Cid) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[c]
}

// keepFile serves f.
func (s *Store) keepFile(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.root] = f
	s.locate(f)
}

// forgetFile serves f no longer.
func (s *Store) forgetFile(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, f.root)
	clear(s.blocks)
	for _, other := range s.files {
		s.locate(other) // it may share leaves with f
	}
}

// locate notes where the blocks of f are. The caller holds the lock.
func (s *Store) locate(f *file) {
	for i, leaf := range f.leaves {
		s.blocks[leaf] = location{file: f, leaf: i}
	}
	for _, inner := range f.inner {
		s.blocks[inner.Cid()] = location{inner: inner.RawData()}
	}
}
