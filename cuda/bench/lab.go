package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// duration keeps the signatures of measured calls short.
type duration = time.Duration

// lab is the device and what is loaded on it: the block or the model, one at a
// time.
type lab struct {
	options Options
	facts   Device
	loaded  *loaded  // nil: nothing
	model   bool     // it is the model
	refused [2]error // why the block, or the model, cannot be loaded
}

// loaded is a stage on a device of its own, sequences in it, and a stream beside
// it for ceilings.
type loaded struct {
	device  *observed
	backend *cuda.Backend // closes the device
	kernels *kernels.Set
	stream  device.Stream
	taken   []device.Pointer // of ceilings
	read    reading

	config tcn.Config
	needs  cuda.Needs
	stage  tcn.Stage
	input  []float32 // [most rows, d_model]
	works  []*tcn.Work
	text   int // rows of the first sequence that part model read
}

// block is the stage of one block, for sequences of one row and one of many.
func (l *lab) block() (*loaded, error) {
	sequences := max(slices.Max(l.options.Decode), l.options.Rack.Sessions)
	return l.only(false, l.options.Block, sequences, 0, slices.Max(l.options.Prompt))
}

// whole is the stage of the model, for a sequence with each Soul.
func (l *lab) whole() (*loaded, error) {
	return l.only(true, l.options.Model, l.options.Souls, l.options.Souls, cuda.MaxRows)
}

// only makes what is asked for the only thing loaded. What could not be loaded once
// is not tried again.
func (l *lab) only(model bool, c tcn.Config, sequences, souls, rows int) (*loaded, error) {
	if l.loaded != nil && l.model == model {
		return l.loaded, nil
	}
	refused := &l.refused[0]
	if model {
		refused = &l.refused[1]
	}
	if *refused != nil {
		return nil, *refused
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	made, err := l.load(c, sequences, souls, rows)
	if *refused = err; err != nil {
		return nil, err
	}
	l.loaded, l.model = made, model
	return made, nil
}

// load loads a model on a device that is opened for it.
func (l *lab) load(c tcn.Config, sequences, souls, rows int) (*loaded, error) {
	w, err := newWeights(c, souls, soulRank)
	if err != nil {
		return nil, err
	}
	needs, err := cuda.NeedsOf(c, c.All(), w.blocks, cuda.Options{})
	if err != nil {
		return nil, err
	}
	d, err := l.options.Open()
	if err != nil {
		return nil, err
	}
	made := &loaded{device: observe(d), config: c, needs: needs, input: rowsOf(max(rows, sequences), c.DModel)}
	info := d.Info()
	l.facts = Device{info.Name, info.Memory, fmt.Sprintf("%d.%d", info.Major, info.Minor), info.Multiprocessors, info.Driver}
	if err := made.open(w, sequences); err != nil {
		_ = made.close() // the first error says more
		return nil, err
	}
	return made, nil
}

// close gives the device back.
func (l *lab) close() error {
	if l.loaded == nil {
		return nil
	}
	was := l.loaded
	l.loaded = nil
	return was.close()
}

// open loads the weights and begins the sequences.
func (d *loaded) open(w *weights, sequences int) (err error) {
	d.backend, err = cuda.New(d.device, cuda.Options{StateBytes: int64(sequences) * d.needs.State})
	if err != nil {
		return err
	}
	if d.kernels, err = kernels.Load(d.device); err != nil {
		return err
	}
	if d.stream, err = d.device.NewStream(); err != nil {
		return err
	}
	if d.stage, err = d.backend.Load(d.config, d.config.All(), w.blocks); err != nil {
		return err
	}
	variants := w.variants()
	for i := range sequences {
		state, err := d.stage.NewState(d.config.All(), 0)
		if err != nil {
			return err
		}
		d.works = append(d.works, &tcn.Work{State: state, Variant: variants[i%len(variants)]})
	}
	return nil
}

// close gives everything back, the device last.
func (d *loaded) close() error {
	if d.backend == nil {
		return d.device.Close()
	}
	var errs []error
	for _, p := range d.taken {
		errs = append(errs, d.device.Free(p))
	}
	if d.stream != nil {
		errs = append(errs, d.stream.Close())
	}
	return errors.Join(append(errs, d.backend.Close())...)
}

// decode is a Step of one row of each of so many sequences.
func (d *loaded) decode(sequences int) (time.Duration, error) {
	return d.step(d.works[:sequences], 1)
}

// prompt is a Step of so many rows of the first sequence.
func (d *loaded) prompt(rows int) (time.Duration, error) { return d.step(d.works[:1], rows) }

// step is a Step of so many rows of each of works. Handing the rows over is not in
// its time, what the stage does with them is.
func (d *loaded) step(works []*tcn.Work, rows int) (time.Duration, error) {
	for i, w := range works {
		width := rows * d.config.DModel
		if cap(w.Rows.Data) < width {
			w.Rows.Data = make([]float32, width)
		}
		w.Rows = tcn.Rows{Position: w.State.Position(), Count: rows, Data: w.Rows.Data[:width]}
		copy(w.Rows.Data, d.input[i*d.config.DModel:])
	}
	began := time.Now()
	err := d.stage.Step(works)
	took := time.Since(began)
	for _, w := range works {
		err = errors.Join(err, w.Err)
	}
	return took, err
}

// allocate takes memory of the device for a ceiling.
func (d *loaded) allocate(bytes int64) (device.Pointer, error) {
	p, err := d.device.Allocate(bytes)
	if err == nil {
		d.taken = append(d.taken, p)
	}
	return p, err
}

// free gives what was allocated after the first n back.
func (d *loaded) free(n int) error {
	var errs []error
	for _, p := range d.taken[n:] {
		errs = append(errs, d.device.Free(p))
	}
	d.taken = d.taken[:n]
	return errors.Join(errs...)
}

// launch runs a kernel and waits for it.
func (d *loaded) launch(c kernels.Call) (time.Duration, error) {
	began := time.Now()
	if err := d.kernels.Launch(d.stream, c); err != nil {
		return 0, err
	}
	err := d.stream.Wait(cuda.DefaultWatchdog)
	return time.Since(began), err
}

// random fills a stretch of the device's memory with random bytes, some of the
// host's again and again.
func (d *loaded) random(to device.Pointer, bytes int64) error {
	const most = 16 << 20
	some := make([]byte, (min(bytes, most)+7)/8*8)
	fillRandom(some)
	some = some[:min(bytes, most)]
	if err := d.stream.CopyIn(to, some); err != nil {
		return err
	}
	for done := int64(len(some)); done < bytes; {
		n := min(done, bytes-done)
		if err := d.stream.CopyWithin(to+device.Pointer(done), to, n); err != nil {
			return err
		}
		done += n
	}
	return d.stream.Wait(cuda.DefaultWatchdog)
}

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
