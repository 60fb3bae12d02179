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
	rows8 *tcn.SoulLayerQ8 // in place of soul; nil: soul
	rank  int              // of soul; 0: none
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

// lane is a course through a layer.
type lane struct {
	*course
	passage
	config tcn.Config // of the layer
	keep   bool       // what comes out becomes the course's rows

	stage   tcn.Stage
	variant *tcn.Variant
	state   tcn.State
	room    []float32
}

// walk takes all rows of lanes, which are of one text, through their layers, some
// rows of each in turn. done is told of rows as they are through all.
func walk(ctx context.Context, compute *tcn.Compute, done func(rows int), lanes ...*lane) (err error) {
	for _, l := range lanes {
		if l.stage, l.variant, err = l.load(compute, l.config); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.stage.Close()) }()
		l.room = make([]float32, stepRows*l.rows.d)
	}
	n, sequence := lanes[0].rows.n, lanes[0].sequence
	for at := 0; at < n; at += sequence {
		for _, l := range lanes {
			if l.state, err = l.stage.NewState(l.variant.Range, 0); err != nil {
				return err
			}
		}
		end := min(at+sequence, n)
		for from := at; from < end; from += stepRows {
			count := min(stepRows, end-from)
			for _, l := range lanes {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := l.step(at, from, count); err != nil {
					return err
				}
			}
			done(count)
		}
		for _, l := range lanes {
			if err := l.state.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// step takes rows from on of the sequence that began at a row through the layer.
func (l *lane) step(began, from, count int) error {
	rows := l.room[:count*l.rows.d]
	if err := l.rows.read(from, rows); err != nil {
		return err
	}
	work := &tcn.Work{State: l.state, Variant: l.variant, Rows: tcn.Rows{Position: from - began, Count: count, Data: rows}}
	if err := errors.Join(l.stage.Step([]*tcn.Work{work}), work.Err); err != nil {
		return err
	}
	if !l.keep {
		return nil
	}
	return l.rows.write(from, rows)
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
		slice, err := p.slice(config)
		if err != nil {
			return nil, nil, err
		}
		variant.Souls = []tcn.SoulTerm{{Weight: 1, Slices: []*tcn.SoulSlice{slice}}}
	}
	stage, err := tcn.NewCPU(compute).Load(config, r, []*tcn.Block{{Layers: []tcn.Layer{p.layer}}})
	return stage, variant, err
}

// slice is the passage's Soul; rank is not 0.
func (p passage) slice(config tcn.Config) (*tcn.SoulSlice, error) {
	if p.rows8 != nil {
		return tcn.NewSoulSliceQ8(config, p.index, p.rank, []tcn.SoulLayerQ8{*p.rows8})
	}
	return tcn.NewSoulSliceF32(config, p.index, p.rank, []tcn.SoulLayerF32{p.soul})
}
