package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// Errors of measurements.
var (
	// ErrOptions: what was asked for cannot be measured by anybody.
	ErrOptions = errors.New("bench: bad option")
	// errMissing: a figure lacks something; the others do not. Wrapped with what.
	errMissing = errors.New("not measurable so")
)

// Options is what is measured.
type Options struct {
	// Open readies the device, as often as it is called; each is closed before the
	// next is opened.
	Open   func() (device.Device, error)
	Rounds int // of each figure, bench.LeastRounds to bench.MostRounds

	// Block is a config of one Fractal Block, for all parts but model: the release
	// cell in 2-bit weights, widths of multiples of 16, of 128 for products.
	Block  tcn.Config
	Decode []int // rows of Steps of one row a sequence; the first is what the others are compared with
	Prompt []int // rows of Steps of one sequence

	Rack Rack

	// Model is a whole model's config, for part model, under the same rules.
	Model tcn.Config
	Bytes int // text that it reads
	Souls int // that sequences wear, one each; at least 1
}

// Rack is a chain of devices like the one that is measured.
type Rack struct {
	GPUs     []plan.GPU // what the data sheets say of them; none: unknown, and the rack is not measured
	Link     plan.Link
	Blocks   int           // of the model
	Sessions int           // at once, in the batched figure
	Hop      time.Duration // software of a hop, measured; 0: it was not
}

// Parts are what can be measured, in that order.
func Parts() []string { return []string{"decode", "prefill", "rack", "model"} }

// Result is what was found.
type Result struct {
	Device      Device         `json:"device"`
	Figures     []bench.Figure `json:"figures"`
	Kernels     []Kernel       `json:"kernels"`
	NotMeasured []Missing      `json:"not_measured"`
}

// Device is what was measured on, as it says itself.
type Device struct {
	Name            string `json:"name"`
	Memory          int64  `json:"memory_bytes"`
	Compute         string `json:"compute_capability"` // "9.0"
	Multiprocessors int    `json:"multiprocessors"`
	Driver          string `json:"driver"`
}

// Kernel is where the time of a Step goes, on the device's clock: one kind of
// kernel, copy or fill.
type Kernel struct {
	Step     string  `json:"step"` // of which Step: "decode d=16384,f=65536,layers=8,rows=1"
	Kernel   string  `json:"kernel"`
	Blocks   int     `json:"blocks"`       // of threads of a launch; 0: no kernel
	Launches int     `json:"launches"`     // in a Step
	Time     float64 `json:"microseconds"` // of all of them; the median of the rounds
	Share    float64 `json:"share"`        // of the sum over all kernels
}

// Missing is a figure that was not measured.
type Missing struct {
	Figure string `json:"figure"`
	Shape  string `json:"shape,omitempty"`
	Reason string `json:"reason"`
}

// validate looks at what the chosen parts need.
func (o *Options) validate(parts []string) error {
	if o.Open == nil || o.Rounds < bench.LeastRounds || o.Rounds > bench.MostRounds {
		return fmt.Errorf("%w: %d rounds, of %d to %d, or no device", ErrOptions, o.Rounds, bench.LeastRounds, bench.MostRounds)
	}
	for _, part := range parts {
		if !slices.Contains(Parts(), part) {
			return fmt.Errorf("%w: no part %q, there are %v", ErrOptions, part, Parts())
		}
	}
	if slices.Contains(parts, "model") {
		if o.Souls < 1 || o.Souls > MostSequences || o.Bytes < 1 || o.Bytes > MostBytes {
			return fmt.Errorf("%w: %d Souls, of 1 to %d, or %d bytes, of 1 to %d", ErrOptions, o.Souls, MostSequences, o.Bytes, MostBytes)
		}
		if err := checkConfig(o.Model); err != nil {
			return fmt.Errorf("model: %w", err)
		}
	}
	if slices.Equal(parts, []string{"model"}) {
		return nil
	}
	for _, rows := range slices.Concat(o.Decode, []int{o.Rack.Sessions}) {
		if rows < 1 || rows > MostSequences {
			return fmt.Errorf("%w: %d sequences, of 1 to %d", ErrOptions, rows, MostSequences)
		}
	}
	for _, rows := range o.Prompt {
		if rows < 1 || rows > MostPrompt {
			return fmt.Errorf("%w: %d rows of a prompt, of 1 to %d", ErrOptions, rows, MostPrompt)
		}
	}
	if len(o.Decode) == 0 || len(o.Prompt) == 0 || o.Rack.Blocks < 1 || o.Rack.Blocks > plan.MaxBlocks {
		return fmt.Errorf("%w: no rows, or %d blocks, of 1 to %d", ErrOptions, o.Rack.Blocks, plan.MaxBlocks)
	}
	if err := checkConfig(o.Block); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	if o.Block.Blocks() != 1 {
		return fmt.Errorf("%w: %d blocks to measure, want one", ErrOptions, o.Block.Blocks())
	}
	return nil
}

// task is one step of a run, which finds some figures.
type task struct {
	figure, shape string
	run           func(context.Context, *lab) (found, error)
}

// found is what a task found.
type found struct {
	figures []bench.Figure
	kernels []Kernel
}

// Run measures parts, in the order of [Parts], and tells report before each step
// what comes next, and what was found so far. What the context leaves no time for,
// what the device has no room for and what a device like this cannot do is listed
// as not measured. Errors: [ErrOptions]; those of Open and of a device that fails:
// everything after is then not measured.
func Run(ctx context.Context, o Options, parts []string, report func(next string, soFar Result)) (Result, error) {
	if err := o.validate(parts); err != nil {
		return Result{}, err
	}
	l := newLab(o)
	result := Result{Figures: []bench.Figure{}, Kernels: []Kernel{}, NotMeasured: []Missing{}}
	var failure error
	for _, t := range tasks(o, parts) {
		report(t.figure+" "+t.shape, result)
		reason := "the device failed before"
		if failure == nil {
			f, err := t.attempt(ctx, l)
			result.Figures, result.Kernels = append(result.Figures, f.figures...), append(result.Kernels, f.kernels...)
			result.Device = l.facts
			if err == nil {
				continue
			}
			if reason = err.Error(); !excusable(ctx, err) {
				failure = fmt.Errorf("%s, %s: %w", t.figure, t.shape, err)
			}
		}
		result.NotMeasured = append(result.NotMeasured, Missing{t.figure, t.shape, reason})
	}
	err := l.close()
	if failure != nil {
		return result, failure // what a failed device says to Close is no news
	}
	return result, err
}

// attempt runs a task, unless time is over.
func (t task) attempt(ctx context.Context, l *lab) (found, error) {
	if ctx.Err() == nil {
		f, err := t.run(ctx, l)
		if err == nil || ctx.Err() == nil {
			return f, err
		}
	}
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return found{}, errors.New("out of time")
	}
	return found{}, context.Cause(ctx)
}

// excusable reports whether other figures can still be measured after err.
func excusable(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, errMissing) {
		return true
	}
	if device.Fatal(err) || errors.Is(err, tcn.ErrDevice) {
		return false
	}
	return errors.Is(err, tcn.ErrNoRoom) || errors.Is(err, device.ErrOutOfMemory)
}

// tasks are those of the parts, in order.
func tasks(o Options, parts []string) []task {
	var list []task
	for _, part := range []struct {
		name  string
		tasks func(Options) []task
	}{{"decode", decodeTasks}, {"prefill", prefillTasks}, {"rack", rackTasks}, {"model", modelTasks}} {
		if slices.Contains(parts, part.name) {
			list = append(list, part.tasks(o)...)
		}
	}
	return list
}
