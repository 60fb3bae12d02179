package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// productGoal is of the rate of the product with int8 weights, for as many rows as
// a pass has.
var productGoal = bench.Goal{Least: 0.40}

// productGoalRows is the rows from which on productGoal is asked.
const productGoalRows = 256

// prefillTasks are products of many rows, and Steps of a prompt.
func prefillTasks(o Options) []task {
	var list []task
	d, f := o.Block.DModel, o.Block.DFF
	for _, rows := range o.Prompt {
		for _, m := range []struct{ outputs, cols int }{{2 * f, d}, {d, f}} {
			shape := fmt.Sprintf("rows=%d,k=%d,n=%d", rows, m.cols, m.outputs)
			list = append(list, task{"product", shape, func(ctx context.Context, l *lab) (found, error) {
				return l.product(ctx, shape, rows, m.outputs, m.cols)
			}})
		}
		shape := shapeRows(o.Block, rows)
		list = append(list, task{"prefill", shape, func(ctx context.Context, l *lab) (found, error) {
			return l.prefill(ctx, shape, rows)
		}})
	}
	rows := o.Prompt[0]
	shape := shapeRows(o.Block, rows)
	return append(list, task{"prefill-kernels", shape, func(ctx context.Context, l *lab) (found, error) {
		d, err := l.load(&l.block)
		if err != nil {
			return found{}, err
		}
		kernels, err := d.where(ctx, l.options.Rounds, "prefill "+shape, func() (duration, error) { return d.prompt(rows) })
		return found{kernels: kernels}, err
	}})
}

// product is a product with 2-bit weights beside one of the same shape with int8
// weights.
func (l *lab) product(ctx context.Context, shape string, rows, outputs, cols int) (made found, err error) {
	d, err := l.load(&l.block)
	if err != nil {
		return found{}, err
	}
	taken := len(d.taken)
	defer func() { err = errors.Join(err, d.free(taken)) }()
	p, err := d.product(rows, outputs, cols)
	if err != nil {
		return found{}, err
	}
	f, err := bench.Pair{
		Work:       func() (duration, error) { return d.launch(kernels.ProductQ2(p.q2)) },
		Ceiling:    func() (duration, error) { return d.launch(kernels.ProductS8(p.s8)) },
		WorkAmount: p.operations() / 1e12, CeilingAmount: p.operations() / 1e12,
	}.Beside(ctx, l.options.Rounds)
	f.Unit, f.Beside = "Tops/s", "int8 product"
	if rows >= productGoalRows {
		f.Goal = productGoal
	}
	return l.one("product", shape, f, err)
}

// prefill is a Step of many rows, by the operations of its frozen matrices, beside
// the product of W_in's shape with int8 weights, for the rows of one pass.
func (l *lab) prefill(ctx context.Context, shape string, rows int) (made found, err error) {
	d, err := l.load(&l.block)
	if err != nil {
		return found{}, err
	}
	taken := len(d.taken)
	defer func() { err = errors.Join(err, d.free(taken)) }()
	p, err := d.product(rows, 2*d.config.DFF, d.config.DModel)
	if err != nil {
		return found{}, err
	}
	operations := 2 * float64(rows) * float64(d.config.Parameters().Matrices)
	f, err := bench.Pair{
		Work:       func() (duration, error) { return d.prompt(rows) },
		Ceiling:    func() (duration, error) { return d.launch(kernels.ProductS8(p.s8)) },
		WorkAmount: operations / 1e12, CeilingAmount: p.operations() / 1e12,
	}.Beside(ctx, l.options.Rounds)
	f.Unit, f.Beside = "Tops/s", "int8 product"
	return l.one("prefill", shape, f, err)
}
