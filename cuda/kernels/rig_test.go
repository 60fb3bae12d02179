package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// newDevice is an emulated device, or, with the tag cuda, this machine's first.
var newDevice = func(o emulator.Options) (device.Device, error) { return emulator.New(o), nil }

// rig is a device with the kernels loaded.
type rig struct {
	t      testing.TB
	device device.Device
	set    *Set
	stream device.Stream
}

// newRig is a rig whose device looks for races and for memory that nobody wrote.
func newRig(t testing.TB) *rig {
	t.Helper()
	d, err := newDevice(emulator.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	set, err := Load(d)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, d, set, stream}
}

// must fails the test on an error of the device.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// room is memory that nobody has written.
func (r *rig) room(bytes int) device.Pointer {
	r.t.Helper()
	at, err := r.device.Allocate(int64(bytes))
	r.must(err)
	return at
}

// run runs c and waits for it.
func (r *rig) run(c Call) {
	r.t.Helper()
	r.must(r.set.Launch(r.stream, c))
	r.must(r.stream.Wait(time.Minute))
}

// put is a copy of what in the device's memory; not a byte more is reached there.
func put[T any](r *rig, what []T) device.Pointer {
	r.t.Helper()
	if len(what) == 0 {
		return 0
	}
	at := r.room(len(bytesIn(what)))
	r.must(r.stream.CopyIn(at, bytesIn(what)))
	r.must(r.stream.Wait(time.Minute))
	return at
}

// got is n of what lies at an address.
func got[T any](r *rig, at device.Pointer, n int) []T {
	r.t.Helper()
	out := make([]T, n)
	r.must(r.stream.CopyOut(bytesIn(out), at))
	r.must(r.stream.Wait(time.Minute))
	return out
}

// wantSame fails unless numbers have the same bits, or are both not a number.
func wantSame(t testing.TB, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if g := got[i]; math.Float32bits(g) != math.Float32bits(w) && !(g != g && w != w) {
			t.Fatalf("%s: number %d of %d is %v (%08x), want %v (%08x)", what, i, len(want), g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

// extremes are numbers where arithmetic is easily wrong.
var extremes = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32,
	0x1p-126, 0x1p-127, -0x1p-130, 1e-30, 3e9, -1e15, 0x1p60, 1 + 0x1p-23,
}

// numbers is n numbers: plain ones, and with some extremes among them.
func numbers(c *rand.Rand, n int, extreme bool) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(c.NormFloat64())
		if extreme && c.IntN(4) == 0 {
			out[i] = extremes[c.IntN(len(extremes))]
		}
	}
	return out
}

// rowsOfAll is rows of numbers of every kind: plain, with extremes, all zero, all
// too small for a scale, and one that is not finite.
func rowsOfAll(c *rand.Rand, rows, cols int) []float32 {
	out := numbers(c, rows*cols, false)
	for i := range rows {
		x := out[i*cols : (i+1)*cols]
		switch i % 7 {
		case 2:
			copy(x, numbers(c, cols, true))
		case 3:
			clear(x)
		case 4:
			for j := range x {
				x[j] *= 0x1p-135
			}
		case 6:
			x[c.IntN(cols)] = float32(math.Inf(1))
		}
	}
	return out
}

// int8Rows puts x [n, cols] as int8 numbers into the device's memory, with room for
// stride rows; what is past the last row nobody has written. It returns what portable
// makes of x, too.
func (r *rig) int8Rows(x []float32, n, cols, stride int) (Int8Rows, *kernel.Int8Rows) {
	r.t.Helper()
	want := &kernel.Int8Rows{}
	want.Reset(n, cols)
	for i := range n {
		kernel.Portable().QuantizeRow(want, i, x[i*cols:(i+1)*cols])
	}
	groups := kernel.Groups(cols)
	rows := Int8Rows{Q: r.room(groups * stride * 16), Scale: r.room(4 * stride), Sum: r.room(4 * stride)}
	for g := range groups {
		r.must(r.stream.CopyIn(rows.Q+device.Pointer(g*stride*16), bytesIn(want.Q[g*n*16:(g+1)*n*16])))
	}
	r.must(r.stream.CopyIn(rows.Scale, bytesIn(want.Scale)))
	r.must(r.stream.CopyIn(rows.Sum, bytesIn(want.Sum)))
	r.must(r.stream.Wait(time.Minute))
	return rows, want
}
