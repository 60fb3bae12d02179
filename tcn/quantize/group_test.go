package quantize

import (
	"math"
	"os"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
	"github.com/zetagrid/zetagrid/tcn/quantize/rounding"
)

// An experiment, not a part of the product: what a scale for every group of 128
// columns would gain over a scale a row. Rounding is written out once more here,
// plainly and in float64, for groups of any width; a row is one group.

// The environment variables that name what the experiment runs on.
const (
	modelVariable       = "ZETAGRID_TRAINED_MODEL" // a folder of float32 weights
	calibrationVariable = "ZETAGRID_CALIBRATION_TEXT"
	heldOutVariable     = "ZETAGRID_HELD_OUT_TEXT"
)

// BenchmarkGroupScales reports, for row scales and for groups of 128, rounded to
// nearest and under the Hessian: KL to float32 in millibits a byte, bits a byte
// over float32's in percent, and what the scales take in bits a weight if they
// are of 16 bits.
func BenchmarkGroupScales(b *testing.B) {
	model, calibration, heldOut := os.Getenv(modelVariable), os.Getenv(calibrationVariable), os.Getenv(heldOutVariable)
	if model == "" || calibration == "" || heldOut == "" {
		b.Skipf("name a trained model and two texts: %s, %s, %s", modelVariable, calibrationVariable, heldOutVariable)
	}
	for _, c := range []struct {
		name       string
		group      int // 0: a row
		compensate bool
	}{
		{"rtn/row", 0, false}, {"rtn/group128", 128, false}, {"ldlq/row", 0, true}, {"ldlq/group128", 128, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				e := newExperiment(b, model, calibration, heldOut)
				e.group, e.compensate = c.group, c.compensate
				q := e.run(b)
				b.ReportMetric(1000*q.KL, "KL-mbit/byte")
				b.ReportMetric(100*q.OverF32, "%over-f32")
				b.ReportMetric(16*float64(e.scales)/float64(e.weights), "scale-bits/weight")
			}
		})
	}
}

// TestGroupExperiment: with one group a row, the experiment is what the product
// does, up to where descent happens to settle; smaller groups err less.
func TestGroupExperiment(t *testing.T) {
	const rows, cols = 12, 96
	m := rounding.Matrix{Rows: rows, Cols: cols, Values: make([]float32, rows*cols)}
	for i := range m.Values {
		m.Values[i] = tcn.Uniform(1, i) - tcn.Uniform(2, i)
	}
	c := rounding.Compute{Kernels: kernel.Best()}
	moments := rounding.NewMoments(cols)
	var q kernel.Int8Rows
	x := make([]float32, cols)
	q.Reset(400, cols)
	for i := range q.N {
		for k := range x {
			x[k] = tcn.Uniform(3, i*cols+k) - 0.5 + float32(k%5)*(tcn.Uniform(4, i)-0.5)
		}
		c.Kernels.QuantizeRow(&q, i, x)
	}
	moments.Add(c, &q)
	h, err := rounding.NewHessian(t.Context(), c, moments, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	codes, err := rounding.Compensated(t.Context(), c, m, h, rounding.Sweeps, nil)
	if err != nil {
		t.Fatal(err)
	}
	is, err := rounding.Measure(t.Context(), c, m, h, codes)
	if err != nil {
		t.Fatal(err)
	}
	under := newUnder(h)
	last := math.Inf(1)
	for _, group := range []int{cols, 32, 16} {
		sum := 0.0
		for r := range rows {
			u := m.Values[r*cols : (r+1)*cols]
			sum += under.error(u, under.round(u, group, true))
		}
		if group == cols && math.Abs(sum/is[0].Output-1) > 0.1 {
			t.Errorf("error %v, the product's %v", sum, is[0].Output)
		}
		if sum > last {
			t.Errorf("groups of %d: error %v, larger groups %v", group, sum, last)
		}
		last = sum
	}
}

// experiment is a job that ends before anything is written.
type experiment struct {
	*job
	group           int
	compensate      bool
	scales, weights int
}

func newExperiment(b *testing.B, model, calibration, heldOut string) *experiment {
	b.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		return text
	}
	pool := kernel.NewPool(0)
	b.Cleanup(pool.Close)
	j := &job{ctx: b.Context(), place: &place{dir: b.TempDir()}, meter: &meter{}, Options: Options{
		Method: LDLQ, Calibration: read(calibration), HeldOut: read(heldOut), Seed: quant.DefaultSeed,
		Damping: DefaultDamping, RowBytes: DefaultRowBytes, Compute: &tcn.Compute{Kernels: kernel.Best(), Pool: pool},
	}}
	var err error
	if j.source, err = openSource(model, j.Compute); err != nil {
		b.Fatal(err)
	}
	j.config = j.source.config
	if err := j.openCourses(); err != nil {
		b.Fatal(err)
	}
	return &experiment{job: j}
}

// run takes the texts through the model as it would be, and measures.
func (e *experiment) run(b *testing.B) Variant {
	b.Helper()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	nothing := func(int) {}
	for block := range e.config.Blocks() {
		source, err := e.source.open(block)
		check(err)
		lo, _ := e.config.BlockLayers(block)
		for i, layer := range source.layers {
			w := &layerWork{index: lo + i, source: layer, small: e.source.small[block].Layers[i], soul: source.souls[i]}
			w.in, err = e.rotate(w.index, quant.MatrixIn, "w_in", layer.In, 2*e.config.DFF, e.config.DModel)
			check(err)
			w.out, err = e.rotate(w.index, quant.MatrixOut, "w_out", layer.Out, e.config.DModel, e.config.DFF)
			check(err)
			narrow, reach, _ := narrowed(e.config, w)
			made := passageOf(w)
			made.soul, made.rank = w.soul, e.source.rank
			made.layer.In = e.matrix(b, w.in, narrow, reach, reach.layer.In.(*recorder))
			reach = made
			reach.layer.Out = &recorder{rows: e.config.DModel, cols: e.config.DFF}
			made.layer.Out = e.matrix(b, w.out, e.config, reach, reach.layer.Out.(*recorder))
			float, err := e.float(w)
			check(err)
			check(walk(e.ctx, e.Compute, nothing, &lane{course: e.calibration, passage: made, config: e.config, keep: true}))
			check(walk(e.ctx, e.Compute, nothing, &lane{course: e.heldOut[0], passage: float, config: e.config, keep: true}))
			check(walk(e.ctx, e.Compute, nothing, &lane{course: e.heldOut[3], passage: made, config: e.config, keep: true}))
		}
		check(source.Close())
	}
	e.heldOut[1], e.heldOut[2] = e.heldOut[0], e.heldOut[0] // not of interest here
	q, err := e.measureQuality()
	check(err)
	return q.Variants[3]
}

// matrix gathers the rows that a matrix meets and rounds it.
func (e *experiment) matrix(b *testing.B, m *matrixWork, c tcn.Config, reach passage, at *recorder) tcn.Matrix {
	b.Helper()
	h, err := e.gather(m, c, at, &lane{course: e.calibration, passage: reach, config: c})
	if err != nil {
		b.Fatal(err)
	}
	under, rows, cols := newUnder(h), m.rotated.Rows, m.rotated.Cols
	group := e.group
	if group == 0 {
		group = cols
	}
	rounded := make([]float32, rows*cols)
	e.Compute.Pool.Run(rows, func(r int) {
		copy(rounded[r*cols:], under.round(m.rotated.Values[r*cols:(r+1)*cols], group, e.compensate))
	})
	e.weights += rows * cols
	e.scales += rows * ((cols + group - 1) / group)
	made, err := tcn.NewMatrixF32(rows, cols, rounded)
	if err != nil {
		b.Fatal(err)
	}
	return &int8Matrix{Matrix: made, rounded: roundedRows{signs: m.signs}}
}

// under is a Hessian and its factor in float64.
type under struct {
	n    int
	h, m []float64 // [n, n]; row k of m holds M[j, k]
}

func newUnder(h *rounding.Hessian) *under {
	n := h.Cols
	u := &under{n: n, m: make([]float64, n*n)}
	for k := range n {
		for _, v := range h.Row(k) {
			u.h = append(u.h, float64(v))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(mat.NewSymDense(n, u.h)) {
		panic("not positive definite: more damping is needed")
	}
	var l mat.TriDense
	chol.LTo(&l)
	for k := range n {
		for j := k; j < n; j++ {
			u.m[k*n+j] = l.At(j, k) / l.At(k, k)
		}
	}
	return u
}

// error is that of r for a row.
func (h *under) error(row, r []float32) float64 {
	sum := 0.0
	for k := range h.n {
		for j := range h.n {
			sum += float64(row[k]-r[k]) * h.h[k*h.n+j] * float64(row[j]-r[j])
		}
	}
	return sum
}

// round rounds a row with a scale for every group of columns.
func (h *under) round(row []float32, group int, compensate bool) []float32 {
	n := h.n
	u, w, e, s := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, (n+group-1)/group)
	for k, v := range row {
		u[k] = float64(v)
	}
	for g := range s {
		lo, hi := g*group, min((g+1)*group, n)
		s[g] = h.scale(u[lo:hi], lo, compensate)
	}
	for k := n - 1; k >= 0; k-- {
		target := u[k]
		if compensate {
			for j := k + 1; j < n; j++ {
				target += e[j] * h.m[k*n+j]
			}
		}
		w[k] = float64(nearestLevel(target, s[k/group]))
		e[k] = u[k] - s[k/group]*w[k]
	}
	if compensate {
		for range rounding.Sweeps {
			h.refit(u, w, e, s, group)
			h.descend(u, w, e, s, group)
		}
		h.refit(u, w, e, s, group)
	}
	out := make([]float32, n)
	for k := range out {
		out[k] = float32(s[k/group] * w[k])
	}
	return out
}

func nearestLevel(t, s float64) int {
	switch {
	case t > 2*s:
		return 3
	case t >= 0:
		return 1
	case t < -2*s:
		return -3
	}
	return -1
}

// scale is the best of a fine grid for a group that begins at column lo.
func (h *under) scale(u []float64, lo int, weighted bool) float64 {
	largest := 0.0
	for _, v := range u {
		largest = max(largest, math.Abs(v))
	}
	best, least := 0.0, math.Inf(1)
	for i := 1; i <= 200; i++ {
		s := largest * float64(i) / 200
		sum := 0.0
		for k, v := range u {
			d := v - s*float64(nearestLevel(v, s))
			if weighted {
				d *= math.Sqrt(h.h[(lo+k)*h.n+lo+k])
			}
			sum += d * d
		}
		if sum < least {
			best, least = s, sum
		}
	}
	return best
}

// refit gives each group in turn the scale that makes the error least.
func (h *under) refit(u, w, e, s []float64, group int) {
	for g := range s {
		lo, hi := g*group, min((g+1)*group, h.n)
		over, below := 0.0, 0.0
		for k := lo; k < hi; k++ {
			for j := range h.n {
				over += w[k] * h.h[k*h.n+j] * e[j]
				if j >= lo && j < hi {
					below += w[k] * h.h[k*h.n+j] * w[j]
				}
			}
		}
		if below > 0 && s[g]+over/below > 0 {
			s[g] += over / below
		}
		for k := lo; k < hi; k++ {
			e[k] = u[k] - s[g]*w[k]
		}
	}
}

// descend changes codes one by one while that makes the error less.
func (h *under) descend(u, w, e, s []float64, group int) {
	g := make([]float64, h.n)
	for k := range g {
		for j := range e {
			g[k] += h.h[k*h.n+j] * e[j]
		}
	}
	for k := range g {
		scale := s[k/group]
		better := float64(nearestLevel(scale*w[k]+g[k]/h.h[k*h.n+k], scale))
		if better == w[k] {
			continue
		}
		step := scale * (w[k] - better)
		w[k] = better
		e[k] = u[k] - scale*better
		for j := range g {
			g[j] += step * h.h[k*h.n+j]
		}
	}
}
