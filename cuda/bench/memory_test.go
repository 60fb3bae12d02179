package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn/bench"
)

// TestMemory: whatever works is measured beside a read of as many of a device's
// bytes as were asked for, or half of what is free.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ free, asked, want int64 }{{1 << 20, 5000, 5008}, {96 << 10, 1 << 40, 48 << 10}, {1 << 20, 0, 1 << 10}} {
		d := emulator.New(emulator.Options{Memory: c.free})
		m, err := OpenMemory(d, c.asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.device.read.bytes; got != c.want {
			t.Errorf("of %d free bytes %d are read where %d were asked for, want %d", c.free, got, c.asked, c.want)
		}
		calls := 0
		f, err := m.Beside(t.Context(), "model", bench.LeastRounds, 1e9, func() (time.Duration, error) {
			calls++
			return time.Millisecond, nil
		})
		if err != nil || f.Name != "model" || f.Value != 1000 || f.Unit != "GB/s" || !(f.Ceiling > 0 && f.OfCeiling > 0) ||
			f.Rounds != bench.LeastRounds || f.Processors != 1 || calls < f.Rounds {
			t.Errorf("%+v after %d calls, %v", f, calls, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if n, _ := d.Live(); n != 0 {
			t.Errorf("%d allocations are left", n)
		}
	}
}

// TestMemoryFails: a device on which nothing can be read is the caller's, and one
// that fails later says so.
func TestMemoryFails(t *testing.T) {
	d := emulator.New(emulator.Options{Memory: 100})
	if _, err := OpenMemory(d, 1<<20); !errors.Is(err, device.ErrOutOfMemory) {
		t.Errorf("%v", err)
	}
	if _, err := d.Allocate(1); err != nil {
		t.Error(err)
	}
	d = emulator.New(emulator.Options{})
	m, err := OpenMemory(d, 1<<12)
	if err != nil {
		t.Fatal(err)
	}
	d.Fail(0, device.ErrLost)
	if _, err := m.Beside(t.Context(), "model", 0, 1, func() (time.Duration, error) { return 1, nil }); !errors.Is(err, device.ErrLost) {
		t.Errorf("%v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
