package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// forkJoin is one job of a chunk for each processor, in which all wait for all:
// what handing work out and back costs. Before it, the caller does something else
// for a while.
func (l *Lab) forkJoin(gap time.Duration, goal Goal) Measurement {
	name := "hot"
	if gap > 0 {
		name = fmt.Sprintf("after %v", gap)
	}
	return Measurement{"fork-join", "any", name, func(ctx context.Context, rounds int) (Figure, error) {
		width := l.pool.Width()
		if width < 2 || runtime.GOMAXPROCS(0) < width {
			return Figure{}, ErrUnsupported
		}
		const perRound = 101
		var met atomic.Int64
		meet := func(int) {
			met.Add(1)
			for met.Load() < int64(width) {
			}
		}
		l.pool.Begin()
		defer l.pool.End()
		times := make([]float64, 0, perRound*rounds)
		for range rounds {
			if err := ctx.Err(); err != nil {
				return Figure{}, context.Cause(ctx)
			}
			for range perRound {
				for began := time.Now(); time.Since(began) < gap; {
				}
				met.Store(0)
				times = append(times, 1e6*seconds(func() { l.pool.Run(width, meet) }))
			}
		}
		return Figure{Processors: width, Unit: "µs", Value: Median(times), Goal: goal}, nil
	}}
}

// What is looked at once work has ended: the processor time from idleAfter on.
const (
	idleAfter = 2 * time.Millisecond
	idleFor   = 20 * time.Millisecond
)

// idle is how much of one processor this process uses once work has ended.
func (l *Lab) idle(goal Goal) Measurement {
	name := fmt.Sprintf("from %v after work on", idleAfter)
	return Measurement{"idle", "any", name, func(ctx context.Context, rounds int) (Figure, error) {
		if _, ok := processorSeconds(); !ok {
			return Figure{}, ErrUnsupported
		}
		shares := make([]float64, 0, rounds)
		for range rounds {
			l.pool.Begin()
			for range 100 {
				l.pool.Run(l.pool.Width(), func(int) {})
			}
			l.pool.End()
			time.Sleep(idleAfter)
			before, _ := processorSeconds()
			began := time.Now()
			time.Sleep(idleFor)
			after, _ := processorSeconds()
			shares = append(shares, 100*(after-before)/time.Since(began).Seconds())
			if err := ctx.Err(); err != nil {
				return Figure{}, context.Cause(ctx)
			}
		}
		return Figure{Processors: l.pool.Width(), Unit: "% of a processor", Value: Median(shares), Goal: goal}, nil
	}}
}
