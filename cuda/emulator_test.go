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

// everythingVariable, if set, makes TestBackendOnEmulator run all of backendtest: some
// minutes for a case without Souls, much longer for one with.
const everythingVariable = "ZETAGRID_EMULATOR_ALL"

// slow reports whether a test on the emulator is to be left out: the race detector
// makes it ten times as slow, and sees nothing that the fake device does not show.
func slow(short bool) bool { return raceEnabled || short && testing.Short() }

// openEmulator is a Backend on the device that runs the committed PTX. Its memory
// must be given back when the test ends.
func openEmulator(t *testing.T, o emulator.Options) *Backend {
	t.Helper()
	d := emulator.New(o)
	before, _ := d.Live()
	b, err := New(d, Options{StateBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n, bytes := d.Live(); n != before {
			t.Errorf("%d allocations of %d bytes are left", n, bytes)
		}
	})
	return b
}

// quick is an emulator that leaves out what package kernels checks of its kernels.
var quick = emulator.Options{Racy: true}

// TestBackendOnEmulator: the kernels themselves, of the committed PTX, compute the
// golden digests of the arithmetic and of every case of the suite.
func TestBackendOnEmulator(t *testing.T) {
	if os.Getenv(everythingVariable) != "" {
		backendtest.Run(t, openEmulator(t, emulator.Options{Racy: true, Memory: 8 << 30})) // 112 stages at once
		return
	}
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
			if slow(i%5 != 0) {
				t.Skip("slow")
			}
			got, err := backendtest.Digest(openEmulator(t, quick), c)
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
			newTwin(t, openEmulator(t, emulator.Options{Strict: true}), c, uint64(i)).run(1)
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
