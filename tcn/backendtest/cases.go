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
	Routing []float32 // of the blocks, in turn
}

// Model makes the case's model.
func (c Case) Model() *Model {
	m := RandomModel(c.Config, c.Seed)
	m.Route(c.Routing...)
	return m
}

// Cases is the suite: both cells, f32 and bf16, with and without Souls, blocks
// that are whole, half and skipped. Each model has 6 blocks, the last of them
// shorter, and widths that are no multiple of the 32 lanes.
func Cases() []Case {
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
