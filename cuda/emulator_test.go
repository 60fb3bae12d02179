package cuda

import (
	"os"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// everythingVariable, if set, makes TestBackendOnEmulator run all of backendtest,
// which takes many minutes.
const everythingVariable = "ZETAGRID_EMULATOR_ALL"

// slow reports whether a test on the emulator is to be left out: the race detector
// makes it ten times as slow, and sees nothing that the fake device does not show.
func slow(short bool) bool { return raceEnabled || short && testing.Short() }

// openEmulator is a Backend on the device that runs the committed PTX.
func openEmulator(t *testing.T, o Options) *Backend {
	t.Helper()
	d := emulator.New(emulator.Options{})
	o.StateBytes = 16 << 20
	b, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// TestBackendOnEmulator: the kernels themselves, of the committed PTX, compute the
// golden digests of the arithmetic and of every case of the suite.
func TestBackendOnEmulator(t *testing.T) {
	if os.Getenv(everythingVariable) != "" {
		backendtest.Run(t, openEmulator(t, Options{}))
		return
	}
	t.Run("self-check", func(t *testing.T) {
		t.Parallel()
		if slow(true) {
			t.Skip("slow")
		}
		if err := tcn.SelfCheck(openEmulator(t, Options{})); err != nil {
			t.Error(err)
		}
	})
	for i, c := range backendtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if slow(i%5 != 0) {
				t.Skip("slow")
			}
			got, err := backendtest.Digest(openEmulator(t, Options{}), c)
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
			newTwin(t, openEmulator(t, Options{}), c, uint64(i)).run(2)
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
		overflows(t, openEmulator(t, Options{}), c, 4)
	}
}
