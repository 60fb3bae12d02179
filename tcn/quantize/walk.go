package quantize

import (
	"context"
	"errors"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
)

// stepRows is how many rows a Step is given: four of its batches.
const stepRows = 256

// passage is one layer as rows go through it.
type passage struct {
	index int // counted from the start of the model
	layer tcn.Layer
	small tcn.SmallLayer
	soul  tcn.SoulLayerF32
	rank  int // of soul; 0: none
}

// course is a text on its way through a model.
type course struct {
	rows     *rowStore
	sequence int // rows of a sequence, which begins with an empty state
}

// newCourse embeds a text.
func newCourse(s *source, text []byte, left *budget, dir string) (*course, error) {
	rows, err := newRowStore(s.config.DModel, len(text), left, dir)
	if err != nil {
		return nil, err
	}
	c := &course{rows: rows, sequence: eval.Sequence(s.config)}
	d := s.config.DModel
	room := make([]float32, stepRows*d)
	for at := 0; at < len(text); at += stepRows {
		piece := text[at:min(at+stepRows, len(text))]
		for i, b := range piece {
			if err := s.ends.Embed((at+i)%c.sequence, b, room[i*d:(i+1)*d]); err != nil {
				return nil, errors.Join(err, rows.close())
			}
		}
		if err := rows.write(at, room[:len(piece)*d]); err != nil {
			return nil, errors.Join(err, rows.close())
		}
	}
	return c, nil
}

// walk takes all rows through a layer, and keeps what comes out if keep is set.
// done is told of rows as they are through.
func (c *course) walk(ctx context.Context, compute *tcn.Compute, config tcn.Config, p passage, keep bool, done func(rows int)) (err error) {
	stage, variant, err := p.load(compute, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	room := make([]float32, stepRows*c.rows.d)
	for at := 0; at < c.rows.n; at += c.sequence {
		state, err := stage.NewState(variant.Range, 0)
		if err != nil {
			return err
		}
		end := min(at+c.sequence, c.rows.n)
		for from := at; from < end; from += stepRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(stepRows, end-from)
			rows := room[:n*c.rows.d]
			if err := c.rows.read(from, rows); err != nil {
				return err
			}
			work := &tcn.Work{State: state, Variant: variant, Rows: tcn.Rows{Position: from - at, Count: n, Data: rows}}
			if err := errors.Join(stage.Step([]*tcn.Work{work}), work.Err); err != nil {
				return err
			}
			if keep {
				if err := c.rows.write(from, rows); err != nil {
					return err
				}
			}
			done(n)
		}
		if err := state.Close(); err != nil {
			return err
		}
	}
	return nil
}

// load makes a stage of the one layer, in a config where every layer is a block
// of its own: routing and rounding at the ends of a block are not a layer's.
func (p passage) load(compute *tcn.Compute, config tcn.Config) (tcn.Stage, *tcn.Variant, error) {
	config.LayersPerBlock, config.Boundary, config.Weights = 1, tcn.F32, ""
	r := tcn.Range{Lo: p.index, Hi: p.index + 1}
	variant := &tcn.Variant{
		Range: r,
		Small: []*tcn.Small{{Layers: []tcn.SmallLayer{p.small}, Routing: 1}},
	}
	if p.rank > 0 {
		slice, err := tcn.NewSoulSliceF32(config, p.index, p.rank, []tcn.SoulLayerF32{p.soul})
		if err != nil {
			return nil, nil, err
		}
		variant.Souls = []tcn.SoulTerm{{Weight: 1, Slices: []*tcn.SoulSlice{slice}}}
	}
	stage, err := tcn.NewCPU(compute).Load(config, r, []*tcn.Block{{Layers: []tcn.Layer{p.layer}}})
	return stage, variant, err
}
