package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// linksPerNode is how many children an inner node of a file has, as in
// `ipfs add --cid-version=1 --raw-leaves --chunker=size-1048576`.
const linksPerNode = 174

// FileDAG is a file as UnixFS sees it, without the file's bytes: leaf i is the
// bytes from i·LeafBytes on.
type FileDAG struct {
	Root   cid.Cid        // the file's CID; a file of one leaf is its leaf
	Size   int64          // bytes in the file
	Leaves []cid.Cid      // raw blocks of LeafBytes, the last may be shorter
	Inner  []blocks.Block // the nodes above, children before parents
}

// BuildFileDAG reads r to its end and gives what `ipfs add --cid-version=1
// --raw-leaves --chunker=size-1048576` would store.
func BuildFileDAG(r io.Reader) (FileDAG, error) {
	var dag FileDAG
	counted := &countingReader{r: r}
	params := helpers.DagBuilderParams{
		Maxlinks:   linksPerNode,
		RawLeaves:  true,
		CidBuilder: cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256),
		Dagserv:    &dagRecorder{dag: &dag},
	}
	builder, err := params.New(chunk.NewSizeSplitter(counted, LeafBytes))
	if err != nil {
		return FileDAG{}, fmt.Errorf("modelfile: file DAG: %w", err)
	}
	root, err := balanced.Layout(builder)
	if err != nil {
		return FileDAG{}, fmt.Errorf("modelfile: file DAG: %w", err)
	}
	dag.Root, dag.Size = root.Cid(), counted.n
	return dag, nil
}

// CheckFile reads a file to its end and reports whether it has the content that c
// names. Errors: ErrCorrupt, those of the file, with its path.
func CheckFile(path string, c cid.Cid) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	dag, err := BuildFileDAG(f)
	if err == nil && dag.Root != c {
		err = fmt.Errorf("%w: it is %s", ErrCorrupt, dag.Root)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// dagRecorder is a DAG service that keeps inner nodes and the CIDs of leaves,
// whose bytes are in the file already.
type dagRecorder struct{ dag *FileDAG }

var _ ipld.DAGService = (*dagRecorder)(nil)

var errWriteOnly = errors.New("modelfile: a file DAG under construction is not read")

func (d *dagRecorder) Add(_ context.Context, n ipld.Node) error {
	if n.Cid().Prefix().Codec == cid.Raw {
		d.dag.Leaves = append(d.dag.Leaves, n.Cid())
		return nil
	}
	block, err := blocks.NewBlockWithCid(n.RawData(), n.Cid())
	if err != nil {
		return err
	}
	d.dag.Inner = append(d.dag.Inner, block)
	return nil
}

func (d *dagRecorder) AddMany(ctx context.Context, nodes []ipld.Node) error {
	for _, n := range nodes {
		if err := d.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (d *dagRecorder) Get(context.Context, cid.Cid) (ipld.Node, error) { return nil, errWriteOnly }

func (d *dagRecorder) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption {
	none := make(chan *ipld.NodeOption)
	close(none)
	return none
}

func (d *dagRecorder) Remove(context.Context, cid.Cid) error { return errWriteOnly }

func (d *dagRecorder) RemoveMany(context.Context, []cid.Cid) error { return errWriteOnly }
