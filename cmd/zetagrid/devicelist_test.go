package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/rack"
)

func TestDeviceList(t *testing.T) {
	for _, c := range []struct {
		text, want string // want begins with an error's word if it is none
		processor  bool
	}{
		{"cpu", "cpu", true},
		{"cuda", "cuda:0", false},
		{"cuda:0", "cuda:0", false},
		{"cuda:63", "cuda:63", false},
		{"cuda:1,cuda:0", "cuda:1,cuda:0", false},
		{"cuda:0,cpu", "cuda:0,cpu", false},
		{"emulator", "emulator", false},
		{"cpu,emulator", "cpu,emulator", false},
		{"emulator:0", `"emulator:0" is no device`, false},
		{"", `"" is no device`, false},
		{"gpu", `"gpu" is no device; there are cpu, cuda, cuda:1`, false},
		{"CUDA", "no device", false},
		{"cpu:0", `"cpu:0" is no device`, false},
		{"cuda:", "the number must be 0 to 63", false},
		{"cuda:64", "the number must be 0 to 63", false},
		{"cuda:-1", "the number must be", false},
		{"cuda:+1", "the number must be", false},
		{"cuda:01", "the number must be", false},
		{"cuda:99999999999999999999", "the number must be", false},
		{"cuda:0,", `"" is no device`, false},
		{"cuda,cuda:0", "names cuda:0 twice", false},
		{"cpu,cuda:1,cpu", "names cpu twice", false},
	} {
		var l deviceList
		err := l.UnmarshalText([]byte(c.text))
		got := l.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || (err == nil) != (got == c.want) || err == nil && l.isProcessor() != c.processor {
			t.Errorf("%q: %q, want %q; the processor: %v", c.text, got, c.want, l.isProcessor())
		}
	}
	if !(deviceList{}).isProcessor() {
		t.Error("no device is not the processor")
	}
}

// FuzzDeviceList: what is read is a list without doubles that reads back as itself.
func FuzzDeviceList(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		var l, again deviceList
		if l.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(l.String())); err != nil || again.String() != l.String() {
			t.Errorf("%q reads as %q, that as %q (%v)", text, l, again, err)
		}
		if n := len(l.devices); n < 1 || n > mostCUDA+3 {
			t.Errorf("%q names %d devices", text, n)
		}
	})
}

// countedDevice is a device that counts what is open.
type countedDevice struct {
	tcn.Backend
	open *int
}

func (d countedDevice) Close() error { *d.open--; return nil }

// TestOpenDevices: one device is itself, several are a rack, and if one cannot be
// opened none stays open.
func TestOpenDevices(t *testing.T) {
	open := 0
	opener := func(d deviceID) (rack.Device, error) {
		if d.number == 7 {
			return rack.Device{}, &device.Error{Kind: device.ErrNoDevice, Doing: "opening device 7"}
		}
		open++
		return rack.Device{Backend: countedDevice{tcn.NewCPU(nil), &open}, Weights: 1}, nil
	}
	for text, want := range map[string]string{
		"cuda:1":               "cpu/portable",
		"cpu,cuda:0":           "cpu/portable + cpu/portable",
		"cuda:7":               "--device cuda:7: device: no such CUDA device",
		"cuda:0,cuda:7,cuda:1": "--device cuda:7: device: no such CUDA device",
	} {
		var l deviceList
		if err := l.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		b, err := openDevices(l.devices, opener)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !errors.Is(err, device.ErrNoDevice) {
				t.Errorf("%s: error %v, want %s", text, err, want)
			}
		} else {
			if b.Name() != want || open != len(l.devices) {
				t.Errorf("%s: %s, %d open", text, b.Name(), open)
			}
			if err := rack.CloseBackend(b); err != nil {
				t.Error(err)
			}
		}
		if open != 0 {
			t.Errorf("%s: %d devices are still open", text, open)
			open = 0
		}
	}
}

// TestOpener: the processor needs none; a program without CUDA says so before it
// starts anything.
func TestOpener(t *testing.T) {
	for _, text := range []string{"cpu", "cuda"} {
		var f deviceFlags
		if err := f.Device.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		open, err := f.opener(&tcn.Compute{}, 1)
		switch {
		case text == "cpu" && (open != nil || err != nil):
			t.Errorf("cpu: %v", err)
		case text == "cuda" && !driver.Built && !errors.Is(err, device.ErrNotBuilt):
			t.Errorf("cuda: error %v", err)
		case text == "cuda" && driver.Built && (open == nil || err != nil):
			t.Errorf("cuda: error %v", err)
		}
	}
}

// TestMemoryFor: all stages of a device together leave the reserve.
func TestMemoryFor(t *testing.T) {
	for _, free := range []int64{0, 1, 1000, 80e9, 1 << 62} {
		for _, stages := range []int{1, 3, 8} {
			weights, states := memoryFor(free, stages)
			n := int64(stages)
			if weights < 0 || states < 0 || weights+states > (free-free/8)/n || n*(weights+states) < free-free/8-n {
				t.Errorf("%d bytes for %d stages: %d and %d", free, stages, weights, states)
			}
		}
	}
	weights, states := memoryOfProcessor(1)
	if weights <= states || states <= 0 {
		t.Errorf("of the processor %d and %d", weights, states)
	}
}

// A list of devices, as a person and as the program writes it.
func Example_devices() {
	var l deviceList
	fmt.Println(l.UnmarshalText([]byte("cuda,cuda:2,cpu")), l)
	// Output: <nil> cuda:0,cuda:2,cpu
}
