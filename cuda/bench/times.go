package bench

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/tcn/bench"
)

// median is the median time of calls, in seconds.
func median(ctx context.Context, rounds int, f func() (time.Duration, error)) (float64, error) {
	if _, err := f(); err != nil { // what grows, grows now
		return 0, err
	}
	var times []float64
	for range rounds {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		took, err := f()
		if err != nil {
			return 0, err
		}
		times = append(times, took.Seconds())
	}
	return bench.Median(times), nil
}

// where times the kernels of a Step.
func (d *loaded) where(ctx context.Context, rounds int, name string, step func() (time.Duration, error)) ([]Kernel, error) {
	if err := d.readied(); err != nil {
		return nil, err
	}
	if _, err := step(); err != nil { // what is recorded, is recorded now
		return nil, err
	}
	times, launches := map[kind][]float64{}, map[kind]int{}
	for range rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		elapsed, err := d.device.time(func() error { _, err := step(); return err })
		if err != nil {
			return nil, err
		}
		for k, spent := range elapsed {
			times[k], launches[k] = append(times[k], spent.time.Seconds()), spent.launches
		}
	}
	var list []Kernel
	sum := 0.0
	for k, took := range times {
		found := Kernel{Step: name, Kernel: k.name, Blocks: k.blocks, Launches: launches[k], Time: 1e6 * bench.Median(took)}
		sum += found.Time
		list = append(list, found)
	}
	for i := range list {
		if sum > 0 {
			list[i].Share = list[i].Time / sum
		}
	}
	slices.SortFunc(list, func(a, b Kernel) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Kernel, b.Kernel), cmp.Compare(a.Blocks, b.Blocks))
	})
	return list, nil
}
