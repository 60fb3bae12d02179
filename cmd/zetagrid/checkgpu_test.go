package main

import (
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// What doctor says of GPUs that cannot be used, and that only a broken one fails it.
func TestCheckGPUs(t *testing.T) {
	hopper := device.Info{Name: "H", Memory: 80 << 30, Free: 79 << 30, Major: 9, Multiprocessors: 132, Driver: "12.9"}
	for _, c := range []struct {
		name    string
		devices []device.Info
		err     error // of devices
		open    error
		want    []outcome
		text    []string
	}{
		{"not built", nil, &device.Error{Kind: device.ErrNotBuilt}, nil, []outcome{outcomeOK}, []string{"make cuda"}},
		{"no driver", nil, &device.Error{Kind: device.ErrNoDriver, Doing: "looking for it: libcuda.so.1: no such file"}, nil,
			[]outcome{outcomeWarn}, []string{"libcuda.so.1: no such file", "LD_LIBRARY_PATH"}},
		{"no device", nil, &device.Error{Kind: device.ErrNoDevice, Code: 100, Name: "NoDevice"}, nil, []outcome{outcomeWarn}, []string{"NoDevice (100)", "nvidia-smi"}},
		{"none", nil, nil, nil, []outcome{outcomeWarn}, []string{"no devices"}},
		{"old", []device.Info{hopper}, nil, &device.Error{Kind: device.ErrUnsupported, Doing: "compute capability 7.0"},
			[]outcome{outcomeOK, outcomeWarn}, []string{"H, 80 GiB, 79 GiB free, compute capability 9.0, 132 multiprocessors, driver for CUDA 12.9", "another device"}},
		{"full", []device.Info{{Name: "H"}}, nil, &device.Error{Kind: device.ErrOutOfMemory}, []outcome{outcomeOK, outcomeWarn}, []string{"free memory unknown", "what else uses"}},
		{"lost", []device.Info{hopper}, nil, &device.Error{Kind: device.ErrLost}, []outcome{outcomeOK, outcomeFail}, []string{"dmesg"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checks := checkGPUs(gpus{
				devices: func() ([]device.Info, error) { return c.devices, c.err },
				open:    func(int) (device.Device, error) { return nil, c.open },
			})
			var said []string
			for i, got := range checks {
				if i >= len(c.want) || got.Outcome != c.want[i] {
					t.Errorf("check %d: %+v, want %v", i, got, c.want)
				}
				said = append(said, got.Name, got.Detail, got.Advice)
			}
			if len(checks) != len(c.want) {
				t.Errorf("%d checks, want %d", len(checks), len(c.want))
			}
			for _, want := range c.text {
				if !strings.Contains(strings.Join(said, "\n"), want) {
					t.Errorf("no %q in %q", want, said)
				}
			}
		})
	}
}
