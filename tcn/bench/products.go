package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// shape is a matrix [rows, cols] times n rows.
type shape struct{ cols, rows, n int }

func (s shape) String() string {
	if s.n == 0 {
		return fmt.Sprintf("k=%d,n=%d", s.cols, s.rows)
	}
	return fmt.Sprintf("rows=%d,k=%d,n=%d", s.n, s.cols, s.rows)
}

// multiplications of a product with n rows.
func (s shape) multiplications() float64 {
	return float64(s.cols) * float64(s.rows) * float64(max(s.n, 1))
}

// fastRead is the paired read, in GB/s, from which on less is asked of decoding:
// two processors then have more memory than they can ask for in time.
const fastRead = 40

// decode is one row times matrices in memory, on all processors: rotation, int8
// numbers and one handing out a matrix included. The ceiling is a read of as
// many codes.
func (l *Lab) decode(set *kernel.Set, s shape, busy, fast Goal) Measurement {
	return Measurement{"decode", set.Name, s.String(), func(ctx context.Context, rounds int) (Figure, error) {
		matrices, err := l.matrices(s.rows, s.cols, arenaBytes)
		if err != nil {
			return Figure{}, err
		}
		l.pool.Begin()
		defer l.pool.End()
		var forms []tcn.Matrix
		for _, m := range matrices {
			forms = append(forms, tcn.NewMatrixQ2(m))
		}
		x, y := numbers(s.cols), make([]float32, s.rows)
		compute, turn := &tcn.Compute{Kernels: set, Pool: l.pool}, 0
		next := func() int { turn++; return turn * 7 % len(forms) }
		bytes := float64(len(matrices[0].Codes())) / 1e9
		f, err := pair{
			work:       func() { forms[next()].Multiply(compute, y, x, 1) },
			ceiling:    func() { l.read(matrices[next()].Codes()) },
			workAmount: bytes, ceilingAmount: bytes,
		}.beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside, f.Goal = l.pool.Width(), "GB/s", "read", busy
		if f.Ceiling >= fastRead {
			f.Goal = fast
		}
		return f, err
	}}
}

// BesideRead measures work that reads bytes of weights, beside a read of memory
// on all processors. Work times itself. Errors: the context's and those of work.
func (l *Lab) BesideRead(ctx context.Context, name string, rounds int, bytes int64, work func() (time.Duration, error)) (Figure, error) {
	m := Measurement{Name: name, measure: func(ctx context.Context, rounds int) (Figure, error) {
		if err := l.reserve(); err != nil {
			return Figure{}, err
		}
		memory := l.arena[:len(l.arena)/2]
		f, err := Pair{
			Work: work, Ceiling: clocked(func() { l.read(memory) }),
			WorkAmount: float64(bytes) / 1e9, CeilingAmount: float64(len(memory)) / 1e9,
		}.Beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside = l.pool.Width(), "GB/s", "read"
		return f, err
	}}
	return m.Run(ctx, rounds)
}

// cachedShape is a matrix that stays in the second-level cache.
var cachedShape = shape{cols: 4096, rows: 1024}

// cached is one row, quantized before, times a matrix in the second-level cache,
// on one processor.
func (l *Lab) cached(set *kernel.Set) (func(), error) {
	matrices, err := l.matrices(cachedShape.rows, cachedShape.cols, 1)
	if err != nil {
		return nil, err
	}
	m, x, y := matrices[0], numbers(cachedShape.cols), make([]float32, cachedShape.rows)
	var q kernel.Int8Rows
	q.Reset(1, m.Cols())
	if err := m.Quantize(set, &q, 0, x, make([]float32, m.Cols())); err != nil {
		return nil, err
	}
	return func() {
		for range cachedTurns {
			m.MultiplyRows(set, y, &q, 0, m.Rows())
		}
	}, nil
}

// cachedTurns makes a call of cached long against reading the clock.
const cachedTurns = 16

// fromCache is cached beside dot products in registers, or beside those with
// the masks that unpacking takes.
func (l *Lab) fromCache(set *kernel.Set, name, beside string, peak func(int) (int64, bool), goal Goal) Measurement {
	return Measurement{name, set.Name, cachedShape.String(), func(ctx context.Context, rounds int) (Figure, error) {
		const turns = 1 << 14
		perCall, ok := peak(1)
		if !ok {
			return Figure{}, ErrUnsupported
		}
		work, err := l.cached(set)
		if err != nil {
			return Figure{}, err
		}
		f, err := pair{
			work: work, ceiling: func() { peak(turns) },
			workAmount:    cachedTurns * cachedShape.multiplications() / 1e9,
			ceilingAmount: turns * float64(perCall) / 1e9,
		}.beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside, f.Goal = 1, "Gmul/s", beside, goal
		return f, err
	}}
}

// many returns the work of many rows times a matrix, on all processors,
// everything included.
func (l *Lab) many(set *kernel.Set, s shape) (func(), error) {
	matrices, err := l.matrices(s.rows, s.cols, 1)
	if err != nil {
		return nil, err
	}
	m, x, y := tcn.NewMatrixQ2(matrices[0]), numbers(s.n*s.cols), make([]float32, s.n*s.rows)
	compute := &tcn.Compute{Kernels: set, Pool: l.pool}
	return func() { m.Multiply(compute, y, x, s.n) }, nil
}

// prefill is many beside dot products in registers on as many processors.
func (l *Lab) prefill(set *kernel.Set, s shape, goal Goal) Measurement {
	return Measurement{"prefill", set.Name, s.String(), func(ctx context.Context, rounds int) (Figure, error) {
		const turns = 1 << 14
		pieces := 8 * l.pool.Width()
		perCall, ok := kernel.DotPeak(1)
		if !ok {
			return Figure{}, ErrUnsupported
		}
		work, err := l.many(set, s)
		if err != nil {
			return Figure{}, err
		}
		l.pool.Begin()
		defer l.pool.End()
		f, err := pair{
			work: work, ceiling: func() { l.pool.Run(pieces, func(int) { kernel.DotPeak(turns) }) },
			workAmount:    s.multiplications() / 1e9,
			ceilingAmount: float64(pieces) * turns * float64(perCall) / 1e9,
		}.beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside, f.Goal = l.pool.Width(), "Gmul/s", "dot products", goal
		return f, err
	}}
}

// against is one level's work beside a faster level's.
func (l *Lab) against(name string, set, fast *kernel.Set, s shape, processors int,
	work func(*kernel.Set) (func(), error), goal Goal) Measurement {
	return Measurement{name, set.Name, s.String(), func(ctx context.Context, rounds int) (Figure, error) {
		slow, err := work(set)
		if err != nil {
			return Figure{}, err
		}
		ceiling, err := work(fast)
		if err != nil {
			return Figure{}, err
		}
		l.pool.Begin()
		defer l.pool.End()
		amount := s.multiplications() / 1e9
		if s == cachedShape {
			amount *= cachedTurns
		}
		f, err := pair{work: slow, ceiling: ceiling, workAmount: amount, ceilingAmount: amount}.beside(ctx, rounds)
		f.Processors, f.Unit, f.Beside, f.Goal = processors, "Gmul/s", fast.Name, goal
		return f, err
	}}
}

// rowQuantizing is the rotation of one row and its int8 numbers, on one
// processor.
func (l *Lab) rowQuantizing(set *kernel.Set, cols int) Measurement {
	s := fmt.Sprintf("k=%d", cols)
	return Measurement{"quantize", set.Name, s, func(ctx context.Context, rounds int) (Figure, error) {
		matrices, err := l.matrices(16, cols, 1)
		if err != nil {
			return Figure{}, err
		}
		const turns = 16
		x, room := numbers(cols), make([]float32, cols)
		var q kernel.Int8Rows
		q.Reset(1, cols)
		times, err := timed(ctx, rounds, func() error { return repeat(turns, matrices[0], set, &q, x, room) })
		return Figure{Processors: 1, Unit: "µs", Value: times / turns}, err
	}}
}

// repeat quantizes a row again and again.
func repeat(turns int, m *quant.Q2, set *kernel.Set, q *kernel.Int8Rows, x, room []float32) error {
	for range turns {
		if err := m.Quantize(set, q, 0, x, room); err != nil {
			return err
		}
	}
	return nil
}

// timed is the median time of a call in microseconds.
func timed(ctx context.Context, rounds int, f func() error) (float64, error) {
	var times []float64
	for range rounds {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		var err error
		times = append(times, 1e6*seconds(func() { err = f() }))
		if err != nil {
			return 0, err
		}
	}
	return Median(times), nil
}
