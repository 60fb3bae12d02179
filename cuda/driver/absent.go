//go:build !cuda || !linux

package driver

import "github.com/zetagrid/zetagrid/cuda/device"

// Built reports whether this program can use CUDA devices.
const Built = false

var notBuilt = &device.Error{Kind: device.ErrNotBuilt, Doing: "build it on Linux with make cuda, see docs/gpu.md"}

// Devices are the CUDA devices of this machine. Errors: ErrNotBuilt.
func Devices() ([]device.Info, error) { return nil, notBuilt }

// Open readies device n. Errors: ErrNotBuilt.
func Open(n int) (device.Device, error) { return nil, notBuilt }
