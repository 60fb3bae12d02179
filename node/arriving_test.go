package node

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Files that come side by side, one of which was there already, add up.
func TestArriving(t *testing.T) {
	var told []string
	a := newArriving(3, 100, func(have, size int64) { told = append(told, fmt.Sprint(have, " of ", size)) })
	a.here(2)
	a.file(0)(40, 110)
	a.file(1)(100, 100)
	a.file(0)(110, 110)
	a.here(0)
	a.here(1)
	if want := []string{"140 of 310", "240 of 310", "310 of 310"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if a.all != (portion{310, 310}) {
		t.Errorf("in the end %+v", a.all)
	}
}

// Who waits is told so, unless something came meanwhile.
func TestWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came atomic.Int64
		var said atomic.Int64
		done := make(chan struct{})
		go whenIdle(done, &came, func() { said.Add(1) })
		for i, step := range []struct {
			came int64
			want int64
		}{{0, 1}, {0, 2}, {7, 2}, {9, 2}, {9, 3}} {
			came.Store(step.came)
			time.Sleep(searchInterval)
			synctest.Wait()
			if got := said.Load(); got != step.want {
				t.Errorf("after interval %d said %d times, want %d", i, got, step.want)
			}
		}
		close(done)
	})
}
