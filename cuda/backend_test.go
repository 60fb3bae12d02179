package cuda

import (
	"testing"

	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// TestBackendOnFake: what the host asks of a device is the model.
func TestBackendOnFake(t *testing.T) {
	b, _ := openFake(t, Options{})
	backendtest.Run(t, b)
}
