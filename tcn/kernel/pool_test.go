package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// everyPool calls check with no pool, with pools of several sizes, and with a
// closed one.
func everyPool(t *testing.T, check func(t *testing.T, p *Pool)) {
	t.Helper()
	t.Run("nil", func(t *testing.T) { check(t, nil) })
	for _, workers := range []int{0, 1, 2, 7} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			p := NewPool(workers)
			defer p.Close()
			check(t, p)
		})
	}
	t.Run("closed", func(t *testing.T) {
		p := NewPool(2)
		p.Close()
		p.Close()
		check(t, p)
	})
}

func TestRunCallsEveryChunkOnce(t *testing.T) {
	everyPool(t, func(t *testing.T, p *Pool) {
		for _, n := range []int{-1, 0, 1, 2, 3, 17, 1000} {
			calls := make([]atomic.Int32, max(n, 0))
			p.Run(n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Fatalf("n %d: chunk %d called %d times", n, i, got)
				}
			}
		}
	})
}

// TestRunOrdersMemory: what a chunk wrote is seen after Run without more ado,
// and what was written before Run is seen by the chunks. The race detector
// watches.
func TestRunOrdersMemory(t *testing.T) {
	everyPool(t, func(t *testing.T, p *Pool) {
		cells := make([]int, 9)
		for range 300 {
			p.Run(len(cells), func(i int) { cells[i]++ })
		}
		want := slices.Repeat([]int{300}, len(cells))
		if !slices.Equal(cells, want) {
			t.Fatalf("cells %v, want %v", cells, want)
		}
	})
}

func TestRunsTakeTurns(t *testing.T) {
	everyPool(t, func(t *testing.T, p *Pool) {
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				sum := make([]int, 5)
				for range 200 {
					p.Run(len(sum), func(i int) { sum[i]++ })
				}
				if want := slices.Repeat([]int{200}, len(sum)); !slices.Equal(sum, want) {
					t.Errorf("sum %v, want %v", sum, want)
				}
			})
		}
		callers.Wait()
	})
}

// TestRunNeedsNoWorker: Run ends although its only worker, which it takes for
// asleep, never wakes to take a chunk.
func TestRunNeedsNoWorker(t *testing.T) {
	p := &Pool{wake: make(chan struct{}, 1), done: make(chan struct{}, 1)}
	p.asleep.Store(1)
	for range 3 {
		calls := 0
		p.Run(100, func(int) { calls++ })
		if calls != 100 {
			t.Fatalf("%d of 100 chunks ran", calls)
		}
	}
}

func TestPanicReachesTheCaller(t *testing.T) {
	everyPool(t, func(t *testing.T, p *Pool) {
		for _, bad := range []int{0, 1, 50, 99} {
			got := recovered(func() {
				p.Run(100, func(i int) {
					if i == bad {
						panic(bad)
					}
				})
			})
			if got != bad {
				t.Fatalf("recovered %v, want %d", got, bad)
			}
			var calls atomic.Int32
			p.Run(10, func(int) { calls.Add(1) })
			if calls.Load() != 10 {
				t.Fatalf("after a panic, %d of 10 chunks ran", calls.Load())
			}
		}
	})
}

func TestEveryChunkPanics(t *testing.T) {
	everyPool(t, func(t *testing.T, p *Pool) {
		if got := recovered(func() { p.Run(50, func(int) { panic("all") }) }); got != "all" {
			t.Fatalf("recovered %v", got)
		}
	})
}

// TestChunkEndsGoroutine: a chunk that calls runtime.Goexit neither hangs Run
// nor the pool.
func TestChunkEndsGoroutine(t *testing.T) {
	p := NewPool(2)
	var caller sync.WaitGroup
	caller.Go(func() {
		defer func() { _ = recover() }() // a worker's Goexit arrives as a panic
		p.Run(20, func(int) { runtime.Goexit() })
	})
	caller.Wait()
	var calls atomic.Int32
	p.Run(10, func(int) { calls.Add(1) })
	if calls.Load() != 10 {
		t.Fatalf("%d of 10 chunks ran", calls.Load())
	}
	p.Close()
}

func TestCloseDuringRun(t *testing.T) {
	p := NewPool(3)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 100 {
				p.Run(8, func(int) {})
			}
		})
	}
	all.Go(p.Close)
	all.Wait()
}

func recovered(f func()) (reason any) {
	defer func() { reason = recover() }()
	f()
	return nil
}

func TestPoolWidth(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	if got, alone := p.Width(), (*Pool)(nil).Width(); got != 4 || alone != 1 {
		t.Errorf("widths %d and %d, want 4 and 1", got, alone)
	}
}
