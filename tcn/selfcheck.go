package tcn

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
)

// ErrDigest: a backend does not compute this arithmetic to the bit. It must not
// serve.
var ErrDigest = errors.New("tcn: backend does not compute the golden digest")

// Arithmetic is the version of the rules every number here follows.
const Arithmetic = 1

// GoldenDigest and GoldenDigestQ2 are what [Digest] and [DigestQ2] must return on
// every backend, in this version of the arithmetic.
const (
	GoldenDigest   = "d71a37645b7a97ecaf6c068a661bbb0d81f95124619651384260f1a1ab541ff6"
	GoldenDigestQ2 = "b33a499533a4e8861e894719d7abdae837fc11011302803311d5137204f721db"
)

// Composite is a Backend made of others.
type Composite interface {
	// Backends are the others. A small model may leave some of them nothing to do.
	Backends() []Backend
}

// SelfCheck reports an [ErrDigest] unless b, and each Backend it is made of if it is
// a [Composite], computes the golden digests. Every backend runs it when it starts or
// returns after a failure: some milliseconds.
func SelfCheck(b Backend) error {
	if c, ok := b.(Composite); ok {
		for _, one := range c.Backends() {
			if err := SelfCheck(one); err != nil {
				return err
			}
		}
	}
	return selfCheck(b, nil)
}

// SelfCheckCompute is [SelfCheck] of the CPU's backend with c, whose logits are
// computed with c too: what a machine needs that embeds bytes and computes logits,
// also when another device computes its blocks.
func SelfCheckCompute(c *Compute) error { return selfCheck(NewCPU(c), c) }

// selfCheck checks a backend, and the ends with head; nil is the portable kernels.
func selfCheck(b Backend, head *Compute) error {
	for _, suite := range []struct {
		name    string
		configs []Config
		want    string
	}{
		{"float32", checkConfigs(), GoldenDigest},
		{"2-bit", checkConfigsQ2(), GoldenDigestQ2},
	} {
		got, err := digest(b, head, suite.configs)
		if err != nil {
			return fmt.Errorf("self-check of %s, %s weights: %w", b.Name(), suite.name, err)
		}
		if got != suite.want {
			return fmt.Errorf("%w: %s computes %s for %s weights, want %s", ErrDigest, b.Name(), got, suite.name, suite.want)
		}
	}
	return nil
}

// Digest is the SHA-256, in hexadecimal, of the logits b computes over a fixed
// suite of seeded models and rows, as little-endian float32.
func Digest(b Backend) (string, error) { return digest(b, nil, checkConfigs()) }

// DigestQ2 is [Digest] of a suite of models with 2-bit matrices.
func DigestQ2(b Backend) (string, error) { return digest(b, nil, checkConfigsQ2()) }

func digest(b Backend, head *Compute, suite []Config) (string, error) {
	hash := sha256.New()
	for _, c := range suite {
		logits, err := checkLogits(b, head, c)
		if err != nil {
			return "", fmt.Errorf("%s cell, %s: %w", c.Cell, c.State, err)
		}
		var number [4]byte
		for _, l := range logits {
			binary.LittleEndian.PutUint32(number[:], math.Float32bits(l))
			hash.Write(number[:]) // never fails, by the contract of hash.Hash
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// checkConfigs is the suite: both cells and both number types, more channels
// than one segment, widths that are no multiple of the lanes, a last block that
// is shorter.
func checkConfigs() []Config {
	release := Config{
		Cell: CellRelease, VocabSize: VocabSize, DModel: 44, DFF: 1060, Layers: 5, LayersPerBlock: 3,
		KernelSize: 3, Dilations: []int{1, 2, 4}, MaxPositions: checkRows, RMSEps: 1e-6, State: F32, Boundary: F32,
	}
	paper := release
	paper.Cell, paper.DModel, paper.DFF, paper.MaxPositions = CellPaper, 1060, 44, 0
	configs := []Config{release, paper}
	for _, c := range configs[:2] {
		c.State, c.Boundary = BF16, BF16
		configs = append(configs, c)
	}
	return configs
}

// checkConfigsQ2 is the same with 2-bit matrices, and widths whose rotations have
// blocks of 1, 4, 64, 512 and 1,024 numbers.
func checkConfigsQ2() []Config {
	configs := checkConfigs()
	widths := [][2]int{{33, 1088}, {1536, 36}, {64, 1060}, {2048, 33}}
	for i := range configs {
		c := &configs[i]
		c.Weights, c.DModel, c.DFF, c.Layers, c.LayersPerBlock = WeightsQ2, widths[i][0], widths[i][1], 3, 2
	}
	return configs
}

// The text of the suite: checkPrompt rows at once, then one at a time.
const (
	checkSeed   = 1
	checkRows   = 40
	checkPrompt = 33
)

// checkLogits is the logits after every row of the suite's text.
func checkLogits(b Backend, head *Compute, c Config) ([]float32, error) {
	all := c.All()
	blocks := make([]*Block, 0, all.Len())
	variant := &Variant{Range: all, Souls: []SoulTerm{{Weight: 0.75}}}
	for n := range all.Hi {
		block, err := SeededBlock(c, checkSeed, n)
		if err != nil {
			return nil, err
		}
		slice, err := SeededSoulSlice(c, checkSeed, n, 3)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
		variant.Small = append(variant.Small, SeededSmall(c, checkSeed, n))
		variant.Souls[0].Slices = append(variant.Souls[0].Slices, slice)
	}
	variant.Small[1].Routing = 0.5
	emb, pos, normF := SeededEnds(c, checkSeed)
	ends, err := NewEnds(c, emb, pos, normF)
	if err != nil {
		return nil, err
	}
	if head != nil {
		ends = ends.WithCompute(head)
	}
	stage, err := b.Load(c, all, blocks)
	if err != nil {
		return nil, err
	}
	logits, err := checkRun(stage, ends, variant)
	return logits, errors.Join(err, stage.Close())
}

func checkRun(stage Stage, ends *Ends, variant *Variant) ([]float32, error) {
	d := ends.Config().DModel
	rows := make([]float32, checkRows*d)
	for p := range checkRows {
		if err := ends.Embed(p, byte(Hash64(checkSeed, uint64(p))), rows[p*d:(p+1)*d]); err != nil {
			return nil, err
		}
	}
	state, err := stage.NewState(variant.Range, 0)
	if err != nil {
		return nil, err
	}
	var logits []float32
	for p, n := 0, checkPrompt; p < checkRows; p, n = p+n, 1 {
		work := &Work{State: state, Variant: variant, Rows: Rows{Position: p, Count: n, Data: rows[p*d : (p+n)*d]}}
		if err := stage.Step([]*Work{work}); err != nil {
			return nil, err
		}
		if work.Err != nil {
			return nil, work.Err
		}
	}
	for p := range checkRows {
		var out [VocabSize]float32
		if err := ends.Logits(rows[p*d:(p+1)*d], &out); err != nil {
			return nil, err
		}
		logits = append(logits, out[:]...)
	}
	return logits, state.Close()
}
