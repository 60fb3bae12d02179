package cuda

import (
	"errors"
	"os"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// everythingVariable, if set, makes TestBackendOnEmulator run all of backendtest: about
// a minute of a processor for a case.
const everythingVariable = "ZETAGRID_EMULATOR_ALL"

// slow reports whether a test on the emulator is to be left out: the race detector
// makes it ten times as slow, and sees nothing that the fake device does not show.
func slow(short bool) bool { return raceEnabled || short && testing.Short() }

// openEmulator is a Backend on the device that runs the committed PTX. Stages that
// were closed when the test ends must have given their memory back.
func openEmulator(t *testing.T, o emulator.Options) *Backend {
	t.Helper()
	d := emulator.New(o)
	b, err := New(d, Options{StateBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := d.Live()
	t.Cleanup(func() {
		if n, bytes := d.Live(); len(b.stages) == 0 && b.Err() == nil && n != before {
			t.Errorf("%d of %d bytes in all are left, %d were there before", n, bytes, before)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// quick is an emulator that leaves out what strict and package kernels check.
var quick = emulator.Options{Racy: true}

// strict is one that looks for races and for memory that nobody wrote.
var strict = emulator.Options{Strict: true}

// TestBackendOnEmulator: the kernels themselves, of the committed PTX, compute the
// golden digests of the arithmetic and of every case of the suite, and what the host
// hands them lets none read what nobody wrote, nor two threads meet.
func TestBackendOnEmulator(t *testing.T) {
	everything := os.Getenv(everythingVariable) != ""
	t.Run("self-check", func(t *testing.T) {
		t.Parallel()
		if slow(true) {
			t.Skip("slow")
		}
		if err := tcn.SelfCheck(openEmulator(t, quick)); err != nil {
			t.Error(err)
		}
	})
	for i, c := range backendtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if everything {
				backendtest.RunCase(t, openEmulator(t, quick), c)
				return
			}
			if slow(i%5 != 0) {
				t.Skip("slow")
			}
			got, err := backendtest.Digest(openEmulator(t, strict), c)
			if err != nil || got != backendtest.Digests[c.Name] {
				t.Errorf("digest %s, %v, want %s", got, err, backendtest.Digests[c.Name])
			}
		})
	}
}

// TestRandomBatchesOnEmulator: batches of many rows, of sequences that differ in
// everything, and so the product kernels of every number of rows.
func TestRandomBatchesOnEmulator(t *testing.T) {
	for i, c := range backendtest.Cases() {
		if i != 13 && i != 15 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if slow(true) {
				t.Skip("slow")
			}
			newTwin(t, openEmulator(t, quick), c, uint64(i)).run(2)
		})
	}
}

// TestOverflowsOnEmulator: the kernels find what is not finite where the CPU does.
func TestOverflowsOnEmulator(t *testing.T) {
	if slow(false) {
		t.Skip("slow")
	}
	for _, i := range []int{5, 10, 12, 15} {
		c := backendtest.Cases()[i]
		c.Souls = 0
		overflows(t, openEmulator(t, quick), c, 4)
	}
}

// TestStrictly: what the host hands the kernels lets none read memory that nobody
// wrote, nor two threads meet in it, whatever part of a batch is filled up.
func TestStrictly(t *testing.T) {
	for _, i := range []int{2, 9, 13, 15} {
		c := backendtest.Cases()[i]
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if slow(true) {
				t.Skip("slow")
			}
			newTwin(t, openEmulator(t, strict), c, uint64(i)).run(1)
		})
	}
}

// TestHungKernel: a kernel that does not end ends the backend, not the program.
func TestHungKernel(t *testing.T) {
	c := backendtest.Cases()[12]
	m, all := c.Model(), c.Config.All()
	b := openEmulator(t, emulator.Options{Budget: 10})
	s, err := b.Load(c.Config, all, m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	state := newState(t, s, all)
	for range 2 {
		err := s.Step(works(m.Variant(all, 0), c.Config.DModel, 1, state))
		if !errors.Is(err, tcn.ErrDevice) || !errors.Is(err, device.ErrHung) {
			t.Errorf("Step: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestEmulatorFails: every allocation and every piece of work of a stage's life on
// the emulator fails in turn.
func TestEmulatorFails(t *testing.T) {
	if slow(true) {
		t.Skip("slow")
	}
	c := backendtest.Cases()[13]
	c.Config.DModel, c.Config.DFF, c.Config.Layers, c.Config.LayersPerBlock = 16, 20, 2, 1
	m := c.Model()
	for _, kind := range []error{device.ErrOutOfMemory, device.ErrIllegalAccess} {
		for n := 0; ; n++ {
			d := emulator.New(quick)
			b, err := New(d, Options{StateBytes: 1 << 20, MaxRows: 1}) // two passes
			if err != nil {
				t.Fatal(err)
			}
			before, _ := d.Live()
			d.Fail(n, kind)
			err = lifeOfOne(b, c, m)
			if after, _ := d.Live(); !device.Fatal(err) && after != before {
				t.Errorf("%v at %d: %d allocations, %d before", kind, n, after, before)
			}
			if err := b.Close(); err != nil {
				t.Errorf("%v at %d: Close: %v", kind, n, err)
			}
			if err == nil {
				t.Logf("%v: %d places", kind, n)
				break
			}
			if !errors.Is(err, kind) || !errors.Is(err, tcn.ErrDevice) && !errors.Is(err, tcn.ErrNoRoom) {
				t.Errorf("%v at %d: %v", kind, n, err)
			}
		}
	}
}

// lifeOfOne loads, steps and closes a stage.
func lifeOfOne(b *Backend, c backendtest.Case, m *backendtest.Model) error {
	all := c.Config.All()
	s, err := b.Load(c.Config, all, m.Blocks)
	if err != nil {
		return err
	}
	state, err := s.NewState(all, 0)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	list := works(m.Variant(all, 2), c.Config.DModel, 2, state)
	return errors.Join(s.Step(list), list[0].Err, state.Close(), s.Close())
}
