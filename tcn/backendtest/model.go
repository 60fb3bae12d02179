package backendtest

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Rank is the rank of a Model's Souls.
const Rank = 3

// Model is a whole seeded model, with its weights also in the form of [Model.Naive].
type Model struct {
	Config tcn.Config
	Blocks []*tcn.Block
	Small  []*tcn.Small
	Souls  []tcn.SoulTerm // two, of weights 0.75 and -0.5, over all blocks
	Ends   *tcn.Ends
	NormF  []float32 // [d_model]
	Emb    []float32 // [256, d_model]

	layers [][]naiveLayer  // per block
	souls  [][][]naiveSoul // per Soul, per block
}

// RandomModel makes the model that a config and a seed determine, with Souls of
// float32 numbers. It panics on a config that is not valid: configs of tests are
// constants.
func RandomModel(c tcn.Config, seed uint64) *Model { return randomModel(c, seed, false) }

// randomModel is RandomModel, with Souls of 8-bit matrices if souls8 says so.
func randomModel(c tcn.Config, seed uint64, souls8 bool) *Model {
	m := &Model{
		Config: c,
		Souls:  []tcn.SoulTerm{{Weight: 0.75}, {Weight: -0.5}},
		souls:  make([][][]naiveSoul, 2),
	}
	emb, pos, normF := tcn.SeededEnds(c, seed)
	m.Emb, m.NormF, m.Ends = emb, normF, must(tcn.NewEnds(c, emb, pos, normF))
	for b := range c.Blocks() {
		m.addBlock(seed, b)
		m.Small = append(m.Small, tcn.SeededSmall(c, seed, b))
		for n := range m.Souls {
			m.addSoul(n, tcn.SeededSoulLayers(c, seed+1+uint64(n), b, Rank), b, souls8)
		}
	}
	return m
}

// addBlock makes block number b.
func (m *Model) addBlock(seed uint64, b int) {
	var naive []naiveLayer
	if m.Config.Weights == tcn.WeightsQ2 {
		layers := must(tcn.SeededLayersQ2(m.Config, seed, b))
		for _, l := range layers {
			naive = append(naive, naiveLayer{in: integersOfQ2(l.In), conv: l.Conv, out: integersOfQ2(l.Out)})
		}
		m.Blocks = append(m.Blocks, must(tcn.NewBlockQ2(m.Config, b, layers)))
	} else {
		layers := tcn.SeededLayers(m.Config, seed, b)
		for _, l := range layers {
			naive = append(naive, naiveLayer{in: floats(l.In), conv: l.Conv, out: floats(l.Out)})
		}
		m.Blocks = append(m.Blocks, must(tcn.NewBlockF32(m.Config, b, layers)))
	}
	m.layers = append(m.layers, naive)
}

// addSoul makes Soul n's slice for block number b, as it is or with its numbers
// rounded to 8 bits.
func (m *Model) addSoul(n int, layers []tcn.SoulLayerF32, b int, eight bool) {
	var naive []naiveSoul
	slice := &tcn.SoulSlice{}
	for _, l := range layers {
		if !eight {
			naive = append(naive, naiveSoul{floats(l.InA), floats(l.InB), floats(l.OutA), floats(l.OutB)})
			continue
		}
		inA, inB := roundedQ8(l.InA, m.Config.DModel), roundedQ8(l.InB, Rank)
		outA, outB := roundedQ8(l.OutA, m.Config.DFF), roundedQ8(l.OutB, Rank)
		naive = append(naive, naiveSoul{integersOfQ8(inA), integersOfQ8(inB), integersOfQ8(outA), integersOfQ8(outB)})
		slice.Layers = append(slice.Layers, tcn.SoulLayer{
			InA: tcn.NewMatrixQ8(inA), InB: tcn.NewMatrixQ8(inB), OutA: tcn.NewMatrixQ8(outA), OutB: tcn.NewMatrixQ8(outB),
		})
	}
	if !eight {
		slice = must(tcn.NewSoulSliceF32(m.Config, b, Rank, layers))
	}
	m.souls[n] = append(m.souls[n], naive)
	m.Souls[n].Slices = append(m.Souls[n].Slices, slice)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("backendtest: %v", err))
	}
	return value
}

// Route sets the routing scalars of the blocks in turn.
func (m *Model) Route(r ...float32) {
	for b := range m.Small {
		m.Small[b].Routing = r[b%len(r)]
	}
}

// Variant is the model's small parameters and the first souls of its Souls over
// the blocks of r.
func (m *Model) Variant(r tcn.Range, souls int) *tcn.Variant {
	v := &tcn.Variant{Range: r, Small: m.Small[r.Lo:r.Hi]}
	for _, soul := range m.Souls[:souls] {
		v.Souls = append(v.Souls, tcn.SoulTerm{Weight: soul.Weight, Slices: soul.Slices[r.Lo:r.Hi]})
	}
	return v
}

// Text is n bytes that a seed determines.
func Text(seed uint64, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(tcn.Hash64(seed, uint64(i)))
	}
	return text
}

// Embed is the input rows of block 0 for a text that begins at position 0.
//
//	[len(text), d_model]
func (m *Model) Embed(text []byte) []float32 {
	d := m.Config.DModel
	rows := make([]float32, len(text)*d)
	for p, b := range text {
		if err := m.Ends.Embed(p, b, rows[p*d:(p+1)*d]); err != nil {
			panic(fmt.Sprintf("backendtest: %v", err))
		}
	}
	return rows
}
