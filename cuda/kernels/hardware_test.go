//go:build cuda && linux

package kernels

import (
	"os"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// With the tag cuda the tests of this package run on this machine's first device.
// Where there is none they run on the emulator, as without the tag, unless
// ZETAGRID_CUDA says that there must be one.
func init() {
	_, err := driver.Devices()
	if _, must := os.LookupEnv("ZETAGRID_CUDA"); must || err == nil {
		newDevice = func(emulator.Options) (device.Device, error) { return driver.Open(0) }
	}
}
