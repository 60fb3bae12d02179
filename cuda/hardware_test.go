//go:build cuda && linux

package cuda

import (
	"errors"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// TestBackendOnHardware: this machine's first device computes the bits of the CPU.
func TestBackendOnHardware(t *testing.T) {
	d, err := driver.Open(0)
	if errors.Is(err, device.ErrNoDriver) || errors.Is(err, device.ErrNoDevice) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(d, Options{StateBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Logf("on %+v", d.Info())
	backendtest.Run(t, b)
}
