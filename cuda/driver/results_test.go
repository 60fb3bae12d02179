package driver

import (
	"errors"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
)

func TestFailure(t *testing.T) {
	for _, c := range []struct {
		code int
		name string
		kind error
	}{
		{1, "InvalidValue", device.ErrUnsupported},
		{2, "OutOfMemory", device.ErrOutOfMemory},
		{3, "NotInitialized", device.ErrNoDriver},
		{34, "StubLibrary", device.ErrNoDriver},
		{46, "DeviceUnavailable", device.ErrLost},
		{100, "NoDevice", device.ErrNoDevice},
		{101, "InvalidDevice", device.ErrNoDevice},
		{201, "InvalidContext", device.ErrLost},
		{209, "NoBinaryForGpu", device.ErrUnsupported},
		{214, "EccUncorrectable", device.ErrLost},
		{218, "InvalidPtx", device.ErrUnsupported},
		{222, "UnsupportedPtxVersion", device.ErrUnsupported},
		{500, "NotFound", device.ErrUnsupported},
		{600, "NotReady", device.ErrUnsupported},
		{700, "IllegalAddress", device.ErrIllegalAccess},
		{701, "LaunchOutOfResources", device.ErrUnsupported},
		{702, "LaunchTimeout", device.ErrHung},
		{709, "ContextIsDestroyed", device.ErrLost},
		{710, "Assert", device.ErrIllegalAccess},
		{715, "IllegalInstruction", device.ErrIllegalAccess},
		{716, "MisalignedAddress", device.ErrIllegalAccess},
		{718, "InvalidPc", device.ErrIllegalAccess},
		{719, "LaunchFailed", device.ErrLost},
		{801, "NotSupported", device.ErrUnsupported},
		{803, "SystemDriverMismatch", device.ErrNoDriver},
		{901, "StreamCaptureInvalidated", device.ErrUnsupported},
		{999, "Unknown", device.ErrLost},
		{-1, "Result-1", device.ErrLost},
		{54321, "Result54321", device.ErrLost},
	} {
		got := failure(c.code, "kernel norm")
		if got.Code != c.code || got.Name != c.name || got.Doing != "kernel norm" || !errors.Is(got, c.kind) {
			t.Errorf("failure(%d) = %#v, want %s, %v", c.code, got, c.name, c.kind)
		}
	}
}

// Every row names its result and one of device's kinds, and none is success.
func TestResultsAreWhole(t *testing.T) {
	kinds := []error{device.ErrNoDriver, device.ErrNoDevice, device.ErrUnsupported, device.ErrOutOfMemory, device.ErrIllegalAccess, device.ErrHung, device.ErrLost}
	names := map[string]int{}
	for code, r := range results {
		known := false
		for _, k := range kinds {
			known = known || r.kind == k
		}
		if code == success || r.name == "" || !known {
			t.Errorf("result %d: %+v", code, r)
		}
		if other, twice := names[r.name]; twice {
			t.Errorf("results %d and %d are both %s", code, other, r.name)
		}
		names[r.name] = code
	}
}
