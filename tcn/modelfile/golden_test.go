package modelfile_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/modelfile/importer"
)

// How closely float32 has to follow the float64 reference, and the smallest gap
// between the best two logits at which the greedy byte must be the same.
const (
	logitTolerance = 1e-3
	greedyMargin   = 2e-3
)

// goldenFolder is where larger golden cases may be, beside the repository.
func goldenFolder() string {
	if dir := os.Getenv("ZETAGRID_GOLDEN"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared", "golden")
}

// goldenCase is one case of an expected.json.
type goldenCase struct {
	Prompt         string    `json:"prompt"`
	LastLogits     []float64 `json:"last_logits"`
	MeanNLL        *float64  `json:"mean_nll"`
	GreedyHex      string    `json:"greedy_hex"`
	SmallestMargin float64   `json:"smallest_margin"`
}

type goldenFile struct {
	Cases []goldenCase `json:"cases"`
	Cuts  [][2]int64   `json:"cuts"`
	Wraps int          `json:"wraps"`
}

func readGolden(t testing.TB, path string) goldenFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not here; set ZETAGRID_GOLDEN to test it", path)
	}
	var g goldenFile
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) == 0 {
		t.Fatalf("%s has no cases", path)
	}
	return g
}

// goldenSets are folders of a release and a paper model each. testdata/tiny is
// always here.
func goldenSets() map[string]string {
	return map[string]string{
		"tiny":      filepath.Join("testdata", "tiny"),
		"release-a": filepath.Join(goldenFolder(), "release-a"),
		"release-b": filepath.Join(goldenFolder(), "release-b"),
	}
}

func TestGoldenRelease(t *testing.T) {
	for name, dir := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			golden := readGolden(t, filepath.Join(dir, "expected.json"))
			out := filepath.Join(t.TempDir(), "model")
			_, err := importer.Release(context.Background(), importer.ReleaseOptions{
				Genome: filepath.Join(dir, "genome.npy"),
				Soul:   filepath.Join(dir, "soul.pt"),
				Config: filepath.Join(dir, "config.json"),
				Out:    out,
			})
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, out, golden)
		})
	}
}

func TestGoldenPaper(t *testing.T) {
	for name, dir := range goldenSets() {
		t.Run(name, func(t *testing.T) {
			golden := readGolden(t, filepath.Join(dir, "paper_expected.json"))
			out := filepath.Join(t.TempDir(), "model")
			_, err := importer.Safetensors(context.Background(), importer.SafetensorsOptions{
				Weights: filepath.Join(dir, "paper_weights.safetensors"),
				Config:  filepath.Join(dir, "paper_config.json"),
				Out:     out,
			})
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, out, golden)
		})
	}
}

func checkGolden(t *testing.T, dir string, golden goldenFile) {
	t.Helper()
	if err := modelfile.Verify(context.Background(), dir, nil); err != nil {
		t.Fatal(err)
	}
	m := loadModel(t, dir)
	for i, c := range golden.Cases {
		g := m.start(t)
		prompt := []byte(c.Prompt)
		logits := g.feed(prompt)
		for b, want := range c.LastLogits {
			if got := float64(logits[len(logits)-1][b]); math.Abs(got-want) > logitTolerance {
				t.Errorf("case %d: logit of byte %d is %v, want %v", i, b, got, want)
				break
			}
		}
		if c.MeanNLL != nil {
			if got := meanNLL(prompt, logits); math.Abs(got-*c.MeanNLL) > logitTolerance {
				t.Errorf("case %d: mean_nll %v, want %v", i, got, *c.MeanNLL)
			}
		}
		want, err := hex.DecodeString(c.GreedyHex)
		if err != nil {
			t.Fatal(err)
		}
		if c.SmallestMargin <= greedyMargin {
			continue
		}
		last := logits[len(logits)-1]
		for n, w := range want {
			next := tcn.Sampling{}.Next(len(prompt)+n, &last)
			if next != w {
				t.Errorf("case %d: byte %d is %#x, want %#x", i, n, next, w)
				break
			}
			if n < len(want)-1 {
				last = g.feed([]byte{next})[0]
			}
		}
		g.close()
	}
}

// meanNLL is the mean of -log p(byte) over all bytes but the first, in float64.
func meanNLL(prompt []byte, logits [][tcn.VocabSize]float32) float64 {
	sum := 0.0
	for i := 1; i < len(prompt); i++ {
		row := logits[i-1]
		largest, total := float64(row[0]), 0.0
		for _, v := range row {
			largest = max(largest, float64(v))
		}
		for _, v := range row {
			total += math.Exp(float64(v) - largest)
		}
		sum += largest + math.Log(total) - float64(row[prompt[i]])
	}
	return sum / float64(len(prompt)-1)
}

// loadedModel is a model folder on the CPU backend.
type loadedModel struct {
	stage   tcn.Stage
	variant *tcn.Variant
	ends    *tcn.Ends
}

func loadModel(t testing.TB, dir string) *loadedModel {
	t.Helper()
	f, err := modelfile.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	genome, _ := f.Genome()
	model, _ := f.Model()
	soul, _, hasSoul := f.Soul()
	c := genome.Config
	path := func(link modelfile.Link) string {
		p, ok := f.Path(link)
		if !ok {
			t.Fatalf("folder does not know %s", link)
		}
		return p
	}
	keep := func(closer io.Closer) {
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	v := &tcn.Variant{Range: c.All()}
	var blocks []*tcn.Block
	term := tcn.SoulTerm{Weight: 1}
	for b := range c.Blocks() {
		block, closer, err := modelfile.OpenTile(path(genome.Tiles[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		keep(closer)
		blocks = append(blocks, block)
		small, err := modelfile.LoadSmall(path(model.Small[b]), c, b)
		if err != nil {
			t.Fatal(err)
		}
		v.Small = append(v.Small, small)
		if hasSoul {
			slice, closer, err := modelfile.OpenSoulSlice(path(soul.Slices[b]), c, b, soul.Rank)
			if err != nil {
				t.Fatal(err)
			}
			keep(closer)
			term.Slices = append(term.Slices, slice)
		}
	}
	if hasSoul {
		v.Souls = []tcn.SoulTerm{term}
	}
	ends, err := modelfile.LoadEnds(path(model.Ends), c)
	if err != nil {
		t.Fatal(err)
	}
	compute := &tcn.Compute{Kernels: kernel.Best()}
	stage, err := tcn.NewCPU(compute).Load(c, c.All(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	keep(stage)
	return &loadedModel{stage: stage, variant: v, ends: ends}
}

// generation is one sequence.
type generation struct {
	t     testing.TB
	m     *loadedModel
	state tcn.State
}

func (m *loadedModel) start(t testing.TB) *generation {
	t.Helper()
	state, err := m.stage.NewState(m.variant.Range, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &generation{t: t, m: m, state: state}
}

// feed gives the logits after each of the bytes, fed in chunks.
func (g *generation) feed(text []byte) [][tcn.VocabSize]float32 {
	g.t.Helper()
	const chunk = 64
	d := g.m.stage.Config().DModel
	var all [][tcn.VocabSize]float32
	for len(text) > 0 {
		n := min(chunk, len(text))
		rows := tcn.Rows{Position: g.state.Position(), Count: n, Data: make([]float32, n*d)}
		for i, b := range text[:n] {
			if err := g.m.ends.Embed(rows.Position+i, b, rows.Data[i*d:(i+1)*d]); err != nil {
				g.t.Fatal(err)
			}
		}
		work := &tcn.Work{State: g.state, Variant: g.m.variant, Rows: rows}
		if err := errors.Join(g.m.stage.Step([]*tcn.Work{work}), work.Err); err != nil {
			g.t.Fatal(err)
		}
		for i := range n {
			var logits [tcn.VocabSize]float32
			if err := g.m.ends.Logits(work.Rows.Data[i*d:(i+1)*d], &logits); err != nil {
				g.t.Fatal(err)
			}
			all = append(all, logits)
		}
		text = text[n:]
	}
	return all
}

func (g *generation) close() {
	if err := g.state.Close(); err != nil {
		g.t.Error(err)
	}
}
