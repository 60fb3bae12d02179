package modelfile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	dag "github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// pattern is n bytes, every leaf different.
func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i>>20) ^ byte(i)
	}
	return data
}

// TestFileDAG checks the tree by what it must be: leaves are the hashes of the
// file's mebibytes, and every inner node lists its children in order.
func TestFileDAG(t *testing.T) {
	const leaf, links = modelfile.LeafBytes, 174
	for _, c := range []struct{ size, leaves, inner int }{
		{1, 1, 0}, {leaf - 1, 1, 0}, {leaf, 1, 0}, {leaf + 1, 2, 1}, {3 * leaf, 3, 1},
		{links * leaf, links, 1}, {links*leaf + 1, links + 1, 3},
	} {
		data := pattern(c.size)
		got, err := modelfile.BuildFileDAG(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got.Size != int64(c.size) || len(got.Leaves) != c.leaves || len(got.Inner) != c.inner {
			t.Fatalf("%d bytes: size %d, %d leaves, %d inner, want %d and %d", c.size, got.Size, len(got.Leaves), len(got.Inner), c.leaves, c.inner)
		}
		for i, l := range got.Leaves {
			digest := sha256.Sum256(data[i*leaf : min((i+1)*leaf, len(data))])
			if l.Prefix().Codec != cid.Raw || l.Version() != 1 || !bytes.HasSuffix(l.Hash(), digest[:]) {
				t.Fatalf("%d bytes: leaf %d is %s", c.size, i, l)
			}
		}
		if c.inner == 0 {
			if got.Root != got.Leaves[0] {
				t.Fatalf("%d bytes: root %s is not the leaf", c.size, got.Root)
			}
			continue
		}
		walked, size := walk(t, got, got.Root)
		if size != uint64(c.size) || fmt.Sprint(walked) != fmt.Sprint(got.Leaves) {
			t.Fatalf("%d bytes: the tree holds %d bytes in other leaves", c.size, size)
		}
	}
}

// walk gives the leaves under a node in order and the bytes it claims.
func walk(t *testing.T, d modelfile.FileDAG, c cid.Cid) ([]cid.Cid, uint64) {
	t.Helper()
	if c.Prefix().Codec == cid.Raw {
		return []cid.Cid{c}, 0
	}
	for _, block := range d.Inner {
		if block.Cid() != c {
			continue
		}
		if sum, err := c.Prefix().Sum(block.RawData()); err != nil || sum != c {
			t.Fatalf("inner node %s has bytes of %s, %v", c, sum, err)
		}
		node, err := dag.DecodeProtobuf(block.RawData())
		if err != nil {
			t.Fatal(err)
		}
		file, err := unixfs.FSNodeFromBytes(node.Data())
		if err != nil {
			t.Fatal(err)
		}
		var leaves []cid.Cid
		for _, l := range node.Links() {
			below, _ := walk(t, d, l.Cid)
			leaves = append(leaves, below...)
		}
		return leaves, file.FileSize()
	}
	t.Fatalf("no inner node %s", c)
	return nil, 0
}

func TestFileDAGReadError(t *testing.T) {
	mine := errors.New("mine")
	r := io.MultiReader(bytes.NewReader(pattern(modelfile.LeafBytes+5)), iotest.ErrReader(mine))
	if _, err := modelfile.BuildFileDAG(r); !errors.Is(err, mine) {
		t.Error(err)
	}
}

func ExampleBuildFileDAG() {
	d, err := modelfile.BuildFileDAG(bytes.NewReader(make([]byte, 3*modelfile.LeafBytes)))
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Root)
	fmt.Println(d.Size, "bytes,", len(d.Leaves), "leaves,", len(d.Inner), "node above")
	// Output:
	// bafybeigdsjup7aizxrrjn7yqtcmqg6ffksaugwr7is2ind3cf7esaqrz4m
	// 3145728 bytes, 3 leaves, 1 node above
}
