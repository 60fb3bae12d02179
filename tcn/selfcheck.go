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

// GoldenDigest is what [Digest] must return on every backend, in this version
// of the arithmetic.
const GoldenDigest = "d71a37645b7a97ecaf6c068a661bbb0d81f95124619651384260f1a1ab541ff6"

// SelfCheck reports an [ErrDigest] unless b computes the [GoldenDigest]. Every
// backend runs it when it starts or returns after a failure: some milliseconds.
func SelfCheck(b Backend) error {
	got, err := Digest(b)
	if err != nil {
		return fmt.Errorf("self-check of %s: %w", b.Name(), err)
	}
	if got != GoldenDigest {
		return fmt.Errorf("%w: %s computes %s, want %s", ErrDigest, b.Name(), got, GoldenDigest)
	}
	return nil
}

// Digest is the SHA-256, in hexadecimal, of the logits b computes over a fixed
// suite of seeded models and rows, as little-endian float32.
func Digest(b Backend) (string, error) {
	hash := sha256.New()
	for _, c := range checkConfigs() {
		logits, err := checkLogits(b, c)
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

// The text of the suite: checkPrompt rows at once, then one at a time.
const (
	checkSeed   = 1
	checkRows   = 40
	checkPrompt = 33
)

// checkLogits is the logits after every row of the suite's text.
func checkLogits(b Backend, c Config) ([]float32, error) {
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
