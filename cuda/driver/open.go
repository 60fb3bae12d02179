//go:build cuda && linux

package driver

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"gorgonia.org/cu"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// Built reports whether this program can use CUDA devices.
const Built = true

// start loads the driver once; a driver installed later needs a new program.
var start = sync.OnceValue(func() error {
	why, err := startDriver()
	switch {
	case why != "":
		return &device.Error{Kind: device.ErrNoDriver, Doing: "looking for it: " + why}
	case err != nil:
		return failure(codeOf(err), "starting the driver")
	}
	if v := cu.Version(); v < oldestDriver {
		return &device.Error{Kind: device.ErrNoDriver, Doing: fmt.Sprintf("the driver here is for CUDA %s, too old: install one for CUDA %s or later", version(v), version(oldestDriver))}
	}
	return nil
})

// version is a number of CUDA's as people write it: 12090 is 12.9; 0 or less is "".
func version(v int) string {
	if v <= 0 {
		return ""
	}
	return strconv.Itoa(v/1000) + "." + strconv.Itoa(v%1000/10)
}

// Devices are the CUDA devices of this machine; index n is what [Open] takes. Free
// is 0 where the device would not say. Errors: ErrNoDriver; ErrNoDevice when there
// are none.
func Devices() ([]device.Info, error) { return within(limits.open, "looking for devices", devices) }

func devices() ([]device.Info, error) {
	if err := start(); err != nil {
		return nil, err
	}
	count, err := cu.NumDevices()
	if err != nil {
		return nil, failure(codeOf(err), "counting the devices")
	}
	found := make([]device.Info, count)
	for n := range found {
		if found[n], err = describe(cu.Device(n)); err != nil {
			return nil, failure(codeOf(err), fmt.Sprintf("describing device %d", n))
		}
		found[n].Free = freeOf(cu.Device(n))
	}
	return found, nil
}

// describe is what a device says of itself without a context: all but Free.
func describe(d cu.Device) (device.Info, error) {
	info := device.Info{Driver: version(cu.Version())}
	var err error
	if info.Name, err = d.Name(); err != nil {
		return info, err
	}
	if info.Memory, err = d.TotalMem(); err != nil {
		return info, err
	}
	for _, a := range []struct {
		attribute cu.DeviceAttribute
		to        *int
	}{
		{cu.ComputeCapabilityMajor, &info.Major},
		{cu.ComputeCapabilityMinor, &info.Minor},
		{cu.MultiprocessorCount, &info.Multiprocessors},
	} {
		if *a.to, err = d.Attribute(a.attribute); err != nil {
			return info, err
		}
	}
	return info, nil
}

// freeOf is the free memory of a device that this program has not opened; 0 if the
// device would not say.
func freeOf(d cu.Device) int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	context, err := d.MakeContext(cu.SchedAuto)
	if err != nil {
		return 0
	}
	free, _, err := cu.MemInfo()
	if err != nil {
		free = 0
	}
	if err := context.Destroy(); err != nil {
		return 0
	}
	return free
}

// Open readies device n. Errors: ErrNoDriver, ErrNoDevice, ErrUnsupported for a
// device before compute capability 8.0, ErrOutOfMemory, ErrHung, ErrLost.
func Open(n int) (device.Device, error) {
	doing := fmt.Sprintf("opening device %d", n)
	return within(limits.open, doing, func() (device.Device, error) { return openDevice(n, doing) })
}

// within is what f returns, or an ErrHung after limit. What f still makes then
// stays until the program ends.
func within[T any](limit time.Duration, doing string, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-timer.C:
		var none T
		return none, &device.Error{Kind: device.ErrHung, Doing: doing + ": the driver does not answer"}
	}
}

func openDevice(n int, doing string) (device.Device, error) {
	if err := start(); err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, &device.Error{Kind: device.ErrNoDevice, Doing: doing}
	}
	d, err := cu.GetDevice(n)
	if err != nil {
		return nil, failure(codeOf(err), doing)
	}
	info, err := describe(d)
	if err != nil {
		return nil, failure(codeOf(err), doing)
	}
	if info.Major < oldestMajor {
		return nil, &device.Error{Kind: device.ErrUnsupported, Doing: fmt.Sprintf(
			"%s: %s has compute capability %d.%d; %d.0 or later is needed", doing, info.Name, info.Major, info.Minor, oldestMajor)}
	}
	context, err := makeContext(d)
	if err != nil {
		return nil, failure(codeOf(err), doing)
	}
	return &gpu{context: context, info: info, limits: limits, lost: make(chan struct{})}, nil
}

// makeContext makes a context and leaves it current nowhere.
func makeContext(d cu.Device) (cu.CUContext, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	context, err := d.MakeContext(cu.SchedAuto)
	if err != nil {
		return context, err
	}
	_, err = cu.PopCurrentCtx()
	return context, err
}
