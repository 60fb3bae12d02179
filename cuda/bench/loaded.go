package bench

import (
	"errors"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

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
