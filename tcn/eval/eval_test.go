package eval_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// seededModel is a small random model.
func seededModel(t testing.TB, seed uint64, change func(*tcn.Config)) eval.Model {
	t.Helper()
	config := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 16, DFF: 36, Layers: 5, LayersPerBlock: 2,
		KernelSize: 3, Dilations: []int{1, 2, 4}, RMSEps: 1e-6,
	}.WithDefaults()
	if change != nil {
		change(&config)
	}
	m, err := newSeeded(config, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newSeeded(config tcn.Config, seed uint64) (eval.Model, error) {
	variant := &tcn.Variant{Range: config.All()}
	var blocks []*tcn.Block
	for b := range config.Blocks() {
		block, err := tcn.SeededBlock(config, seed, b)
		if err != nil {
			return eval.Model{}, err
		}
		blocks = append(blocks, block)
		variant.Small = append(variant.Small, tcn.SeededSmall(config, seed, b))
	}
	emb, pos, normF := tcn.SeededEnds(config, seed)
	ends, err := tcn.NewEnds(config, emb, pos, normF)
	if err != nil {
		return eval.Model{}, err
	}
	compute := &tcn.Compute{Kernels: kernel.Best()}
	stage, err := tcn.NewCPU(compute).Load(config, config.All(), blocks)
	return eval.Model{Stage: stage, Variant: variant, Ends: ends.WithCompute(compute)}, err
}

// text is n bytes, mostly letters, that a seed decides.
func text(seed uint64, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = "etaoin shrdlu"[tcn.Hash64(seed, uint64(i))%13]
	}
	return out
}

// logitsOneByOne steps a text a row at a time.
func logitsOneByOne(t *testing.T, m eval.Model, text []byte) [][tcn.VocabSize]float32 {
	t.Helper()
	state, err := m.Stage.NewState(m.Variant.Range, 0)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, m.Ends.Config().DModel)
	all := make([][tcn.VocabSize]float32, len(text))
	for p, b := range text {
		work := &tcn.Work{State: state, Variant: m.Variant, Rows: tcn.Rows{Position: p, Count: 1, Data: row}}
		err := m.Ends.Embed(p, b, row)
		if err = errors.Join(err, m.Stage.Step([]*tcn.Work{work}), work.Err, m.Ends.Logits(row, &all[p])); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// softmax is the probabilities of logits in float64.
func softmax(logits *[tcn.VocabSize]float32) [tcn.VocabSize]float64 {
	var p [tcn.VocabSize]float64
	sum := 0.0
	for b, l := range logits {
		p[b] = math.Exp(float64(l - slices.Max(logits[:])))
		sum += p[b]
	}
	for b := range p {
		p[b] /= sum
	}
	return p
}

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*math.Max(math.Abs(a), math.Abs(b))
}

// TestMeasureAgainstDefinition holds a score against the definition, computed
// row by row in float64.
func TestMeasureAgainstDefinition(t *testing.T) {
	for _, length := range []int{2, 3, 300, 700} { // 700 is more than a Step's rows
		m, text := seededModel(t, 1, nil), text(2, 2*length+length/2+1)
		var reports []int
		score, err := eval.Measure(t.Context(), m.Predict, text, length, func(done int) { reports = append(reports, done) })
		if err != nil {
			t.Fatal(err)
		}
		bits, bytes, n := 0.0, 0, 0
		for at := 0; at+1 < len(text); at += length {
			piece := text[at:min(at+length, len(text))]
			for i, logits := range logitsOneByOne(t, m, piece[:len(piece)-1]) {
				p := softmax(&logits)
				bits -= math.Log2(p[piece[i+1]])
				bytes++
			}
			n++
		}
		if score.Bytes() != bytes || len(score) != n || len(reports) != n || reports[n-1] > len(text) {
			t.Errorf("sequences of %d: %d bytes in %d, want %d in %d; reports %v", length, score.Bytes(), len(score), bytes, n, reports)
		}
		if got, want := score.BitsPerByte(), bits/float64(bytes); !near(got, want, 1e-5) {
			t.Errorf("sequences of %d: %v bits a byte, want %v", length, got, want)
		}
		if got, want := score.Perplexity(), math.Exp2(bits/float64(bytes)); !near(got, want, 1e-5) {
			t.Errorf("sequences of %d: perplexity %v, want %v", length, got, want)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	m := seededModel(t, 1, nil)
	constant := func(n int, l float32) eval.Predictor {
		return func(context.Context, []byte) ([]float32, error) { return slices.Repeat([]float32{l}, n), nil }
	}
	failure := errors.New("no")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		p      eval.Predictor
		text   []byte
		length int
		want   error
	}{
		"empty":          {t.Context(), m.Predict, nil, 10, eval.ErrText},
		"one byte":       {t.Context(), m.Predict, []byte("a"), 10, eval.ErrText},
		"length 1":       {t.Context(), m.Predict, []byte("abc"), 1, eval.ErrText},
		"too few":        {t.Context(), constant(1, -1), []byte("abc"), 10, eval.ErrText},
		"above one":      {t.Context(), constant(2, 0.5), []byte("abc"), 10, eval.ErrText},
		"not a number":   {t.Context(), constant(2, float32(math.NaN())), []byte("abc"), 10, eval.ErrText},
		"its own error":  {t.Context(), func(context.Context, []byte) ([]float32, error) { return nil, failure }, []byte("abc"), 10, failure},
		"canceled":       {canceled, m.Predict, []byte("abc"), 10, context.Canceled},
		"past positions": {t.Context(), seededModel(t, 1, func(c *tcn.Config) { c.MaxPositions = 4 }).Predict, []byte("abcdefgh"), 8, tcn.ErrTooLong},
	} {
		if _, err := eval.Measure(c.ctx, c.p, c.text, c.length, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestStandardError(t *testing.T) {
	// Four sequences of one byte: the textbook's standard error of a mean.
	score := eval.Score{{Bytes: 1, Nats: 1}, {Bytes: 1, Nats: 2}, {Bytes: 1, Nats: 3}, {Bytes: 1, Nats: 6}}
	mean, squares := 3.0, 4.0+1+0+9
	if want := mean / math.Ln2; !near(score.BitsPerByte(), want, 1e-15) {
		t.Errorf("mean %v, want %v", score.BitsPerByte(), want)
	}
	if want := math.Sqrt(squares/3) / 2 / math.Ln2; !near(score.StandardError(), want, 1e-14) {
		t.Errorf("standard error %v, want %v", score.StandardError(), want)
	}
	if got := score[:1].StandardError(); got != 0 {
		t.Errorf("standard error of one sequence %v, want 0", got)
	}
	// A longer sequence of the same rate moves neither.
	same := eval.Score{{Bytes: 10, Nats: 20}, {Bytes: 1000, Nats: 2000}}
	if same.StandardError() != 0 || !near(same.BitsPerByte(), 2/math.Ln2, 1e-15) {
		t.Errorf("equal rates: %v ± %v", same.BitsPerByte(), same.StandardError())
	}
}

func TestDifference(t *testing.T) {
	a := eval.Score{{10, 10}, {10, 20}, {10, 30}}
	b := eval.Score{{10, 11}, {10, 21}, {10, 31}}
	bits, err2, err := eval.Difference(a, b)
	if err != nil || !near(bits, 0.1/math.Ln2, 1e-12) || err2 > 1e-12 {
		t.Errorf("a constant difference: %v ± %v (%v)", bits, err2, err)
	}
	for _, other := range []eval.Score{nil, b[:2], {{10, 1}, {10, 1}, {9, 1}}} {
		if _, _, err := eval.Difference(a, other); !errors.Is(err, eval.ErrText) {
			t.Errorf("difference to %v: %v, want ErrText", other, err)
		}
	}
}

func TestCompare(t *testing.T) {
	a, b, text := seededModel(t, 1, nil), seededModel(t, 2, nil), text(3, 500)
	same, err := eval.Compare(t.Context(), a, a, text, 200)
	if err != nil {
		t.Fatal(err)
	}
	if same.Divergence.BitsPerByte() != 0 || same.Agreeing != same.Reference.Bytes() || !slices.Equal(same.Reference, same.Other) {
		t.Errorf("a model and itself: %+v", same)
	}
	c, err := eval.Compare(t.Context(), a, b, text, 200)
	if err != nil {
		t.Fatal(err)
	}
	score, err := eval.Measure(t.Context(), b.Predict, text, 200, nil)
	if err != nil || !slices.Equal(score, c.Other) || !slices.Equal(c.Reference, same.Reference) {
		t.Errorf("scores of Compare are not those of Measure (%v)", err)
	}
	want := 0.0
	for at := 0; at < len(text); at += 200 {
		piece := text[at:min(at+200, len(text))]
		ours, theirs := logitsOneByOne(t, a, piece[:len(piece)-1]), logitsOneByOne(t, b, piece[:len(piece)-1])
		for i := range ours {
			p, q := softmax(&ours[i]), softmax(&theirs[i])
			for v := range p {
				want += p[v] * math.Log2(p[v]/q[v])
			}
		}
	}
	if got := c.Divergence.BitsPerByte() * float64(c.Divergence.Bytes()); !near(got, want, 1e-4) || want <= 0 {
		t.Errorf("divergence %v bits, want %v", got, want)
	}
}

func TestSplit(t *testing.T) {
	text := text(5, 3*eval.SplitEvery*eval.SplitChunkBytes/2+12345)
	train, heldOut := eval.Split(text)
	if len(train)+len(heldOut) != len(text) || len(heldOut) != eval.SplitChunkBytes {
		t.Fatalf("%d bytes: %d to train on, %d held out", len(text), len(train), len(heldOut))
	}
	at := (eval.SplitEvery - 1) * eval.SplitChunkBytes
	if !bytes.Equal(heldOut, text[at:at+eval.SplitChunkBytes]) {
		t.Error("not the 50th chunk is held out")
	}
	if !bytes.Equal(train, slices.Concat(text[:at], text[at+eval.SplitChunkBytes:])) {
		t.Error("what is trained on is not the rest in order")
	}
	if _, heldOut := eval.Split(text[:at]); len(heldOut) != 0 {
		t.Errorf("49 chunks: %d bytes held out", len(heldOut))
	}
	train, heldOut = eval.SplitRule{ChunkBytes: 3, Every: 2}.Split([]byte("aaabbbcccd"))
	if string(train) != "aaaccc" || string(heldOut) != "bbbd" {
		t.Errorf("small split: %q and %q", train, heldOut)
	}
}

func TestSample(t *testing.T) {
	text := []byte("0123456789")
	for _, c := range []struct {
		n, length int
		want      string
	}{{1, 3, "012"}, {2, 3, "012789"}, {3, 2, "014589"}, {5, 2, "0123456789"}, {9, 2, "0123456789"}, {0, 2, "0123456789"}} {
		if got := string(eval.Sample(text, c.n, c.length)); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.n, c.length, got, c.want)
		}
	}
}

// TestDecodeAgainstOneByOne: sequences decoded beside one another are those
// decoded alone.
func TestDecodeAgainstOneByOne(t *testing.T) {
	for _, positions := range []int{0, 40} {
		m := seededModel(t, 1, func(c *tcn.Config) { c.MaxPositions = positions })
		requests := []eval.Request{
			{Prompt: []byte("a longer prompt than the others"), Sampling: eval.Seeded, Bytes: 20},
			{Prompt: []byte("b"), Bytes: 30},
			{Prompt: []byte("nothing"), Bytes: 0},
			{Prompt: []byte("c"), Sampling: tcn.Sampling{Temperature: 1, Seed: 9}, Bytes: 45},
		}
		answers, err := m.Decode(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range requests {
			text := slices.Clone(r.Prompt)
			for range r.Bytes {
				if positions > 0 && len(text) == positions {
					break
				}
				logits := logitsOneByOne(t, m, text)
				text = append(text, r.Sampling.Next(len(text), &logits[len(text)-1]))
			}
			if want := text[len(r.Prompt):]; !bytes.Equal(answers[i], want) {
				t.Errorf("request %d: %q, want %q", i, answers[i], want)
			}
		}
	}
	m := seededModel(t, 1, nil)
	for name, bad := range map[string]eval.Request{"empty prompt": {}, "bad sampling": {Prompt: []byte("a"), Sampling: tcn.Sampling{TopK: 257}}} {
		if _, err := m.Decode(t.Context(), []eval.Request{{Prompt: []byte("x"), Bytes: 3}, bad}); err == nil {
			t.Errorf("%s is decoded", name)
		}
	}
}

// TestSuiteGolden: answers, logits and figures of a seeded model are these on
// every machine and at every instruction level.
func TestSuiteGolden(t *testing.T) {
	for _, c := range []struct {
		change               func(*tcn.Config)
		suite, logits, score string
	}{
		{
			nil,
			"005c436b2b28285cfe302debd47c506bf25e95b0a9c09925a9422e95c76d7d44",
			"ef46058898ae03b7764085e684415ef0ac6e706ecdc7a4f8c3e8746d58bceb21",
			"4022f6e8c40d5d4c 3fb47fc108b720a8",
		},
		{
			func(c *tcn.Config) { c.Weights, c.Cell = tcn.WeightsQ2, tcn.CellPaper },
			"3fd0de44fa5f7e8cf6842b4390a8537035d432794958d38cea4fdb6d50eafaba",
			"e7a843f287b42e0580fb54267c0b02854760a4292893241e3263da6a1868deee",
			"402223bbac859330 3f9375cac9f2e76a",
		},
	} {
		m := seededModel(t, 1, c.change)
		answers, err := eval.Suite(t.Context(), m.Decode, 16)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := m.LogitsDigest(t.Context(), eval.Prompts)
		if err != nil {
			t.Fatal(err)
		}
		score, err := eval.Measure(t.Context(), m.Predict, text(1, 1000), 300, nil)
		if err != nil {
			t.Fatal(err)
		}
		figures := fmt.Sprintf("%x %x", math.Float64bits(score.BitsPerByte()), math.Float64bits(score.StandardError()))
		for _, d := range [][2]string{{eval.SuiteDigest(answers), c.suite}, {logits, c.logits}, {figures, c.score}} {
			if d[0] != d[1] {
				t.Errorf("%q, want %q", d[0], d[1])
			}
		}
	}
}

func TestSuiteRefuses(t *testing.T) {
	failure := errors.New("no")
	for _, decode := range []eval.Decoder{
		func(context.Context, []eval.Request) ([][]byte, error) { return nil, failure },
		func(context.Context, []eval.Request) ([][]byte, error) { return make([][]byte, 39), nil },
	} {
		if _, err := eval.Suite(t.Context(), decode, 1); err == nil {
			t.Error("a suite without answers")
		}
	}
	if n := len(eval.Prompts); n != 20 {
		t.Errorf("%d prompts, want 20", n)
	}
}

func TestProbeAnswers(t *testing.T) {
	loop := []byte("and so on and so on and so on and so on and so on and so on ")
	fresh := []byte("Every sentence says a new thing; none of its words come twice, or hardly.")
	p := eval.ProbeAnswers([][]byte{loop, fresh}, slices.Concat([]byte("before "), fresh, []byte(" after")))
	if p.Answers != 2 || p.Bytes != len(loop)+len(fresh) || p.Looping != 1 {
		t.Errorf("%+v: want 2 answers, one of them looping", p)
	}
	windows := func(n int) float64 { return float64(n - 32 + 1) }
	if want := windows(len(fresh)) / (windows(len(fresh)) + windows(len(loop))); p.Copied != want {
		t.Errorf("copied %v, want %v", p.Copied, want)
	}
	ones := eval.ProbeAnswers([][]byte{bytes.Repeat([]byte("a"), 100)}, nil)
	if ones.Distinct != [4]float64{1.0 / 100, 1.0 / 99, 1.0 / 98, 1.0 / 97} || ones.Repetition != 1-1.0/93 || ones.Copied != -1 || ones.Looping != 1 {
		t.Errorf("one letter: %+v", ones)
	}
	for _, few := range [][][]byte{nil, {nil}, {[]byte("a")}, {[]byte("ab"), nil}} {
		p := eval.ProbeAnswers(few, nil)
		if p.Looping != 0 || p.Repetition != 0 || p.Distinct[3] != 1 {
			t.Errorf("%q: %+v", few, p)
		}
	}
}
