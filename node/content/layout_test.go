package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

func rawCID(t testing.TB, data []byte) cid.Cid {
	t.Helper()
	c, err := cid.NewPrefixV1(cid.Raw, multihash.SHA2_256).Sum(data)
	check(t, err)
	return c
}

func mustBlock(t testing.TB, data []byte, c cid.Cid) blocks.Block {
	t.Helper()
	block, err := blocks.NewBlockWithCid(data, c)
	check(t, err)
	return block
}

// node is an inner node that says what it is told to.
func node(t testing.TB, size uint64, sizes []uint64, children ...cid.Cid) blocks.Block {
	t.Helper()
	file := unixfs.NewFSNode(pb.Data_File)
	for _, s := range sizes {
		file.AddBlockSize(s)
	}
	file.UpdateFilesize(int64(size - file.FileSize()))
	data, err := file.GetBytes()
	check(t, err)
	n := merkledag.NodeWithData(data)
	check(t, n.SetCidBuilder(cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256)))
	for i, c := range children {
		check(t, n.AddRawLink("", &ipld.Link{Cid: c, Size: sizes[min(i, len(sizes)-1)]}))
	}
	return mustBlock(t, n.RawData(), n.Cid())
}

type hostile = struct {
	root   cid.Cid
	served []blocks.Block
	want   error
}

func oneNode(t testing.TB, size uint64, sizes []uint64, want error, children ...cid.Cid) hostile {
	t.Helper()
	root := node(t, size, sizes, children...)
	return hostile{root.Cid(), []blocks.Block{root}, want}
}

// tree builds the inner nodes over leaves whose names are their numbers.
func tree(t testing.TB, size int64) (root cid.Cid, inner []blocks.Block) {
	t.Helper()
	type part struct {
		cid  cid.Cid
		size uint64
	}
	var level []part
	for i := int64(0); i*leafBytes < size; i++ {
		c := rawCID(t, binary.BigEndian.AppendUint64(nil, uint64(i)))
		level = append(level, part{c, uint64(min(leafBytes, size-i*leafBytes))})
	}
	for len(level) > 1 {
		var above []part
		for len(level) > 0 {
			n := min(len(level), linksPerNode)
			var sum uint64
			var sizes []uint64
			var children []cid.Cid
			for _, p := range level[:n] {
				sum, sizes, children = sum+p.size, append(sizes, p.size), append(children, p.cid)
			}
			block := node(t, sum, sizes, children...)
			inner = append(inner, block)
			above = append(above, part{block.Cid(), sum})
			level = level[n:]
		}
		level = above
	}
	return level[0].cid, inner
}

// Trees of every shape are read as they were built.
func TestReadLayout(t *testing.T) {
	const leaf, node, above = int64(leafBytes), linksPerNode * int64(leafBytes), linksPerNode * linksPerNode * int64(leafBytes)
	for _, size := range []int64{
		leaf + 1, 2 * leaf, node - 1, node, node + 1, node + leaf, 2*node + 5, 3 * node, above, above + 1, above + node + leaf + 7,
	} {
		root, inner := tree(t, size)
		l, err := readLayout(t.Context(), root, size, memory(inner...))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if l.size != size || int64(len(l.leaves)) != (size+leaf-1)/leaf || len(l.inner) != len(inner) {
			t.Fatalf("%d bytes: read as %d bytes in %d leaves and %d nodes", size, l.size, len(l.leaves), len(l.inner))
		}
		for _, i := range []int{0, 1, len(l.leaves) / 2, len(l.leaves) - 1} {
			if l.leaves[i] != rawCID(t, binary.BigEndian.AppendUint64(nil, uint64(i))) {
				t.Fatalf("%d bytes: leaf %d is another", size, i)
			}
		}
		if _, err := readLayout(t.Context(), root, size-1, memory(inner...)); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%d bytes, one less allowed: %v", size, err)
		}
	}
}

// The trees that the model's files have are read: two levels, and more than one
// node in the lower.
func TestReadLayoutOfBuildFileDAG(t *testing.T) {
	if testing.Short() {
		t.Skip("hashes 175 MiB")
	}
	size := int64(linksPerNode+1) * leafBytes
	dag, err := modelfile.BuildFileDAG(io.LimitReader(zeros{}, size))
	check(t, err)
	l, err := readLayout(t.Context(), dag.Root, size, memory(dag.Inner...))
	check(t, err)
	if l.size != dag.Size || len(l.leaves) != len(dag.Leaves) || len(l.inner) != 3 {
		t.Errorf("read as %d bytes in %d leaves and %d nodes", l.size, len(l.leaves), len(l.inner))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestReadLayoutRefuses(t *testing.T) {
	const leaf = uint64(leafBytes)
	raw := rawCID(t, nil)
	full := make([]uint64, linksPerNode+1)
	children := make([]cid.Cid, linksPerNode+1)
	for i := range full {
		full[i], children[i] = leaf, raw
	}
	sha1, err := cid.NewPrefixV1(cid.Raw, multihash.SHA1).Sum(nil)
	check(t, err)
	two := []uint64{leaf, leaf}
	inner := node(t, 2*leaf, two, raw, raw)
	directory := mustNode(t, unixfs.FolderPBData())
	bytesOfItsOwn := mustNode(t, unixfs.FilePBData([]byte("x"), 1))
	noise := mustBlock(t, []byte("noise"), cid.NewCidV1(cid.DagProtobuf, rawCID(t, []byte("noise")).Hash()))
	padded := mustNode(t, append(unixfs.FilePBData(nil, 0), make([]byte, innerBytes)...))
	for name, c := range map[string]hostile{
		"no protobuf":            {noise.Cid(), []blocks.Block{noise}, ErrLayout},
		"a folder":               {directory.Cid(), []blocks.Block{directory}, ErrLayout},
		"bytes of its own":       {bytesOfItsOwn.Cid(), []blocks.Block{bytesOfItsOwn}, ErrLayout},
		"over innerBytes":        {padded.Cid(), []blocks.Block{padded}, ErrLayout},
		"no children":            oneNode(t, 2*leaf, nil, ErrLayout),
		"a child too few":        oneNode(t, 3*leaf, two, ErrLayout, raw, raw),
		"a child too many":       oneNode(t, 2*leaf, append(two, leaf), ErrLayout, raw, raw, raw),
		"a size too few":         oneNode(t, 2*leaf, two[:1], ErrLayout, raw, raw),
		"too many links":         oneNode(t, uint64(len(full))*leaf, full, ErrLayout, children...),
		"one leaf":               oneNode(t, leaf, two[:1], ErrLayout, raw),
		"nothing":                oneNode(t, 0, nil, ErrLayout),
		"leaves of another size": oneNode(t, leaf+2, []uint64{leaf + 1, 1}, ErrLayout, raw, raw),
		"a short leaf first":     oneNode(t, leaf+1, []uint64{1, leaf}, ErrLayout, raw, raw),
		"a node for a leaf":      oneNode(t, 2*leaf, two, ErrCID, raw, inner.Cid()),
		"a leaf for a node":      oneNode(t, (linksPerNode+1)*leaf, []uint64{linksPerNode * leaf, leaf}, ErrCID, raw, raw),
		"another hash":           oneNode(t, 2*leaf, two, ErrCID, raw, sha1),
		"the most a file can be": oneNode(t, math.MaxInt64, two, ErrLayout, raw, raw),
		"more than a file can":   oneNode(t, math.MaxInt64+1, two, ErrLayout, raw, raw),
		"a child that disagrees": func() hostile {
			root := node(t, (linksPerNode+1)*leaf, []uint64{linksPerNode * leaf, leaf}, inner.Cid(), inner.Cid())
			return hostile{root.Cid(), []blocks.Block{root, inner}, ErrLayout}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readLayout(t.Context(), c.root, math.MaxInt64, memory(c.served...))
			wantError(t, err, c.want)
		})
	}
	for _, extra := range []int{0, 1} {
		data := bytes.Repeat([]byte{0}, innerBytes+extra)
		_, err := decodeInner(data)
		if tooLong := err != nil && bytes.Contains([]byte(err.Error()), []byte("limit")); tooLong != (extra == 1) {
			t.Errorf("%d bytes: %v", len(data), err)
		}
	}
}

// mustNode is a node with the given UnixFS data and no children.
func mustNode(t testing.TB, data []byte) blocks.Block {
	t.Helper()
	n := merkledag.NodeWithData(data)
	check(t, n.SetCidBuilder(cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256)))
	return mustBlock(t, n.RawData(), n.Cid())
}

// FuzzReadLayout walks what a peer may send: the root and one node below it,
// which is named by whatever it is.
func FuzzReadLayout(f *testing.F) {
	for _, size := range []int64{leafBytes + 1, 3*leafBytes + 7, (linksPerNode + 1) * leafBytes} {
		_, inner := tree(f, size)
		f.Add(inner[len(inner)-1].RawData(), inner[0].RawData(), size)
	}
	f.Fuzz(func(t *testing.T, root, below []byte, maxBytes int64) {
		prefix := cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256)
		var known []blocks.Block
		for _, data := range [][]byte{root, below} {
			c, err := prefix.Sum(data)
			check(t, err)
			known = append(known, mustBlock(t, data, c))
		}
		l, err := readLayout(t.Context(), known[0].Cid(), maxBytes, memory(known...))
		if err != nil {
			return
		}
		if l.size > maxBytes || int64(len(l.leaves)) != (l.size-1)/leafBytes+1 {
			t.Fatalf("took %d bytes in %d leaves, limit %d", l.size, len(l.leaves), maxBytes)
		}
		for i := range l.leaves {
			if n := l.leafSize(i); n <= 0 || n > leafBytes {
				t.Fatalf("leaf %d of %d bytes", i, n)
			}
		}
	})
}
