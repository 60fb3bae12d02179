package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/node"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

// kernelVariable names the environment variable that forces a kernel set.
const kernelVariable = "ZETAGRID_CPU"

// deviceFlags choose what computes.
type deviceFlags struct {
	Device deviceList `default:"cpu" placeholder:"DEVICES" help:"What computes the blocks: cpu, cuda (the first GPU), cuda:1, or several with commas, which share the blocks: cuda:0,cuda:1; emulator tries a GPU's kernels without one, very slowly. ZETAGRID_CPU=portable, avx2, avx512 or neon forces the processor's instruction level. The answer is the same. Default cpu."`
}

// mostCUDA bounds the number of a CUDA device; a machine has 16 at most today.
const mostCUDA = rack.MaxDevices - 1

// deviceKind is what a device is.
type deviceKind string

const (
	kindCPU  deviceKind = "cpu"
	kindCUDA deviceKind = "cuda"
	// kindEmulator is the GPU's stage on an emulated device, to try it without one: the
	// same bytes, thousands of times slower.
	kindEmulator deviceKind = "emulator"
)

// deviceID is one device; the number is a CUDA device's.
type deviceID struct {
	kind   deviceKind
	number int
}

func (d deviceID) String() string {
	if d.kind != kindCUDA {
		return string(d.kind)
	}
	return string(d.kind) + ":" + strconv.Itoa(d.number)
}

// deviceList is what --device names, in order; none is the processor.
type deviceList struct{ devices []deviceID }

func (l deviceList) String() string {
	words := make([]string, len(l.devices))
	for i, d := range l.devices {
		words[i] = d.String()
	}
	return strings.Join(words, ",")
}

// UnmarshalText reads a list of devices. Errors: a word that is no device, a number
// too large, a device named twice.
func (l *deviceList) UnmarshalText(text []byte) error {
	var devices []deviceID
	for word := range strings.SplitSeq(string(text), ",") {
		d, err := parseDevice(word)
		if err != nil {
			return err
		}
		if slices.Contains(devices, d) { // so a list is never longer than there are names
			return fmt.Errorf("%q names %s twice", text, d)
		}
		devices = append(devices, d)
	}
	l.devices = devices
	return nil
}

func parseDevice(word string) (deviceID, error) {
	kind, number, numbered := strings.Cut(word, ":")
	switch {
	case word == string(kindCPU) || word == string(kindEmulator):
		return deviceID{kind: deviceKind(word)}, nil
	case kind != string(kindCUDA):
		return deviceID{}, fmt.Errorf("%q is no device; there are cpu, cuda, cuda:1 and so on, emulator, or several with commas", word)
	case !numbered:
		return deviceID{kind: kindCUDA}, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(n) != number || n < 0 || n > mostCUDA {
		return deviceID{}, fmt.Errorf("%q is no device; the number must be 0 to %d", word, mostCUDA)
	}
	return deviceID{kindCUDA, n}, nil
}

// isProcessor reports whether the processor alone computes.
func (l deviceList) isProcessor() bool {
	return len(l.devices) == 0 || len(l.devices) == 1 && l.devices[0].kind == kindCPU
}

// onlyProcessor refuses other devices, for commands that could not use them.
func (f deviceFlags) onlyProcessor(command string) error {
	if f.Device.isProcessor() {
		return nil
	}
	return usagef(command, "this computes on the processor; leave --device out")
}

// compute is the processor's kernels and workers, and what to call when nothing
// uses them any more.
func (deviceFlags) compute() (*tcn.Compute, func(), error) {
	set, err := kernelSet()
	if err != nil {
		return nil, nil, err
	}
	pool := kernel.NewPool(0)
	return &tcn.Compute{Kernels: set, Pool: pool}, pool.Close, nil
}

// kernelSet is the fastest set of this machine, or the one asked for.
func kernelSet() (*kernel.Set, error) {
	name := os.Getenv(kernelVariable)
	if name == "" {
		return kernel.Best(), nil
	}
	set, err := kernel.Named(name)
	if err != nil {
		return nil, &remedy{err, "unset " + kernelVariable + " or name one of these"}
	}
	return set, nil
}

// opener is how a node opens the devices, each of whose memory is for stages
// stages; nil leaves all to the processor. A program that cannot use one of them
// says so now. Errors: those of the device.
func (f deviceFlags) opener(c *tcn.Compute, stages int) (node.OpenDevice, error) {
	if f.Device.isProcessor() {
		return nil, nil
	}
	if slices.ContainsFunc(f.Device.devices, func(d deviceID) bool { return d.kind == kindCUDA }) {
		if err := builtForCUDA(); err != nil {
			return nil, err
		}
	}
	return func() (tcn.Backend, error) {
		return openDevices(f.Device.devices, func(d deviceID) (rack.Device, error) {
			if d.kind != kindCPU {
				return openStages(d, stages)
			}
			weights, states := memoryOfProcessor(stages)
			return rack.Device{Backend: tcn.NewCPU(c), Weights: weights, States: states}, nil
		})
	}, nil
}

// openDevices opens every device, or none: one is itself, several are a rack.
func openDevices(list []deviceID, open func(deviceID) (rack.Device, error)) (tcn.Backend, error) {
	var opened []rack.Device
	for _, d := range list {
		one, err := open(d)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--device %s: %w", d, err), closeDevices(opened))
		}
		opened = append(opened, one)
	}
	if len(opened) == 1 {
		return opened[0].Backend, nil
	}
	r, err := rack.New(opened)
	if err != nil {
		return nil, errors.Join(err, closeDevices(opened))
	}
	return r, nil
}

func closeDevices(opened []rack.Device) error {
	var errs []error
	for _, d := range opened {
		errs = append(errs, rack.CloseBackend(d.Backend))
	}
	return errors.Join(errs...)
}
