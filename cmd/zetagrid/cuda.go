package main

import (
	"errors"

	"github.com/pbnjay/memory"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

// builtForCUDA is why this program can use no CUDA device at all; nil if it can.
func builtForCUDA() error {
	if driver.Built {
		return nil
	}
	_, err := driver.Devices()
	return err
}

// openDevice opens a CUDA device or an emulated one. Errors: those of the device.
func openDevice(d deviceID) (device.Device, error) {
	if d.kind == kindEmulator {
		return emulator.New(emulator.Options{Memory: emulatedBytes}), nil
	}
	return driver.Open(d.number)
}

// emulatedBytes is the memory of an emulated device: the model in the program and
// some states fit, and the memory of the machine that stands for it is not felt.
const emulatedBytes = 128 << 20

// openStages readies a device whose memory is for stages stages. Errors: those of
// the device.
func openStages(d deviceID, stages int) (rack.Device, error) {
	opened, err := openDevice(d)
	if err != nil {
		return rack.Device{}, err
	}
	weights, states := memoryFor(opened.Info().Free, stages)
	options := cuda.Options{}
	if stages > 1 {
		options.StateBytes = states
	}
	backend, err := cuda.New(opened, options)
	if err != nil {
		return rack.Device{}, errors.Join(err, opened.Close())
	}
	held := roomy{backend, weights, states}
	if stages == 1 { // which takes for states what its weights leave
		held.states += weights
	}
	return rack.Device{Backend: held}, nil
}

// roomy is a device that says how much of its memory is for what. It is a
// tcn.Memory.
type roomy struct {
	*cuda.Backend
	weights, states int64
}

func (r roomy) WeightBytes() int64 { return r.weights }
func (r roomy) StateBytes() int64  { return r.states }

// memoryFor is how much of a device's free memory one of several stages may take for
// weights and for states. An eighth is left for what sequences wear, graphs and the
// rows of a pass; a quarter of the rest is for states.
func memoryFor(free int64, stages int) (weights, states int64) {
	const reserve, share = 8, 4
	usable := max(0, free-free/reserve) / int64(stages)
	states = usable / share
	return usable - states, states
}

// memoryOfProcessor is the same of the machine's memory, half of which is for
// others.
func memoryOfProcessor(stages int) (weights, states int64) {
	return memoryFor(int64(memory.TotalMemory()/2), stages)
}
