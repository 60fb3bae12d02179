package node

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zetagrid/zetagrid/node/content"
)

// arriving adds up what has come of several files that are fetched side by side.
type arriving struct {
	tell content.Progress // of all together; nil tells nobody

	mu    sync.Mutex
	files []portion
	all   portion
}

// portion is how many bytes of how many are here.
type portion struct{ have, size int64 }

// newArriving begins with n files of about size bytes each, of which nothing is
// here.
func newArriving(n int, size int64, tell content.Progress) *arriving {
	a := &arriving{tell: tell, files: make([]portion, n), all: portion{size: int64(n) * size}}
	for i := range a.files {
		a.files[i].size = size
	}
	return a
}

// file is the Progress of file i.
func (a *arriving) file(i int) content.Progress {
	return func(have, size int64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.set(i, portion{have, size})
		if a.tell != nil {
			a.tell(a.all.have, a.all.size)
		}
	}
}

// here says that all of file i is here, be it that it always was.
func (a *arriving) here(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(i, portion{a.files[i].size, a.files[i].size})
}

func (a *arriving) set(i int, p portion) {
	a.all.have += p.have - a.files[i].have
	a.all.size += p.size - a.files[i].size
	a.files[i] = p
}

// remind logs message every searchInterval in which came, if there is one, did not
// grow, until end is called: what no peer has looks like what is on its way.
func (n *Node) remind(came *atomic.Int64, message string, args ...any) (end func()) {
	if n.host == nil {
		return func() {}
	}
	done := make(chan struct{})
	n.running.Go(func() {
		whenIdle(done, came, func() {
			n.log.Warn(message, append(args, "peers", len(n.host.Host().Network().Peers()))...)
		})
	})
	return func() { close(done) }
}

// whenIdle calls say after every searchInterval in which came did not grow, or
// after every one when came is nil, until done.
func whenIdle(done <-chan struct{}, came *atomic.Int64, say func()) {
	var before int64
	for {
		select {
		case <-done:
			return
		case <-time.After(searchInterval):
		}
		if came != nil {
			if now := came.Load(); now > before {
				before = now
				continue
			}
		}
		say()
	}
}
