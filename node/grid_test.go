package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// sixBlocks is a small model of six Fractal Blocks, the last one shorter.
var sixBlocks = tcn.Config{
	Cell: tcn.CellRelease, VocabSize: 256, DModel: 32, DFF: 48, Layers: 17, LayersPerBlock: 3,
	KernelSize: 3, Dilations: []int{1, 2, 4}, MaxPositions: 0, RMSEps: 1e-6,
}.WithDefaults()

// pool is shared by the nodes of a test, as in zetagrid demo.
var pool = sync.OnceValue(func() *kernel.Pool { return kernel.NewPool(0) })

func testCompute() *tcn.Compute {
	return &tcn.Compute{Kernels: kernel.Best(), Pool: pool()}
}

// seededFolder makes a model folder of random weights.
func seededFolder(t testing.TB, c tcn.Config) string {
	t.Helper()
	dir := t.TempDir() + "/model"
	if _, err := modelfile.Init(t.Context(), dir, c, 7, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// seededFolderOf makes a model folder of another seed and returns its Model CID.
func seededFolderOf(t testing.TB, c tcn.Config, seed uint64) cid.Cid {
	t.Helper()
	dir := t.TempDir() + "/model"
	model, err := modelfile.Init(t.Context(), dir, c, seed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func startNode(t testing.TB, o Options) *Node {
	t.Helper()
	o.Compute = testCompute()
	if !o.Offline {
		o.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	n, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func waitReady(t testing.TB, n *Node) {
	t.Helper()
	select {
	case <-n.Ready():
	case <-t.Context().Done():
		t.Fatal("not ready")
	}
}

// answer collects a whole generation.
func answer(ctx context.Context, n *Node, r session.Request) (string, error) {
	g, err := n.Generate(ctx, r)
	if err != nil {
		return "", err
	}
	defer g.Close() //nolint:errcheck // always nil
	var text []byte
	for {
		piece, err := g.Next()
		if errors.Is(err, io.EOF) {
			return string(text), nil
		}
		if err != nil {
			return string(text), err
		}
		text = append(text, piece.Byte)
	}
}

// reference answers with one stage and a plain loop: no session, no network.
func reference(t testing.TB, dir string, r session.Request) string {
	t.Helper()
	folder, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := folder.Genome()
	model, _ := folder.Model()
	c := genome.Config
	var blocks []*tcn.Block
	variant := &tcn.Variant{Range: c.All()}
	soul, _, wears := folder.Soul()
	if wears && r.Soul != "none" {
		variant.Souls = []tcn.SoulTerm{{Weight: 1}}
	}
	for b := range c.Blocks() {
		path, _ := folder.Path(genome.Tiles[b])
		block, closer, err := modelfile.OpenTile(path, c, b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = closer.Close() })
		blocks = append(blocks, block)
		path, _ = folder.Path(model.Small[b])
		small, err := modelfile.LoadSmall(path, c, b)
		if err != nil {
			t.Fatal(err)
		}
		variant.Small = append(variant.Small, small)
		if len(variant.Souls) > 0 {
			path, _ = folder.Path(soul.Slices[b])
			slice, closer, err := modelfile.OpenSoulSlice(path, c, b, soul.Rank)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = closer.Close() })
			variant.Souls[0].Slices = append(variant.Souls[0].Slices, slice)
		}
	}
	path, _ := folder.Path(model.Ends)
	ends, err := modelfile.LoadEnds(path, c)
	if err != nil {
		t.Fatal(err)
	}
	stage, err := tcn.NewCPU(&tcn.Compute{Kernels: kernel.Portable()}).Load(c, c.All(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	state, err := stage.NewState(c.All(), 0)
	if err != nil {
		t.Fatal(err)
	}
	text := append([]byte(nil), r.Prompt...)
	var logits [256]float32
	row := make([]float32, c.DModel)
	for p := 0; p < len(r.Prompt)+r.MaxBytes-1; p++ {
		if err := ends.Embed(p, text[p], row); err != nil {
			t.Fatal(err)
		}
		work := &tcn.Work{State: state, Variant: variant, Rows: tcn.Rows{Position: p, Count: 1, Data: row}}
		if err := errors.Join(stage.Step([]*tcn.Work{work}), work.Err); err != nil {
			t.Fatal(err)
		}
		if p+1 < len(text) {
			continue
		}
		if err := ends.Logits(work.Rows.Data, &logits); err != nil {
			t.Fatal(err)
		}
		text = append(text, r.Sampling.Next(p+1, &logits))
	}
	return string(text[len(r.Prompt):])
}

// compositions lists every way to cut blocks [0, n) into contiguous ranges.
func compositions(n int) [][]tcn.Range {
	var all [][]tcn.Range
	for cuts := range 1 << (n - 1) {
		var ranges []tcn.Range
		lo := 0
		for b := 1; b <= n; b++ {
			if b == n || cuts>>(b-1)&1 == 1 {
				ranges = append(ranges, tcn.Range{Lo: lo, Hi: b})
				lo = b
			}
		}
		all = append(all, ranges)
	}
	return all
}

func prompts(n, maxBytes int, temperature float32) []session.Request {
	requests := make([]session.Request, n)
	for i := range requests {
		requests[i] = session.Request{
			Prompt:   []byte(fmt.Sprintf("prompt %d: %s", i, "the quick brown fox jumps over the lazy dog"[:i*2%43])),
			MaxBytes: maxBytes, LogProbs: -1,
			Sampling: tcn.Sampling{Temperature: temperature, Seed: uint64(i)},
		}
	}
	return requests
}

// TestOneAnswer holds the project's one law over a real network: every split of
// six blocks over one to six nodes, several chunk sizes, greedy and sampled, one
// at a time and sixteen at once, gives the bytes of a plain loop.
func TestOneAnswer(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	var nodes []*Node
	for range 6 {
		o := Options{Model: dir, Blocks: []tcn.Range{sixBlocks.All()}}
		for _, other := range nodes {
			o.Bootstrap = append(o.Bootstrap, other.Addrs()...)
		}
		nodes = append(nodes, startNode(t, o))
	}
	for _, n := range nodes {
		waitReady(t, n)
	}
	type ask struct{ temperature float32 }
	want := map[ask][]string{}
	for _, temperature := range []float32{0, 0.8} {
		for _, r := range prompts(16, 12, temperature) {
			want[ask{temperature}] = append(want[ask{temperature}], reference(t, dir, r))
		}
	}
	for i, split := range compositions(sixBlocks.Blocks()) {
		if testing.Short() && i%3 != 0 {
			continue
		}
		for _, temperature := range []float32{0, 0.8} {
			chunk := []int{1, 2, 7, 64, 1000}[i%5]
			gateway := nodes[i%len(nodes)]
			gateway.gateways.chunk = chunk
			gateway.gateways.route = func([]string) ([]session.Hop, error) {
				hops := make([]session.Hop, len(split))
				for h, r := range split {
					hops[h] = session.Hop{Peer: nodes[(i+h)%len(nodes)].links.self, Blocks: r}
				}
				return hops, nil
			}
			requests := prompts(16, 12, temperature)
			got := make([]string, len(requests))
			errs := make([]error, len(requests))
			atOnce := i%2 == 0
			var wait sync.WaitGroup
			for p, r := range requests {
				run := func() { got[p], errs[p] = answer(t.Context(), gateway, r) }
				if atOnce {
					wait.Go(run)
				} else {
					run()
				}
			}
			wait.Wait()
			for p := range requests {
				if errs[p] != nil || got[p] != want[ask{temperature}][p] {
					t.Fatalf("split %v chunk %d temperature %v prompt %d: %q, want %q (%v)", split, chunk, temperature, p, got[p], want[ask{temperature}][p], errs[p])
				}
			}
		}
	}
}

func TestOfflineGridOfOne(t *testing.T) {
	dir := seededFolder(t, sixBlocks)
	n := startNode(t, Options{Model: dir, Offline: true})
	waitReady(t, n)
	for _, r := range prompts(3, 20, 0.8) {
		got, err := answer(t.Context(), n, r)
		if want := reference(t, dir, r); err != nil || got != want {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
	if _, err := n.Logits(t.Context(), session.Request{Prompt: []byte("x")}); err != nil {
		t.Error(err)
	}
}
