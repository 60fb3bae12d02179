package cuda

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// TestBackendOnFake: what the host asks of a device is the model.
func TestBackendOnFake(t *testing.T) {
	b, _ := openFake(t, Options{})
	if !raceEnabled {
		backendtest.Run(t, b)
		return
	}
	for _, c := range backendtest.Cases() { // what the detector has time for
		if got, err := backendtest.Digest(b, c); err != nil || got != backendtest.Digests[c.Name] {
			t.Errorf("%s: digest %s, %v, want %s", c.Name, got, err, backendtest.Digests[c.Name])
		}
	}
}
