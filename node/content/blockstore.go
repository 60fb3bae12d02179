package content

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// file is one file on disk and its DAG.
type file struct {
	path   string
	stamp  stamp
	leaves []cid.Cid
}

// stamp tells whether a file is still the one that was hashed.
type stamp struct {
	Size    int64  `json:"size"`
	ModTime int64  `json:"mtime_ns"`
	Inode   uint64 `json:"inode"`
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return stamp{}, fmt.Errorf("%s is not a regular file", path)
	}
	return stamp{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Inode: inode(info)}, nil
}

// location is where a block's bytes are.
type location struct {
	file   *file
	leaf   int
	inline []byte // inner nodes and manifests
}

// index is what is kept of a file's DAG on disk, so that a start needs no
// hashing.
type index struct {
	Stamp  stamp    `json:"stamp"`
	Leaves []string `json:"leaves"`
	Inner  [][]byte `json:"inner"` // CIDs follow from the bytes
}

// addFile takes in the file at path under its name c, hashing it unless an index
// vouches for it. Errors: ErrCorrupt, and those of reading.
func (s *Store) addFile(c cid.Cid, path string) error {
	now, err := stampOf(path)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	if dag, ok := s.readIndex(c, now); ok {
		s.keepFile(c, path, now, dag)
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	dag, err := modelfile.BuildFileDAG(f)
	if err != nil {
		return fmt.Errorf("content: %s: %w", path, err)
	}
	if dag.Root != c {
		return fmt.Errorf("%w: %s is %s", ErrCorrupt, path, dag.Root)
	}
	s.writeIndex(c, now, dag)
	s.keepFile(c, path, now, dag)
	return nil
}

func (s *Store) keepFile(c cid.Cid, path string, at stamp, dag modelfile.FileDAG) {
	f := &file{path: path, stamp: at, leaves: dag.Leaves}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[c] = f
	for i, leaf := range dag.Leaves {
		s.blocks[string(leaf.Hash())] = location{file: f, leaf: i}
	}
	for _, inner := range dag.Inner {
		s.blocks[string(inner.Cid().Hash())] = location{inline: inner.RawData()}
	}
}

// readIndex returns the DAG of file c if its index was written for a file with
// this stamp and still hangs together.
func (s *Store) readIndex(c cid.Cid, now stamp) (modelfile.FileDAG, bool) {
	info, err := os.Stat(s.indexPath(c))
	if err != nil || info.Size() > indexBytes {
		return modelfile.FileDAG{}, false
	}
	data, err := os.ReadFile(s.indexPath(c))
	if err != nil {
		return modelfile.FileDAG{}, false
	}
	var kept index
	if json.Unmarshal(data, &kept) != nil || kept.Stamp != now {
		return modelfile.FileDAG{}, false
	}
	dag := modelfile.FileDAG{Size: now.Size}
	last := cid.Undef
	for _, text := range kept.Leaves {
		leaf, err := cid.Decode(text)
		if err != nil {
			return modelfile.FileDAG{}, false
		}
		dag.Leaves = append(dag.Leaves, leaf)
		last = leaf
	}
	for _, raw := range kept.Inner {
		name, err := innerPrefix.Sum(raw)
		if err != nil {
			return modelfile.FileDAG{}, false
		}
		block, err := blocks.NewBlockWithCid(raw, name)
		if err != nil {
			return modelfile.FileDAG{}, false
		}
		dag.Inner = append(dag.Inner, block)
		last = name
	}
	return dag, last == c
}

// writeIndex keeps a DAG for the next start; without it the file is hashed
// again, so a failure is no error.
func (s *Store) writeIndex(c cid.Cid, at stamp, dag modelfile.FileDAG) {
	kept := index{Stamp: at}
	for _, leaf := range dag.Leaves {
		kept.Leaves = append(kept.Leaves, leaf.String())
	}
	for _, inner := range dag.Inner {
		kept.Inner = append(kept.Inner, inner.RawData())
	}
	data, err := json.Marshal(kept)
	if err == nil {
		err = atomicfile.Write(s.indexPath(c), data, 0o644)
	}
	if err != nil {
		s.log.Warn("index not kept", "cid", c, "error", err)
	}
}

// readLeaf reads one leaf and hashes it when the file is not the one that was
// hashed before.
func (f *file) readLeaf(leaf int) ([]byte, error) {
	h, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer h.Close() //nolint:errcheck // read only
	offset := int64(leaf) * modelfile.LeafBytes
	data := make([]byte, min(modelfile.LeafBytes, max(0, f.stamp.Size-offset)))
	if _, err := io.ReadFull(io.NewSectionReader(h, offset, int64(len(data))), data); err != nil {
		return nil, err
	}
	now, err := stampOf(f.path)
	if err != nil {
		return nil, err
	}
	if now == f.stamp {
		return data, nil
	}
	got, err := f.leaves[leaf].Prefix().Sum(data)
	if err != nil {
		return nil, err
	}
	if got != f.leaves[leaf] {
		return nil, fmt.Errorf("%w: leaf %d of %s", ErrCorrupt, leaf, f.path)
	}
	return data, nil
}

// blockstore is the Store as bitswap sees it: read only, since what arrives is
// put in its place by the fetch that wanted it.
type blockstore Store

var errReadOnly = errors.New("content: the block store is read only")

func (b *blockstore) find(c cid.Cid) (location, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.blocks[string(c.Hash())]
	if !ok {
		return location{}, ipld.ErrNotFound{Cid: c}
	}
	return at, nil
}

func (b *blockstore) Has(_ context.Context, c cid.Cid) (bool, error) {
	_, err := b.find(c)
	return err == nil, nil
}

func (b *blockstore) Get(_ context.Context, c cid.Cid) (blocks.Block, error) {
	at, err := b.find(c)
	if err != nil {
		return nil, err
	}
	data := at.inline
	if at.file != nil {
		if data, err = at.file.readLeaf(at.leaf); err != nil {
			b.log.Error("block not served", "cid", c, "error", err)
			b.mu.Lock()
			delete(b.blocks, string(c.Hash()))
			b.mu.Unlock()
			return nil, ipld.ErrNotFound{Cid: c}
		}
	}
	return blocks.NewBlockWithCid(data, c)
}

func (b *blockstore) GetSize(_ context.Context, c cid.Cid) (int, error) {
	at, err := b.find(c)
	if err != nil {
		return 0, err
	}
	if at.file == nil {
		return len(at.inline), nil
	}
	return int(min(modelfile.LeafBytes, at.file.stamp.Size-int64(at.leaf)*modelfile.LeafBytes)), nil
}

func (b *blockstore) AllKeysChan(context.Context) (<-chan cid.Cid, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := make(chan cid.Cid, len(b.blocks))
	for hash := range b.blocks {
		keys <- cid.NewCidV1(cid.Raw, []byte(hash))
	}
	close(keys)
	return keys, nil
}

func (b *blockstore) Put(context.Context, blocks.Block) error       { return errReadOnly }
func (b *blockstore) PutMany(context.Context, []blocks.Block) error { return errReadOnly }
func (b *blockstore) DeleteBlock(context.Context, cid.Cid) error    { return errReadOnly }

// nobody is the discovery of a node without a DHT.
type nobody struct{}

func (nobody) Provide(context.Context, cid.Cid, bool) error { return nil }

func (nobody) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo {
	none := make(chan peer.AddrInfo)
	close(none)
	return none
}
