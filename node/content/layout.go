package content

import (
	"context"
	"fmt"
	"math"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/pb"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// linksPerNode is how many children an inner node has, unless it is the last of
// its level: kubo's default, and that of modelfile.BuildFileDAG.
const linksPerNode = 174

// layout is a file as its inner nodes describe it.
type layout struct {
	root   cid.Cid
	size   int64          // bytes
	leaves []cid.Cid      // leaf i is the bytes from i·LeafBytes on
	inner  []blocks.Block // the nodes above, parents first
}

// oneLeaf is the layout of a file of at most LeafBytes: its leaf is its root.
func oneLeaf(root cid.Cid, size int64) layout {
	return layout{root: root, size: size, leaves: []cid.Cid{root}}
}

// leafSize is the number of bytes in leaf i.
func (l *layout) leafSize(i int) int64 {
	return min(modelfile.LeafBytes, l.size-int64(i)*modelfile.LeafBytes)
}

// getBlock finds one block, whose bytes are known to match the CID.
type getBlock func(context.Context, cid.Cid) (blocks.Block, error)

// readLayout walks the inner nodes under root, which get finds. The size that
// root declares, at most maxBytes, determines the whole shape, and no other is
// taken. Errors: ErrTooLarge, ErrLayout, ErrCID, what get reports.
func readLayout(ctx context.Context, root cid.Cid, maxBytes int64, get getBlock) (layout, error) {
	l := layout{root: root}
	node, err := l.read(ctx, root, get)
	if err != nil {
		return layout{}, err
	}
	if node.size > maxBytes {
		return layout{}, fmt.Errorf("%w: declares %d bytes, limit %d", ErrTooLarge, node.size, maxBytes)
	}
	if node.size <= modelfile.LeafBytes {
		return layout{}, fmt.Errorf("%w: an inner node over %d bytes, which fit a leaf", ErrLayout, node.size)
	}
	l.size = node.size
	span := int64(modelfile.LeafBytes)
	for (l.size-1)/linksPerNode >= span { // linksPerNode·span < size, which cannot overflow
		span *= linksPerNode
	}
	return l, l.descend(ctx, node, span, get)
}

// descend adds what lies below node, whose full children hold span bytes each.
func (l *layout) descend(ctx context.Context, node innerNode, span int64, get getBlock) error {
	if want := (node.size-1)/span + 1; int64(len(node.children)) != want {
		return fmt.Errorf("%w: %d children for %d bytes, want %d", ErrLayout, len(node.children), node.size, want)
	}
	for i, c := range node.children {
		size := min(span, node.size-int64(i)*span)
		if got := node.sizes[i]; got != uint64(size) {
			return fmt.Errorf("%w: child %d has %d bytes, want %d", ErrLayout, i, got, size)
		}
		if span == modelfile.LeafBytes {
			if err := checkCID(c, cid.Raw); err != nil {
				return err
			}
			l.leaves = append(l.leaves, c)
			continue
		}
		child, err := l.read(ctx, c, get)
		if err != nil {
			return err
		}
		if child.size != size {
			return fmt.Errorf("%w: node %s declares %d bytes, its parent %d", ErrLayout, c, child.size, size)
		}
		if err := l.descend(ctx, child, span/linksPerNode, get); err != nil {
			return err
		}
	}
	return nil
}

// read gets and decodes the inner node c and adds it to l.
func (l *layout) read(ctx context.Context, c cid.Cid, get getBlock) (innerNode, error) {
	if err := checkCID(c, cid.DagProtobuf); err != nil {
		return innerNode{}, err
	}
	block, err := get(ctx, c)
	if err != nil {
		return innerNode{}, err
	}
	node, err := decodeInner(block.RawData())
	if err != nil {
		return innerNode{}, fmt.Errorf("%w: node %s: %w", ErrLayout, c, err)
	}
	l.inner = append(l.inner, block)
	return node, nil
}

// innerNode is what an inner node says of itself: nothing in it is checked yet.
type innerNode struct {
	size     int64 // bytes below
	children []cid.Cid
	sizes    []uint64 // of the children
}

// decodeInner decodes a UnixFS file node without bytes of its own.
func decodeInner(data []byte) (innerNode, error) {
	if len(data) > innerBytes {
		return innerNode{}, fmt.Errorf("%d bytes, limit %d", len(data), innerBytes)
	}
	node, err := merkledag.DecodeProtobuf(data)
	if err != nil {
		return innerNode{}, err
	}
	file, err := unixfs.FSNodeFromBytes(node.Data())
	if err != nil {
		return innerNode{}, err
	}
	links := node.Links()
	switch {
	case file.Type() != pb.Data_File || len(file.Data()) > 0:
		return innerNode{}, fmt.Errorf("a node of type %s with %d bytes", file.Type(), len(file.Data()))
	case file.NumChildren() != len(links):
		return innerNode{}, fmt.Errorf("%d sizes for %d children", file.NumChildren(), len(links))
	case file.FileSize() > math.MaxInt64:
		return innerNode{}, fmt.Errorf("declares %d bytes", file.FileSize())
	}
	n := innerNode{size: int64(file.FileSize()), sizes: file.BlockSizes()}
	for _, link := range links {
		n.children = append(n.children, link.Cid)
	}
	return n, nil
}
