//go:build cuda && linux

package kernels

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

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

// TestResources logs what the driver's compiler made of the kernels: registers in local
// memory cost more time than they save.
func TestResources(t *testing.T) {
	if _, must := os.LookupEnv("ZETAGRID_CUDA"); !must {
		t.Skip("ZETAGRID_CUDA names no GPU")
	}
	functions := newRig(t).set.functions
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		registers, local, err := functions[name].(interface{ Resources() (int, int, error) }).Resources()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%-24s %3d registers, %4d bytes of local memory", name, registers, local)
	}
}
