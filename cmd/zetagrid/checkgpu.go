package main

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/tcn"
)

// gpus is how devices are found: package driver, or a test's own.
type gpus struct {
	devices func() ([]device.Info, error)
	open    func(n int) (device.Device, error)
}

// checkGPUs says which CUDA devices this machine has and checks the arithmetic of
// each. That there are none is no fault: the processor computes.
func checkGPUs(g gpus) []check {
	devices, err := g.devices()
	switch {
	case errors.Is(err, device.ErrNotBuilt):
		return []check{ok("GPU", "this program was built without CUDA; one that uses GPUs is built with: make cuda")}
	case errors.Is(err, device.ErrNoDriver):
		return []check{warn("GPU", "install NVIDIA's driver, or add the folder of its libcuda.so.1 to LD_LIBRARY_PATH", "%v", err)}
	case err != nil:
		return []check{warn("GPU", "nvidia-smi says what the driver sees", "%v", err)}
	case len(devices) == 0:
		return []check{warn("GPU", "nvidia-smi says what the driver sees", "the driver has no devices")}
	}
	var checks []check
	for n, info := range devices {
		checks = append(checks, ok(gpuName(n), "%s", describeGPU(info)), checkGPUArithmetic(g, n))
	}
	return checks
}

// gpuName is the name of the checks of one device.
func gpuName(n int) string { return fmt.Sprintf("GPU %d", n) }

// describeGPU is a device in a line.
func describeGPU(i device.Info) string {
	free := "free memory unknown"
	if i.Free > 0 {
		free = humanize.IBytes(uint64(i.Free)) + " free"
	}
	return fmt.Sprintf("%s, %s, %s, compute capability %d.%d, %d multiprocessors, driver for CUDA %s",
		i.Name, humanize.IBytes(uint64(max(i.Memory, 0))), free, i.Major, i.Minor, i.Multiprocessors, i.Driver)
}

// checkGPUArithmetic recomputes the golden digests on a device.
func checkGPUArithmetic(g gpus, n int) check {
	name := gpuName(n) + " arithmetic"
	d, err := g.open(n)
	if err != nil {
		return failGPU(name, err)
	}
	backend, err := cuda.New(d, cuda.Options{})
	if err != nil {
		return failGPU(name, errors.Join(err, d.Close()))
	}
	err = tcn.SelfCheck(backend)
	if err = errors.Join(err, backend.Close()); err != nil {
		return failGPU(name, err)
	}
	return ok(name, "%s computes the golden digests", backend.Name())
}

// failGPU is a check of a device that cannot be used, and what to do about it.
func failGPU(name string, err error) check {
	switch {
	case errors.Is(err, device.ErrUnsupported):
		return warn(name, "compute with another device or the processor", "%v", err)
	case errors.Is(err, device.ErrOutOfMemory):
		return warn(name, "end what else uses the device: nvidia-smi lists it", "%v", err)
	case errors.Is(err, tcn.ErrDigest):
		return fail(name, "do not compute with this device, and report this with zetagrid version", err)
	}
	return fail(name, "see the kernel's log (dmesg, NVRM: Xid) and reset or replace the device", err)
}

// machineGPUs are the CUDA devices of this machine.
var machineGPUs = gpus{driver.Devices, driver.Open}
