package backendtest

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// Case is one model of the suite and how its sequences wear it.
type Case struct {
	Name    string
	Config  tcn.Config
	Seed    uint64
	Souls   int       // Souls worn
	Souls8  bool      // Souls are 8-bit matrices
	Routing []float32 // of the blocks, in turn
}

// Model makes the case's model.
func (c Case) Model() *Model {
	m := randomModel(c.Config, c.Seed, c.Souls8)
	m.Route(c.Routing...)
	return m
}

// Cases is the suite: both cells, f32 and bf16, with and without Souls, blocks
// that are whole, half and skipped. Each model has 6 blocks, the last of them
// shorter, and widths that are no multiple of the 32 lanes. Models with 2-bit
// matrices follow, [quantCases].
func Cases() []Case { return append(floatCases(), quantCases()...) }

// quantCases are models with 2-bit matrices, and with Souls of float32 and of
// 8-bit numbers. Rotations have blocks of 1 to 64 numbers.
func quantCases() []Case {
	var cases []Case
	for _, q := range []struct {
		cell    tcn.Cell
		number  tcn.Number
		d, f    int
		souls   int
		souls8  bool
		routing []float32
	}{
		{tcn.CellRelease, tcn.F32, 20, 192, 0, false, []float32{1}},
		{tcn.CellRelease, tcn.BF16, 24, 36, 2, true, []float32{0.5, 1, 1, 0}},
		{tcn.CellPaper, tcn.F32, 64, 33, 2, false, []float32{1, 0.5, 0}},
		{tcn.CellPaper, tcn.BF16, 15, 48, 1, true, []float32{1}},
	} {
		name := fmt.Sprintf("%s-q2-%s-%dsouls-r%v", q.cell, q.number, q.souls, q.routing)
		if q.souls8 {
			name += "-q8"
		}
		cases = append(cases, Case{
			Name: name, Seed: uint64(101 + len(cases)), Souls: q.souls, Souls8: q.souls8, Routing: q.routing,
			Config: tcn.Config{
				Cell: q.cell, VocabSize: 256, DModel: q.d, DFF: q.f, Layers: 17, LayersPerBlock: 3, KernelSize: 3,
				Dilations: []int{1, 2, 4}, RMSEps: 1e-6, State: q.number, Boundary: q.number, Weights: tcn.WeightsQ2,
			},
		})
	}
	return cases
}

// floatCases are models of float32 numbers.
func floatCases() []Case {
	var cases []Case
	for _, cell := range []tcn.Cell{tcn.CellRelease, tcn.CellPaper} {
		for _, number := range []tcn.Number{tcn.F32, tcn.BF16} {
			config := tcn.Config{
				Cell: cell, VocabSize: 256, DModel: 12, DFF: 36, Layers: 17, LayersPerBlock: 3, KernelSize: 3,
				Dilations: []int{1, 2, 4}, RMSEps: 1e-6, State: number, Boundary: number,
			}
			if number == tcn.BF16 {
				config.KernelSize, config.Dilations = 2, []int{1, 3, 5, 2} // a cycle out of step with the blocks
			}
			for _, worn := range []struct {
				souls   int
				routing []float32
			}{
				{0, []float32{1}},
				{0, []float32{1, 0.5, 0}},
				{2, []float32{0.5, 1, 1, 0}},
			} {
				cases = append(cases, Case{
					Name:    fmt.Sprintf("%s-%s-%dsouls-r%v", cell, number, worn.souls, worn.routing),
					Config:  config,
					Seed:    uint64(1 + len(cases)),
					Souls:   worn.souls,
					Routing: worn.routing,
				})
			}
		}
	}
	return cases
}
