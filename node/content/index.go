package content

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// index is what is kept of a hashed file, so that the next start needs no
// hashing. The names of the leaves are in the inner nodes.
type index struct {
	Stamp stamp    `json:"stamp"`
	Inner [][]byte `json:"inner"` // parents first; none for a file of one leaf
}

// errIndex says that an index is not one that this package wrote.
var errIndex = errors.New("content: malformed index")

// decodeIndex reads the index of file root and checks that its nodes are those
// below root. Errors: errIndex, which wraps what readLayout reports.
func decodeIndex(data []byte, root cid.Cid) (stamp, layout, error) {
	at, l, err := parseIndex(data, root)
	if err == nil && l.size != at.Size {
		err = fmt.Errorf("nodes of %d bytes, stamp of %d", l.size, at.Size)
	}
	if err != nil {
		return stamp{}, layout{}, fmt.Errorf("%w of %s: %w", errIndex, root, err)
	}
	return at, l, nil
}

func parseIndex(data []byte, root cid.Cid) (stamp, layout, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var kept index
	if err := decoder.Decode(&kept); err != nil {
		return stamp{}, layout{}, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return stamp{}, layout{}, errors.New("more after its end")
	}
	if root.Prefix().Codec == cid.Raw {
		if len(kept.Inner) > 0 || kept.Stamp.Size < 0 || kept.Stamp.Size > modelfile.LeafBytes {
			return stamp{}, layout{}, errors.New("not of a file of one leaf")
		}
		return kept.Stamp, oneLeaf(root, kept.Stamp.Size), nil
	}
	nodes := kept.Inner // in the order that readLayout asks for them
	l, err := readLayout(context.Background(), root, math.MaxInt64, func(_ context.Context, c cid.Cid) (blocks.Block, error) {
		if len(nodes) == 0 || !matches(c, nodes[0]) {
			return nil, fmt.Errorf("node %s is not next", c)
		}
		data := nodes[0]
		nodes = nodes[1:]
		return blocks.NewBlockWithCid(data, c)
	})
	if err == nil && len(nodes) > 0 {
		err = fmt.Errorf("%d nodes too many", len(nodes))
	}
	return kept.Stamp, l, err
}

// encodeIndex is the reverse of decodeIndex.
func encodeIndex(f *file) ([]byte, error) {
	kept := index{Stamp: f.stamp}
	for _, block := range f.inner {
		kept.Inner = append(kept.Inner, block.RawData())
	}
	return json.Marshal(kept)
}

// writeIndex keeps the index of f for the next start; without it the file is
// hashed again, so a failure is no error.
func (s *Store) writeIndex(f *file) {
	data, err := encodeIndex(f)
	if err == nil {
		err = atomicfile.WriteIn(s.root, indexName(f.root), data, 0o644)
	}
	if err != nil {
		s.log.Warn("index not kept", "cid", f.root, "error", err)
	}
}

// vouched returns the file at path if the index of c was written for it as it is.
func (s *Store) vouched(c cid.Cid, path string) (*file, error) {
	data, err := s.readBounded(indexName(c), indexBytes)
	if err != nil {
		return nil, err
	}
	at, l, err := decodeIndex(data, c)
	if err != nil {
		return nil, err
	}
	f := &file{layout: l, path: path, stamp: at}
	if !f.unchanged() {
		return nil, fmt.Errorf("%s is not the file that was hashed", path)
	}
	return f, nil
}
