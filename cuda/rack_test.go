package cuda

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

// TestRackOfDevices: two devices and the processor, whatever each holds, are one
// backend of the same bits.
func TestRackOfDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("short: one device only")
	}
	first, _ := openFake(t, Options{StateBytes: 4 << 20})
	second, _ := openFake(t, Options{StateBytes: 4 << 20})
	b, err := rack.New([]rack.Device{
		{Backend: first, Weights: 2}, {Backend: tcn.NewCPU(nil), Weights: 1}, {Backend: second, Weights: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	backendtest.Run(t, b)
}
