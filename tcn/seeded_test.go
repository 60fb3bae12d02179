package tcn

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
)

// TestSeededIsPinned: a seeded model is content, so its bytes may not drift.
func TestSeededIsPinned(t *testing.T) {
	c := smallConfig(CellPaper)
	c.MaxPositions = 3
	hash := sha256.New()
	put := func(parts ...[]float32) {
		for _, part := range parts {
			if err := binary.Write(hash, binary.LittleEndian, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	for b := range c.Blocks() {
		for _, l := range SeededLayers(c, 9, b) {
			put(l.In, l.Conv, l.Out)
		}
		for _, l := range SeededSmall(c, 9, b).Layers {
			put(l.NormGain)
		}
		for _, l := range SeededSoulLayers(c, 9, b, 2) {
			put(l.InA, l.InB, l.OutA, l.OutB)
		}
	}
	emb, pos, normF := SeededEnds(c, 9)
	put(emb, pos, normF)
	const want = "40852478fabb3b10bf0657d6da6422a3bfa85d29cf6d30879e0608bc7921ce02"
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestSeededQ2IsPinned: nor may a seeded 2-bit model.
func TestSeededQ2IsPinned(t *testing.T) {
	c := smallConfig(CellRelease)
	c.DModel, c.DFF, c.Weights = 52, 70, WeightsQ2
	hash := sha256.New()
	for b := range c.Blocks() {
		layers, err := SeededLayersQ2(c, 9, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			for _, part := range []any{
				l.In.Codes(), l.In.Scale(), l.In.Signs(), l.Conv, l.Out.Codes(), l.Out.Scale(), l.Out.Signs(),
			} {
				if err := binary.Write(hash, binary.LittleEndian, part); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const want = "3572b1b38ca08fcad239fa007728f44d868c0d05172fac975b85718563b28d46"
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestSeededQ2IsLively: rows of a 2-bit model keep the size of a float32 one's,
// within a factor, and it writes text like one.
func TestSeededQ2IsLively(t *testing.T) {
	for _, cell := range []Cell{CellRelease, CellPaper} {
		c := smallConfig(cell)
		c.DModel, c.DFF, c.Weights = 48, 96, WeightsQ2
		g := newGenerator(t, NewCPU(nil), c, 5)
		text := g.write(t, []byte("a"), 200, Sampling{Temperature: 1, Seed: 1})
		printable, seen := 0, map[byte]bool{}
		for _, b := range text {
			seen[b] = true
			if b == '\n' || b >= ' ' && b <= '~' {
				printable++
			}
		}
		if printable < 150 || len(seen) < 20 {
			t.Errorf("%s: %d of 200 bytes printable, %d different: %q", cell, printable, len(seen), text)
		}
	}
}

func TestSeededRefuses(t *testing.T) {
	c := smallConfig(CellRelease)
	for _, r := range []struct {
		name   string
		config Config
		b      int
		want   error
	}{
		{"zero config", Config{}, 0, ErrConfig},
		{"block below 0", c, -1, ErrRange},
		{"block past the end", c, c.Blocks(), ErrRange},
	} {
		if _, err := SeededBlock(r.config, 1, r.b); !errors.Is(err, r.want) {
			t.Errorf("SeededBlock, %s: error %v", r.name, err)
		}
		if _, err := SeededSoulSlice(r.config, 1, r.b, 2); !errors.Is(err, r.want) {
			t.Errorf("SeededSoulSlice, %s: error %v", r.name, err)
		}
	}
}

// TestSeededTextIsLively: a seeded model of each cell writes printable text that
// does not settle on one byte.
func TestSeededTextIsLively(t *testing.T) {
	for _, cell := range []Cell{CellRelease, CellPaper} {
		c := smallConfig(cell)
		c.DModel, c.DFF, c.Layers, c.Dilations = 32, 96, 10, []int{1, 2, 4, 8}
		g := newGenerator(t, NewCPU(nil), c, 7)
		text := g.write(t, []byte("The answer is "), 400, Sampling{})
		seen, printable := map[byte]bool{}, 0
		for _, b := range text[200:] {
			seen[b] = true
			if b == '\n' || b >= ' ' && b <= '~' {
				printable++
			}
		}
		if len(seen) < 10 || printable < 195 {
			t.Errorf("%s: %d kinds of bytes, %d of 200 printable: %q", cell, len(seen), printable, text[200:])
		}
	}
}
