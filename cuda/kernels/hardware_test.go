//go:build cuda && linux

package kernels

import (
	"os"
	"strconv"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// With the tag cuda the tests of this package run on the device whose number is in
// ZETAGRID_CUDA, or on this machine's first. Where there is none they run on the
// emulator, as without the tag, unless the variable says that there must be one.
func init() {
	number, must := os.LookupEnv("ZETAGRID_CUDA")
	if !must {
		if _, err := driver.Devices(); err != nil {
			return
		}
	}
	newDevice = func(emulator.Options) (device.Device, error) {
		n := 0
		if must {
			var err error
			if n, err = strconv.Atoi(number); err != nil {
				return nil, err
			}
		}
		return driver.Open(n)
	}
}
