package bench

import (
	"context"
	"fmt"
	"sort"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// rackWithin is how far a rack's rate may be from the plan's, as a part of it.
const rackWithin = 0.15

// rackTasks are a chain of devices: what its blocks and hops take, and from that
// its rates, beside the plan's.
func rackTasks(o Options) []task {
	shape := fmt.Sprintf("%s,blocks=%d,devices=%d", shapeOf(o.Block), o.Rack.Blocks, len(o.Rack.GPUs))
	times := &blockTimes{}
	var list []task
	list = append(list, task{"hop", "", hopTask})
	for rows := range doubling(o.Rack.Sessions) {
		shape := shapeRows(o.Block, rows)
		list = append(list, task{"block", shape, func(ctx context.Context, l *lab) (found, error) {
			return l.blockTime(ctx, shape, rows, times)
		}})
	}
	for _, sessions := range sequencesOf(o.Rack.Sessions) {
		shape := fmt.Sprintf("%s,sessions=%d", shape, sessions)
		list = append(list, task{"rack", shape, func(_ context.Context, l *lab) (found, error) {
			return l.rack(shape, sessions, times)
		}})
	}
	return list
}

// doubling yields 1, 2, 4 and so on, and last most.
func doubling(most int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for n := 1; n < most; n *= 2 {
			if !yield(n) {
				return
			}
		}
		yield(most)
	}
}

// hopTask shows the time of a hop that was measured elsewhere.
func hopTask(_ context.Context, l *lab) (found, error) {
	hop := l.options.Rack.Hop
	if hop <= 0 {
		return found{}, fmt.Errorf("%w: no hop was measured", errMissing)
	}
	return l.one("hop", "", bench.Figure{Unit: "µs", Value: 1e6 * hop.Seconds()}, nil)
}

// blockTime is the time of a Step of rows through the block.
func (l *lab) blockTime(ctx context.Context, shape string, rows int, times *blockTimes) (found, error) {
	d, err := l.load(&l.block)
	if err != nil {
		return found{}, err
	}
	took, err := median(ctx, l.options.Rounds, func() (duration, error) { return d.decode(rows) })
	if err == nil {
		times.add(rows, took)
	}
	return l.one("block", shape, bench.Figure{Rounds: l.options.Rounds, Unit: "ms", Value: 1e3 * took}, err)
}

// blockTimes is the time of a Step through a block by its rows, which ascend.
type blockTimes struct {
	rows    []int
	seconds []float64
}

// add adds a time; one of fewer rows, which came before, is never longer.
func (b *blockTimes) add(rows int, seconds float64) {
	if n := len(b.seconds); n > 0 {
		seconds = max(seconds, b.seconds[n-1])
	}
	b.rows, b.seconds = append(b.rows, rows), append(b.seconds, seconds)
}

// of is the seconds of rows, at least the first that were measured: on a straight
// line between what was measured. Past the last, where no figure of a rack asks, it
// grows with the rows.
func (b *blockTimes) of(rows int) float64 {
	i := sort.SearchInts(b.rows, rows)
	if last := len(b.rows) - 1; i > last {
		return b.seconds[last] * float64(rows) / float64(b.rows[last])
	}
	if b.rows[i] == rows {
		return b.seconds[i]
	}
	part := float64(rows-b.rows[i-1]) / float64(b.rows[i]-b.rows[i-1])
	return b.seconds[i-1] + part*(b.seconds[i]-b.seconds[i-1])
}

// rack is the rate of so many sessions on the chain, from what was measured,
// beside the plan's prediction for the same devices and link.
func (l *lab) rack(shape string, sessions int, times *blockTimes) (found, error) {
	r := l.options.Rack
	switch {
	case len(r.GPUs) == 0:
		return found{}, fmt.Errorf("%w: no data sheet for this device, name the rack", errMissing)
	case r.Hop <= 0:
		return found{}, fmt.Errorf("%w: no hop was measured", errMissing)
	case len(times.rows) == 0 || times.rows[len(times.rows)-1] < sessions:
		return found{}, fmt.Errorf("%w: the block's time was not measured", errMissing)
	}
	measured, err := l.lay(plan.Measured{Block: times.of, Hop: r.Hop.Seconds()}, sessions)
	if err != nil {
		return found{}, fmt.Errorf("%w: %w", errMissing, err)
	}
	predicted, err := l.lay(plan.Measured{}, sessions)
	if err != nil {
		return found{}, fmt.Errorf("%w: %w", errMissing, err)
	}
	f := bench.Figure{Unit: "bytes/s", Value: measured, Beside: "plan", Ceiling: predicted, OfCeiling: measured / predicted}
	f.Goal = bench.Goal{Least: 1 - rackWithin, Most: (1 + rackWithin) * predicted}
	return l.one("rack", shape, f, nil)
}

// lay is the bytes a second of so many sessions on one chain.
func (l *lab) lay(m plan.Measured, sessions int) (float64, error) {
	layout, err := m.Lay(plan.Model{Config: rackConfig(l.options)}, plan.Demand{Sessions: sessions, Replicas: 1},
		l.options.Rack.GPUs, l.options.Rack.Link)
	return layout.Batched, err
}

// rackConfig is the whole model of which the block is one.
func rackConfig(o Options) tcn.Config {
	c := o.Block
	c.Layers *= o.Rack.Blocks
	return c
}
