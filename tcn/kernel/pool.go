package kernel

// Pool shares the chunks of one job between the calling goroutine and its
// workers. A nil *Pool runs everything on the caller.
type Pool struct{}

// NewPool starts a pool of workers goroutines besides the caller; 0 means one
// fewer than GOMAXPROCS.
func NewPool(workers int) *Pool { return &Pool{} }

// Run calls chunk(i) once for every i in [0, n), on the caller and on whatever
// workers are free, and returns when all have ended. Calls of Run from several
// goroutines take turns.
func (p *Pool) Run(n int, chunk func(i int)) {
	for i := range n {
		chunk(i)
	}
}

// Close stops the workers.
func (p *Pool) Close() {}
