package quantize

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// layerWork is a layer on its way.
type layerWork struct {
	index    int
	source   tcn.LayerF32
	small    tcn.SmallLayer
	soul     tcn.SoulLayerF32 // the source's; empty without one
	finished *finishedLayer   // nil: to be made

	in, out *matrixWork
	repair  tcn.SoulLayerF32 // of repair rank; empty without
}

// matrixWork is a matrix on its way.
type matrixWork struct {
	rotated      rounding.Matrix
	signs        []byte
	nearestCodes *rounding.Codes // rounded to nearest
	nearest      *quant.Q2
	chosen       *quant.Q2
	report       MatrixReport
}

// rotate readies a matrix [rows, cols].
func (j *job) rotate(layer, matrix int, name string, w []float32, rows, cols int) (*matrixWork, error) {
	m := &matrixWork{
		signs:   quant.Signs(j.Seed, layer, matrix, cols),
		rotated: rounding.Matrix{Rows: rows, Cols: cols, Values: make([]float32, rows*cols)},
		report:  MatrixReport{Layer: layer, Matrix: name, Rows: rows, Cols: cols},
	}
	j.Compute.Pool.Run(rows, func(r int) {
		rounding.Rotate(j.Compute.Kernels, m.rotated.Values[r*cols:(r+1)*cols], w[r*cols:(r+1)*cols], m.signs)
	})
	var err error
	m.nearestCodes, m.nearest, err = j.round(m, m.rotated, nil)
	return m, err
}

// round chooses codes for the target: to nearest without a Hessian.
func (j *job) round(m *matrixWork, target rounding.Matrix, h *rounding.Hessian) (*rounding.Codes, *quant.Q2, error) {
	var codes *rounding.Codes
	var err error
	if h == nil {
		codes, err = rounding.Nearest(j.ctx, compute(j.Compute), target, nil)
	} else {
		each := costRounding(1, target.Cols)
		codes, err = rounding.Compensated(j.ctx, compute(j.Compute), target, h, j.Sweeps, func(rows int) { j.meter.add(int64(rows) * each) })
	}
	if err != nil {
		return nil, nil, err
	}
	packed, err := quant.MakeQ2(codes.Rows, codes.Cols, m.signs)
	if err != nil {
		return nil, nil, err
	}
	for r := range codes.Rows {
		if err := packed.SetRow(r, codes.Row(r), codes.Scale[r]); err != nil {
			return nil, nil, err
		}
	}
	return codes, packed, nil
}

// quantizeLayer makes both matrices of a layer, or takes them as they were
// finished.
func (j *job) quantizeLayer(w *layerWork) (err error) {
	c := j.config
	if w.in, err = j.rotate(w.index, quant.MatrixIn, "w_in", w.source.In, 2*c.DFF, c.DModel); err != nil {
		return fmt.Errorf("w_in: %w", err)
	}
	if w.out, err = j.rotate(w.index, quant.MatrixOut, "w_out", w.source.Out, c.DModel, c.DFF); err != nil {
		return fmt.Errorf("w_out: %w", err)
	}
	if f := w.finished; f != nil {
		w.in.chosen, w.out.chosen, w.repair = f.weights.In, f.weights.Out, f.repair
		w.in.report, w.out.report = f.in, f.out
		j.meter.add(j.costs.made)
		return nil
	}
	narrow, reach, was := narrowed(c, w)
	if w.repair.InA, w.repair.InB, err = j.choose(w.in, narrow, reach, was, reach.layer.In.(*recorder), was.layer.In.(*original)); err != nil {
		return fmt.Errorf("w_in: %w", err)
	}
	if was, err = j.float(w); err != nil {
		return err
	}
	if reach, err = j.chosen(w); err != nil {
		return err
	}
	at := &recorder{rows: c.DModel, cols: c.DFF}
	wanted := &original{Matrix: &recorder{rows: c.DModel, cols: c.DFF}, signs: w.out.signs}
	reach.layer.Out, was.layer.Out = at, wanted
	if w.repair.OutA, w.repair.OutB, err = j.choose(w.out, c, reach, was, at, wanted); err != nil {
		return fmt.Errorf("w_out: %w", err)
	}
	return nil
}

// float is w in the float32 model.
func (j *job) float(w *layerWork) (passage, error) {
	c, p := j.config, passageOf(w)
	p.soul, p.rank = w.soul, j.source.rank
	var err error
	if p.layer.In, err = tcn.NewMatrixF32(2*c.DFF, c.DModel, w.source.In); err != nil {
		return p, err
	}
	p.layer.Out, err = tcn.NewMatrixF32(c.DModel, c.DFF, w.source.Out)
	return p, err
}

// narrowed is a layer, and the same in the float32 model, that are only good for
// recording what W_in meets, which no d_ff has a part in: with one of 1 the rest
// costs nothing.
func narrowed(c tcn.Config, w *layerWork) (_ tcn.Config, reach, was passage) {
	c.DFF = 1
	reach = passageOf(w)           // without the Soul: what it adds comes after these rows
	if c.Cell == tcn.CellRelease { // and so does the conv
		reach.layer.Conv = make([]float32, c.KernelSize)
	}
	none := func(rows, cols int) *recorder { return &recorder{rows: rows, cols: cols} }
	was = reach
	reach.layer.In, reach.layer.Out = none(2, c.DModel), none(c.DModel, 1)
	was.layer.In, was.layer.Out = &original{Matrix: none(2, c.DModel), signs: w.in.signs}, none(c.DModel, 1)
	return c, reach, was
}

// choose gathers the rows that a matrix meets, at the recorder of a layer of
// config c, beside those that it would meet in the float32 model, and chooses its
// codes; and with a repair rank what makes up for the largest errors.
func (j *job) choose(m *matrixWork, c tcn.Config, reach, was passage, at *recorder, wanted *original) (a, b []float32, err error) {
	at.wanted = wanted
	h, err := j.gather(m, c, at, &lane{course: j.original, passage: was, config: c}, &lane{course: j.calibration, passage: reach, config: c})
	if err != nil {
		return nil, nil, err
	}
	if a, b, err = j.chooseUnder(m, h); err != nil {
		return nil, nil, err
	}
	m.report.Damping = h.Damping
	return a, b, nil
}

// gather is the Hessian of the rows that a matrix meets, at a recorder in one of
// the lanes.
func (j *job) gather(m *matrixWork, c tcn.Config, at *recorder, lanes ...*lane) (*rounding.Hessian, error) {
	at.rounded.signs, at.moments = m.signs, rounding.NewMoments(m.rotated.Cols)
	per := 2*costWalk(c) + costMoments(m.rotated.Cols)
	if err := walk(j.ctx, j.Compute, func(rows int) { j.meter.add(int64(rows) * per) }, lanes...); err != nil {
		return nil, err
	}
	return rounding.NewHessian(j.ctx, compute(j.Compute), at.moments, j.Damping)
}

func (j *job) chooseUnder(m *matrixWork, h *rounding.Hessian) (a, b []float32, err error) {
	ctx, c := j.ctx, compute(j.Compute)
	codes := m.nearestCodes
	m.chosen = m.nearest
	errs, err := rounding.Measure(ctx, c, m.rotated, h, codes)
	if err != nil {
		return nil, nil, err
	}
	was, target := errs[0], m.rotated
	if j.Method == LDLQ {
		if target, err = h.Follow(ctx, c, m.rotated); err != nil {
			return nil, nil, err
		}
		if codes, m.chosen, err = j.round(m, target, h); err != nil {
			return nil, nil, err
		}
	}
	if errs, err = rounding.Measure(ctx, c, target, h, codes); err != nil {
		return nil, nil, err
	}
	m.report.set(was, errs[0], codes)
	if j.RepairRank == 0 {
		return nil, nil, nil
	}
	a, b, left, err := rounding.LowRank(ctx, c, target, codes, h, j.RepairRank)
	if err != nil {
		return nil, nil, err
	}
	m.report.RepairedError = new(left / max(errs[0].OutputOf, minimal))
	cols := m.rotated.Cols
	for r := range j.RepairRank { // a Soul reads the row before it is rotated
		row := a[r*cols : (r+1)*cols]
		rounding.Unrotate(c.Kernels, row, row, m.signs)
	}
	return a, b, nil
}

// passageOf is w without its matrices.
func passageOf(w *layerWork) passage {
	return passage{index: w.index, layer: tcn.Layer{Conv: w.source.Conv}, small: w.small}
}

// chosen is w as it will be; matrices that are not there yet are nil.
func (j *job) chosen(w *layerWork) (p passage, err error) {
	p = passageOf(w)
	p.layer.In = tcn.NewMatrixQ2(w.in.chosen)
	if w.out.chosen != nil {
		p.layer.Out = tcn.NewMatrixQ2(w.out.chosen)
	}
	p.soul, p.rank = j.joined(w.soul, w.repair), j.rank()
	if j.soulQ8() {
		p.rows8, err = j.eighths(p.soul)
	}
	return p, err
}

// others are the layers that the outcome is compared with beside the float32
// ones: int8 rows, rounded to nearest.
func (j *job) others(w *layerWork) ([]passage, error) {
	c, p := j.config, passageOf(w)
	p.soul, p.rank = w.soul, j.source.rank
	rounded, nearest := p, p
	in, err := tcn.NewMatrixF32(2*c.DFF, c.DModel, w.in.rotated.Values)
	if err != nil {
		return nil, err
	}
	out, err := tcn.NewMatrixF32(c.DModel, c.DFF, w.out.rotated.Values)
	if err != nil {
		return nil, err
	}
	rounded.layer.In = &int8Matrix{Matrix: in, rounded: roundedRows{signs: w.in.signs}}
	rounded.layer.Out = &int8Matrix{Matrix: out, rounded: roundedRows{signs: w.out.signs}}
	nearest.layer.In, nearest.layer.Out = tcn.NewMatrixQ2(w.in.nearest), tcn.NewMatrixQ2(w.out.nearest)
	return []passage{rounded, nearest}, nil
}
