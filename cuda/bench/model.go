package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// soulRank is the rank of the Souls of the model.
const soulRank = 16

// memoryGoal is what a model of 120 billion parameters may take of a device, in
// GB, with memoryBytes of text read and memorySouls Souls resident.
var memoryGoal = bench.Goal{Most: 57.5}

const (
	memoryBytes   = 131_072
	memorySouls   = 8
	memoryWeights = 120_000_000_000
)

// modelTasks are a whole model on the device: rates, and last its memory.
func modelTasks(o Options) []task {
	shape := fmt.Sprintf("%s,souls=%d", shapeOf(o.Model), o.Souls)
	var list []task
	for _, sequences := range sequencesOf(o.Souls) {
		shape := fmt.Sprintf("%s,rows=%d", shape, sequences)
		list = append(list, task{"model-decode", shape, func(ctx context.Context, l *lab) (found, error) {
			d, err := l.load(&l.model)
			if err != nil {
				return found{}, err
			}
			took, err := median(ctx, l.options.Rounds, func() (duration, error) { return d.decode(sequences) })
			f := bench.Figure{Rounds: l.options.Rounds, Unit: "bytes/s", Value: float64(sequences) / took}
			return l.one("model-decode", shape, f, err)
		}})
	}
	for _, bytes := range textsOf(o.Bytes) {
		shape := fmt.Sprintf("%s,bytes=%d", shape, bytes)
		list = append(list,
			task{"model-prefill", shape, func(ctx context.Context, l *lab) (found, error) { return l.readText(ctx, shape, bytes) }},
			task{"model-memory", shape, func(ctx context.Context, l *lab) (found, error) { return l.memory(shape, bytes) }})
	}
	return list
}

// textsOf is the bytes of a text after which there are figures: once early, since
// reading all of it takes minutes that there may not be.
func textsOf(bytes int) []int {
	const part = 16
	if bytes < part {
		return []int{bytes}
	}
	return []int{bytes / part, bytes}
}

// sequencesOf is one sequence, and all of them.
func sequencesOf(souls int) []int {
	if souls == 1 {
		return []int{1}
	}
	return []int{1, souls}
}

// readText reads on to so many bytes of a text, in passes as large as the stage takes.
func (l *lab) readText(ctx context.Context, shape string, bytes int) (found, error) {
	d, err := l.load(&l.model)
	if err != nil {
		return found{}, err
	}
	total, steps, before := time.Duration(0), 0, d.text
	for ; d.text < bytes; steps++ {
		if err := ctx.Err(); err != nil {
			return found{}, err
		}
		rows := min(cuda.MaxRows, bytes-d.text)
		took, err := d.prompt(rows)
		if err != nil {
			return found{}, err
		}
		total, d.text = total+took, d.text+rows
	}
	f := bench.Figure{Rounds: steps, Unit: "bytes/s", Value: float64(bytes-before) / total.Seconds()}
	return l.one("model-prefill", shape, f, nil)
}

// memory is how much of the device's memory was taken at most, by whomever, with
// all that came before in it.
func (l *lab) memory(shape string, bytes int) (found, error) {
	d, err := l.load(&l.model)
	if err != nil {
		return found{}, err
	}
	if d.text < bytes {
		return found{}, fmt.Errorf("%w: the text was not read", errMissing)
	}
	// Each sequence wears its Soul, and all take part in the last Step.
	if _, err := d.decode(l.options.Souls); err != nil {
		return found{}, err
	}
	f := bench.Figure{Rounds: 1, Unit: "GB", Value: float64(d.device.sample()) / 1e9}
	if d.text >= memoryBytes && l.options.Souls >= memorySouls && d.config.Parameters().Matrices >= memoryWeights {
		f.Goal = memoryGoal
	}
	return l.one("model-memory", shape, f, nil)
}
