package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/bench"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// small is options for an emulated device: next to no work.
func small(t *testing.T) Options {
	t.Helper()
	rack, err := plan.DefaultTable().ParseRack("3xh100-80")
	if err != nil {
		t.Fatal(err)
	}
	c := tcn.Config{
		Cell: tcn.CellRelease, VocabSize: tcn.VocabSize, DModel: 128, DFF: 128, Layers: 1, KernelSize: 2, Dilations: []int{1, 2},
		RMSEps: 1e-6, State: tcn.BF16, Boundary: tcn.BF16, Weights: tcn.WeightsQ2,
	}.WithDefaults()
	whole := c
	whole.DModel, whole.DFF, whole.Layers, whole.LayersPerBlock = 16, 32, 2, 1
	return Options{
		Open:   func() (device.Device, error) { return emulator.New(emulator.Options{Memory: 64 << 20}), nil },
		Rounds: bench.LeastRounds, Block: c, Decode: []int{1, 2}, Prompt: []int{3},
		Rack:  Rack{GPUs: rack, Link: plan.DefaultLink, Blocks: 3, Sessions: 2, Hop: 40 * time.Microsecond},
		Model: whole, Bytes: 260, Souls: 2,
	}
}

// names are the figures and shapes of a result, measured or not.
func names(r Result) (measured, missing []string) {
	for _, f := range r.Figures {
		measured = append(measured, f.Name+" "+f.Shape)
	}
	for _, m := range r.NotMeasured {
		missing = append(missing, m.Figure+" "+m.Shape)
	}
	return measured, missing
}

// TestRun: every figure of every part is found on an emulated device.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	o := small(t)
	steps := 0
	began := time.Now()
	r, err := Run(t.Context(), o, Parts(), func(next string, soFar Result) {
		t.Logf("%6.2f s %s", time.Since(began).Seconds(), next)
		if len(soFar.Figures) > steps {
			t.Errorf("%d figures after %d steps", len(soFar.Figures), steps)
		}
		steps++
	})
	if err != nil || len(r.NotMeasured) > 0 {
		t.Fatalf("%v, not measured: %+v", err, r.NotMeasured)
	}
	const block, whole = "d=128,f=128,layers=1", "d=16,f=32,layers=2,souls=2"
	got, _ := names(r)
	want := []string{
		"decode " + block + ",rows=1", "decode " + block + ",rows=2", "decode-rows " + block + ",rows=2",
		"product rows=3,k=128,n=256", "product rows=3,k=128,n=128", "prefill " + block + ",rows=3",
		"hop ", "block " + block + ",rows=1", "block " + block + ",rows=2",
		"rack " + block + ",blocks=3,devices=3,sessions=1", "rack " + block + ",blocks=3,devices=3,sessions=2",
		"model-decode " + whole + ",rows=1", "model-decode " + whole + ",rows=2",
		"model-prefill " + whole + ",bytes=16", "model-memory " + whole + ",bytes=16",
		"model-prefill " + whole + ",bytes=260", "model-memory " + whole + ",bytes=260",
	}
	if !slices.Equal(got, want) {
		t.Errorf("figures\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range r.Figures {
		if !(f.Value > 0) || f.Beside != "" && !(f.Ceiling > 0 && f.OfCeiling > 0) || f.Kernels != "cuda" || f.Unit == "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Device.Name != "emulator" || r.Device.Memory != 64<<20 {
		t.Errorf("device %+v", r.Device)
	}
	checkKernels(t, r)
	if text, err := json.Marshal(r); err != nil || !json.Valid(text) {
		t.Error(err)
	}
}

// checkKernels wants the kernels of each Step: one product a matrix of a layer, and
// shares that add up.
func checkKernels(t *testing.T, r Result) {
	t.Helper()
	products, shares := map[string]int{}, map[string]float64{}
	for _, k := range r.Kernels {
		if k.Launches < 1 || k.Time < 0 {
			t.Errorf("%+v", k)
		}
		if strings.HasPrefix(k.Kernel, "product_q2") {
			products[k.Step] += k.Launches
		}
		shares[k.Step] += k.Share
	}
	for _, step := range []string{"decode d=128,f=128,layers=1,rows=1", "decode d=128,f=128,layers=1,rows=2", "prefill d=128,f=128,layers=1,rows=3"} {
		if products[step] != 2 || shares[step] < 0.999 || shares[step] > 1.001 {
			t.Errorf("%s: %d products, shares of %v together", step, products[step], shares[step])
		}
	}
}

// TestOutOfTime: what there is no time for is listed, with what was found before.
func TestOutOfTime(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	steps := 0
	r, err := Run(ctx, small(t), []string{"decode", "model"}, func(string, Result) {
		if steps++; steps == 2 {
			cancel(context.DeadlineExceeded)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	measured, missing := names(r)
	if len(measured) != 1 || len(missing) != 10 || steps != 11 {
		t.Errorf("measured %v, not measured %v, after %d steps", measured, missing, steps)
	}
	for _, m := range r.NotMeasured {
		if m.Reason != "out of time" {
			t.Errorf("%+v", m)
		}
	}
}

// failing is a device that a kernel ends.
type failing struct {
	device.Device
	kernel string
}

func (f *failing) NewStream() (device.Stream, error) {
	s, err := f.Device.NewStream()
	return &failingStream{s, f.kernel}, err
}

type failingStream struct {
	device.Stream
	kernel string
}

func (s *failingStream) Launch(f device.Function, l device.Launch) error {
	if f.Name() == s.kernel {
		return &device.Error{Kind: device.ErrLost, Doing: "kernel " + f.Name()}
	}
	return s.Stream.Launch(f, l)
}

// TestDeviceFails: a device that fails ends the run with its error; what was found
// before stays, nothing after is measured.
func TestDeviceFails(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	o := small(t)
	for kernel, found := range map[string]int{"conv_gate": 0, "read_bytes": 0, "product_s8_tiles": 3} {
		o.Open = func() (device.Device, error) {
			return &failing{emulator.New(emulator.Options{Memory: 64 << 20}), kernel}, nil
		}
		r, err := Run(t.Context(), o, []string{"prefill", "decode"}, func(string, Result) {})
		if !errors.Is(err, device.ErrLost) || !strings.Contains(err.Error(), kernel) {
			t.Errorf("%s: %v", kernel, err)
		}
		measured, missing := names(r)
		if len(measured) != found || r.NotMeasured[len(missing)-1].Reason != "the device failed before" {
			t.Errorf("%s: measured %v, not measured %+v", kernel, measured, r.NotMeasured)
		}
	}
}

// TestNoRoom: what does not fit is not measured, and no failure.
func TestNoRoom(t *testing.T) {
	o := small(t)
	o.Open = func() (device.Device, error) { return emulator.New(emulator.Options{Memory: 64 << 10}), nil }
	r, err := Run(t.Context(), o, Parts(), func(string, Result) {})
	measured, missing := names(r)
	if err != nil || !slices.Equal(measured, []string{"hop "}) {
		t.Errorf("%v, measured %v, not measured %v", err, measured, missing)
	}
}

// TestNoDevice: why there is none is the error, and everything is listed.
func TestNoDevice(t *testing.T) {
	o := small(t)
	o.Open = func() (device.Device, error) { return nil, &device.Error{Kind: device.ErrNoDriver, Doing: "opening"} }
	r, err := Run(t.Context(), o, []string{"decode"}, func(string, Result) {})
	if !errors.Is(err, device.ErrNoDriver) || len(r.Figures) != 0 || len(r.NotMeasured) != 5 {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestMissing: what lacks something says what, and leaves the rest alone.
func TestMissing(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	o := small(t)
	o.Rack.Hop, o.Block.DModel = 0, 80
	r, err := Run(t.Context(), o, []string{"prefill", "rack"}, func(string, Result) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no hop was measured", "80 columns are no multiple of 128"} {
		if !slices.ContainsFunc(r.NotMeasured, func(m Missing) bool { return strings.Contains(m.Reason, want) }) {
			t.Errorf("no figure lacks: %s: %+v", want, r.NotMeasured)
		}
	}
	o.Rack.Hop, o.Rack.GPUs = time.Millisecond, nil
	r, err = Run(t.Context(), o, []string{"rack"}, func(string, Result) {})
	if err != nil || len(r.NotMeasured) != 2 || !strings.Contains(r.NotMeasured[0].Reason, "data sheet") {
		t.Errorf("%v, %+v", err, r.NotMeasured)
	}
}

// TestOptions: at the limits, and past each.
func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"rounds":       func(o *Options) { o.Rounds = bench.LeastRounds - 1 },
		"more rounds":  func(o *Options) { o.Rounds = bench.MostRounds + 1 },
		"device":       func(o *Options) { o.Open = nil },
		"no rows":      func(o *Options) { o.Decode = nil },
		"zero rows":    func(o *Options) { o.Decode = []int{1, 0} },
		"many rows":    func(o *Options) { o.Decode = []int{MostSequences + 1} },
		"sessions":     func(o *Options) { o.Rack.Sessions = 0 },
		"blocks":       func(o *Options) { o.Rack.Blocks = 0 },
		"more blocks":  func(o *Options) { o.Rack.Blocks = plan.MaxBlocks + 1 },
		"prompt":       func(o *Options) { o.Prompt = []int{0} },
		"long prompt":  func(o *Options) { o.Prompt = []int{1, MostPrompt + 1} },
		"no prompt":    func(o *Options) { o.Prompt = nil },
		"bytes":        func(o *Options) { o.Bytes = 0 },
		"more bytes":   func(o *Options) { o.Bytes = MostBytes + 1 },
		"Souls":        func(o *Options) { o.Souls = 0 },
		"more Souls":   func(o *Options) { o.Souls = MostSequences + 1 },
		"width":        func(o *Options) { o.Model.DFF = 97 },
		"width of one": func(o *Options) { o.Block.DModel = 8 },
		"cell":         func(o *Options) { o.Block.Cell = tcn.CellPaper },
		"weights":      func(o *Options) { o.Model.Weights = "" },
		"config":       func(o *Options) { o.Model.Layers = 0 },
		"two blocks":   func(o *Options) { o.Block.Layers = 2; o.Block.LayersPerBlock = 1 },
	} {
		o := small(t)
		change(&o)
		_, err := Run(t.Context(), o, Parts(), func(string, Result) { t.Errorf("%s: it began", name) })
		if !errors.Is(err, ErrOptions) && !errors.Is(err, tcn.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Run(t.Context(), small(t), []string{"nothing"}, func(string, Result) {}); !errors.Is(err, ErrOptions) {
		t.Errorf("a part that there is not: %v", err)
	}
	o := small(t)
	o.Rounds, o.Decode, o.Rack.Sessions, o.Rack.Blocks = bench.MostRounds, []int{MostSequences}, MostSequences, plan.MaxBlocks
	o.Prompt, o.Bytes, o.Souls = []int{MostPrompt}, MostBytes, MostSequences
	if err := o.validate(Parts()); err != nil {
		t.Error(err)
	}
	o.Decode, o.Block = nil, tcn.Config{} // what only other parts need
	if err := o.validate([]string{"model"}); err != nil {
		t.Error(err)
	}
}

func Example() {
	gpu, _ := KindOf(plan.DefaultTable(), device.Info{Name: "NVIDIA H100 80GB HBM3", Memory: 85_520_809_984})
	fmt.Println(gpu.Name, Parts())
	// Output: h100-80 [decode prefill rack model]
}
