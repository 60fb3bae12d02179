package quantize

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// job is one quantization.
type job struct {
	Options
	ctx    context.Context
	source *source
	config tcn.Config // of the source; the outcome's differs in its weights
	costs  costs
	meter  *meter

	place       *place
	calibration *course
	original    *course   // the calibration text in the float32 model
	heldOut     []*course // float32, int8 rows, to nearest, and unless that is it the method
	reports     []MatrixReport
	resumed     int
}

// Quantize makes the model folder o.Out and says what that cost. When it fails or
// is stopped, the blocks that were finished stay in a hidden folder beside it,
// and the next call with the same inputs goes on from there. Errors: ErrOptions,
// ErrSource, ErrInUse, rounding.ErrHessian for activations that are not finite,
// those of modelfile, the context's.
func Quantize(ctx context.Context, o Options) (report Report, err error) {
	if err := o.validate(); err != nil {
		return Report{}, err
	}
	if err := modelfile.CheckOutput(o.Out); err != nil {
		return Report{}, err
	}
	source, err := openSource(o.Model, o.Compute)
	if err != nil {
		return Report{}, err
	}
	if source.rank+o.RepairRank > tcn.MaxRank {
		return Report{}, fmt.Errorf("%w: repair rank %d and the Soul's %d are more than %d", ErrOptions, o.RepairRank, source.rank, tcn.MaxRank)
	}
	j := &job{Options: o, ctx: ctx, source: source, config: source.config}
	if j.place, err = openPlace(o.Out, j.inputs()); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, j.place.close(err == nil)) }()
	defer func() { err = errors.Join(err, j.closeCourses()) }()
	if err := j.openCourses(); err != nil {
		return Report{}, err
	}
	j.count()
	for b := range j.config.Blocks() {
		j.meter.doing = fmt.Sprintf("block %d of %d", b+1, j.config.Blocks())
		if err := j.block(b); err != nil {
			return Report{}, fmt.Errorf("block %d: %w", b, err)
		}
	}
	var quality *Quality
	if len(j.heldOut) > 0 {
		if quality, err = j.measureQuality(); err != nil {
			return Report{}, err
		}
	}
	return j.write(quality)
}

// openCourses embeds the texts.
func (j *job) openCourses() (err error) {
	left := budget(j.RowBytes)
	if j.calibration, err = newCourse(j.source, j.Calibration, &left, j.place.dir); err != nil {
		return err
	}
	if j.original, err = newCourse(j.source, j.Calibration, &left, j.place.dir); err != nil {
		return err
	}
	models := 0
	if len(j.HeldOut) > 0 {
		if models = 4; j.Method == RTN && j.RepairRank == 0 {
			models = 3 // the last two would be one
		}
	}
	for range models {
		c, err := newCourse(j.source, j.HeldOut, &left, j.place.dir)
		if err != nil {
			return err
		}
		j.heldOut = append(j.heldOut, c)
	}
	return nil
}

// courses is all courses that there are.
func (j *job) courses() []*course {
	var all []*course
	for _, c := range []*course{j.calibration, j.original} {
		if c != nil {
			all = append(all, c)
		}
	}
	return append(all, j.heldOut...)
}

func (j *job) closeCourses() error {
	var err error
	for _, c := range j.courses() {
		err = errors.Join(err, c.rows.close())
	}
	return err
}

// block makes block b, or takes it as it was finished, and takes all texts
// through it.
func (j *job) block(b int) (err error) {
	source, err := j.source.open(b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	first := j.source.first(b)
	done, err := j.place.open(j.config, first, j.RepairRank)
	if err != nil {
		return err
	}
	if done != nil {
		defer func() { err = errors.Join(err, done.close()) }()
	}
	before, err := j.keepInputs(b)
	if err != nil {
		return err
	}
	lo, _ := j.config.BlockLayers(b)
	var made finishedBlock
	for i, layer := range source.layers {
		w := &layerWork{index: lo + i, source: layer, small: j.source.small[b].Layers[i], soul: source.souls[i]}
		if done != nil {
			w.finished = &done.layers[i]
		}
		if err := j.layer(w); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		made.layers = append(made.layers, finishedLayer{
			weights: tcn.LayerQ2{In: w.in.chosen, Conv: layer.Conv, Out: w.out.chosen},
			repair:  w.repair, in: w.in.report, out: w.out.report,
		})
	}
	if err := j.leave(b, before); err != nil {
		return err
	}
	if done == nil {
		if err := j.place.keep(j.config, b, j.RepairRank, made); err != nil {
			return err
		}
	} else if first == b {
		j.resumed++
	}
	if first == b {
		for _, l := range made.layers {
			j.reports = append(j.reports, l.in, l.out)
		}
	}
	return nil
}

// layer makes a layer and takes all texts through it.
func (j *job) layer(w *layerWork) error {
	if err := j.quantizeLayer(w); err != nil {
		return err
	}
	chosen, err := j.chosen(w)
	if err != nil {
		return err
	}
	float, err := j.float(w)
	if err != nil {
		return err
	}
	passages := []passage{chosen, float}
	if len(j.heldOut) > 0 {
		others, err := j.others(w)
		if err != nil {
			return err
		}
		passages = append(append(append(passages, float), others...), chosen)
	}
	per := costWalk(j.config)
	for i, c := range j.courses() {
		through := &lane{course: c, passage: passages[i], config: j.config, keep: true}
		if err := walk(j.ctx, j.Compute, func(rows int) { j.meter.add(int64(rows) * per) }, through); err != nil {
			return err
		}
	}
	return nil
}

// keepInputs copies the rows that come to block b, if its routing needs them.
func (j *job) keepInputs(b int) ([]*rowStore, error) {
	if j.source.small[b].Routing == 1 {
		return nil, nil
	}
	var kept []*rowStore
	for _, c := range j.courses() {
		none := budget(0) // to a file: few blocks are routed
		store, err := newRowStore(c.rows.d, c.rows.n, &none, j.place.dir)
		if err == nil {
			kept = append(kept, store)
			err = c.rows.copyTo(store)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(kept))
		}
	}
	return kept, nil
}

// leave does to the rows what the end of block b does: with r the routing scalar
// x + r·(F(x) - x) unless r is 1, and rounding to the boundary type.
func (j *job) leave(b int, before []*rowStore) error {
	r, kernels := j.source.small[b].Routing, j.Compute.Kernels
	for i, c := range j.courses() {
		if before != nil {
			err := c.rows.update(before[i], func(f, x []float32) {
				for k := range f {
					f[k] -= x[k]
				}
				kernels.AddScaled(x, f, r)
				copy(f, x)
			})
			if err != nil {
				return errors.Join(err, closeAll(before))
			}
		}
		if j.config.Boundary == tcn.BF16 {
			if err := c.rows.update(nil, func(f, _ []float32) { kernels.RoundBF16(f) }); err != nil {
				return err
			}
		}
	}
	return closeAll(before)
}

func closeAll(stores []*rowStore) error {
	var err error
	for _, s := range stores {
		err = errors.Join(err, s.close())
	}
	return err
}

// folderOf is where finished blocks are kept until out is made.
func folderOf(out string) string {
	out = filepath.Clean(out)
	return filepath.Join(filepath.Dir(out), "."+filepath.Base(out)+".quantizing")
}

// costs are work to be done, in multiplications of the products; what they are
// worth in time is only roughly alike.
type costs struct {
	made  int64 // what a layer takes that is finished already
	total int64
}

func costWalk(c tcn.Config) int64       { return 3 * int64(c.DModel) * int64(c.DFF) }
func costMoments(cols int) int64        { return int64(cols) * int64(cols) * 3 / 2 }
func costRounding(rows, cols int) int64 { return 8 * int64(rows) * int64(cols) * int64(cols) }

// count adds up what there is to do.
func (j *job) count() {
	c, n := j.config, int64(len(j.Calibration))
	j.costs.made = n * (2*costWalk(c) + costMoments(c.DModel) + costMoments(c.DFF))
	if j.Method == LDLQ {
		j.costs.made += costRounding(2*c.DFF, c.DModel) + costRounding(c.DModel, c.DFF)
	}
	walked := costWalk(c) * (2*n + int64(len(j.heldOut)*len(j.HeldOut)))
	j.costs.total = int64(c.Layers) * (j.costs.made + walked)
	j.meter = &meter{report: j.Progress, total: j.costs.total}
}

// meter counts work.
type meter struct {
	report      modelfile.Progress // may be nil
	doing       string
	done, total int64
}

func (m *meter) add(n int64) {
	m.done += n
	if m.report != nil {
		m.report(m.doing, min(m.done, m.total), m.total)
	}
}
