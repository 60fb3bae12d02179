package backendtest

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Rank is the rank of a Model's Souls.
const Rank = 3

// Model is a whole seeded model, with its weights also as plain numbers.
type Model struct {
	Config     tcn.Config
	Layers     [][]tcn.LayerF32 // per block
	Blocks     []*tcn.Block
	Small      []*tcn.Small
	Souls      []tcn.SoulTerm         // two, of weights 0.75 and -0.5, over all blocks
	SoulLayers [][][]tcn.SoulLayerF32 // per Soul, per block
	Ends       *tcn.Ends
	NormF      []float32 // [d_model]
	Emb        []float32 // [256, d_model]
}

// RandomModel makes the model that a config and a seed determine. It panics on
// a config that is not valid: configs of tests are constants.
func RandomModel(c tcn.Config, seed uint64) *Model {
	m := &Model{
		Config:     c,
		Souls:      []tcn.SoulTerm{{Weight: 0.75}, {Weight: -0.5}},
		SoulLayers: make([][][]tcn.SoulLayerF32, 2),
	}
	emb, pos, normF := tcn.SeededEnds(c, seed)
	m.Emb, m.NormF, m.Ends = emb, normF, must(tcn.NewEnds(c, emb, pos, normF))
	for b := range c.Blocks() {
		layers := tcn.SeededLayers(c, seed, b)
		m.Layers = append(m.Layers, layers)
		m.Blocks = append(m.Blocks, must(tcn.NewBlockF32(c, b, layers)))
		m.Small = append(m.Small, tcn.SeededSmall(c, seed, b))
		for n := range m.Souls {
			soul := tcn.SeededSoulLayers(c, seed+1+uint64(n), b, Rank)
			m.SoulLayers[n] = append(m.SoulLayers[n], soul)
			m.Souls[n].Slices = append(m.Souls[n].Slices, must(tcn.NewSoulSliceF32(c, b, Rank, soul)))
		}
	}
	return m
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
