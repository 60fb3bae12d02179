//go:build !cuda || !linux

package driver_test

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
)

// A program that was built without the tag cuda has no devices, and says so.
func Example() {
	_, err := driver.Open(0)
	fmt.Println(driver.Built, errors.Is(err, device.ErrNotBuilt))
	fmt.Println(err)
	// Output:
	// false true
	// device: this program was built without CUDA: build it on Linux with make cuda, see docs/gpu.md
}
