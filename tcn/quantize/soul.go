package quantize

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// rank is the rank of the outcome's Soul; 0: none.
func (j *job) rank() int { return j.source.rank + j.RepairRank }

// joined is the source's Soul and the repair as one of their ranks together.
func (j *job) joined(soul, repair tcn.SoulLayerF32) tcn.SoulLayerF32 {
	if j.RepairRank == 0 {
		return soul
	}
	c := j.config
	a := func(first, second []float32) []float32 { return append(append([]float32(nil), first...), second...) }
	b := func(first, second []float32, rows int) []float32 {
		if len(second) == 0 { // not chosen yet
			second = make([]float32, rows*j.RepairRank)
		}
		var both []float32
		for r := range rows {
			both = append(both, first[r*j.source.rank:(r+1)*j.source.rank]...)
			both = append(both, second[r*j.RepairRank:(r+1)*j.RepairRank]...)
		}
		return both
	}
	outA := repair.OutA
	if len(outA) == 0 {
		outA = make([]float32, j.RepairRank*c.DFF)
	}
	return tcn.SoulLayerF32{
		InA: a(soul.InA, repair.InA), InB: b(soul.InB, repair.InB, 2*c.DFF),
		OutA: a(soul.OutA, outA), OutB: b(soul.OutB, repair.OutB, c.DModel),
	}
}

// soulQ8 reports whether the outcome has a Soul of 8-bit rows.
func (j *job) soulQ8() bool { return j.SoulWeights == modelfile.SoulQ8 && j.rank() > 0 }

// soulWeights is the form of the outcome's Soul; "" without one.
func (j *job) soulWeights() modelfile.SoulForm {
	switch {
	case j.rank() == 0:
		return ""
	case j.soulQ8():
		return modelfile.SoulQ8
	}
	return modelfile.SoulF32
}

// eighths is a Soul of the outcome's rank in 8-bit rows.
func (j *job) eighths(soul tcn.SoulLayerF32) (*tcn.SoulLayerQ8, error) {
	c, rank, made := j.config, j.rank(), &tcn.SoulLayerQ8{}
	for _, part := range []struct {
		name       string
		to         **quant.Q8
		rows, cols int
		w          []float32
	}{
		{"lora_in.A", &made.InA, rank, c.DModel, soul.InA},
		{"lora_in.B", &made.InB, 2 * c.DFF, rank, soul.InB},
		{"lora_out.A", &made.OutA, rank, c.DFF, soul.OutA},
		{"lora_out.B", &made.OutB, c.DModel, rank, soul.OutB},
	} {
		m, err := rowsQ8(part.rows, part.cols, part.w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.to = m
	}
	return made, nil
}

// rowsQ8 rounds a matrix to 8-bit rows.
//
//	w [rows, cols]
func rowsQ8(rows, cols int, w []float32) (*quant.Q8, error) {
	m, err := quant.MakeQ8(rows, cols)
	if err != nil {
		return nil, err
	}
	weights := make([]int8, cols)
	for r := range rows {
		scale := rounding.NearestInt8(weights, w[r*cols:(r+1)*cols])
		if err := m.SetRow(r, weights, scale); err != nil {
			return nil, err
		}
	}
	return m, nil
}
