package bench

import (
	"context"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// Goals of decoding: of the rate at which memory is read, for a Step of one row;
// and the time of a Step of more rows, in times of that of one.
var (
	decodeGoal = bench.Goal{Least: 0.80, Aim: 0.90}
	manyGoals  = map[int]bench.Goal{8: {Most: 1.15}, 32: {Most: 1.5}}
)

// shapeOf names a block.
func shapeOf(c tcn.Config) string {
	return fmt.Sprintf("d=%d,f=%d,layers=%d", c.DModel, c.DFF, c.Layers)
}

// shapeRows names a Step of rows through a block.
func shapeRows(c tcn.Config, rows int) string { return fmt.Sprintf("%s,rows=%d", shapeOf(c), rows) }

// decodeTasks are Steps of few rows, each of a sequence of its own.
func decodeTasks(o Options) []task {
	var list []task
	first := o.Decode[0]
	for _, rows := range o.Decode {
		shape := shapeRows(o.Block, rows)
		list = append(list, task{"decode", shape, func(ctx context.Context, l *lab) (found, error) {
			return l.besideRead(ctx, shape, rows)
		}})
		if rows != first {
			list = append(list, task{"decode-rows", shape, func(ctx context.Context, l *lab) (found, error) {
				return l.besideFewer(ctx, shape, rows, first)
			}})
		}
	}
	for _, rows := range o.Decode {
		shape := shapeRows(o.Block, rows)
		list = append(list, task{"decode-kernels", shape, func(ctx context.Context, l *lab) (found, error) {
			d, err := l.load(&l.block)
			if err != nil {
				return found{}, err
			}
			kernels, err := d.where(ctx, l.options.Rounds, "decode "+shape, func() (duration, error) { return d.decode(rows) })
			return found{kernels: kernels}, err
		}})
	}
	return list
}

// besideRead is a Step of some rows beside reading as many bytes as the weights.
func (l *lab) besideRead(ctx context.Context, shape string, rows int) (found, error) {
	d, err := l.load(&l.block)
	if err != nil {
		return found{}, err
	}
	if err := d.readied(); err != nil {
		return found{}, err
	}
	f, err := bench.Pair{
		Work: func() (duration, error) { return d.decode(rows) }, WorkAmount: float64(d.needs.Weights) / 1e9,
		Ceiling: d.readAll, CeilingAmount: float64(d.read.bytes) / 1e9,
	}.Beside(ctx, l.options.Rounds)
	f.Unit, f.Beside = "GB/s", "read"
	if rows == 1 {
		f.Goal = decodeGoal
	}
	return l.one("decode", shape, f, err)
}

// besideFewer is the time of a Step of some rows in times of that of fewer.
func (l *lab) besideFewer(ctx context.Context, shape string, rows, fewer int) (found, error) {
	d, err := l.load(&l.block)
	if err != nil {
		return found{}, err
	}
	f, err := bench.Pair{
		Work: func() (duration, error) { return d.decode(rows) }, WorkAmount: 1,
		Ceiling: func() (duration, error) { return d.decode(fewer) }, CeilingAmount: 1,
	}.Beside(ctx, l.options.Rounds)
	if err == nil {
		f = bench.Figure{Rounds: f.Rounds, Value: 1 / f.OfCeiling, Unit: fmt.Sprintf("× the time of rows=%d", fewer)}
	}
	if fewer == 1 {
		f.Goal = manyGoals[rows]
	}
	return l.one("decode-rows", shape, f, err)
}

// one is a task's only figure.
func (l *lab) one(name, shape string, f bench.Figure, err error) (found, error) {
	if err != nil {
		return found{}, err
	}
	f.Name, f.Kernels, f.Shape, f.Processors = name, "cuda", shape, l.facts.Multiprocessors
	return found{figures: []bench.Figure{f}}, nil
}
