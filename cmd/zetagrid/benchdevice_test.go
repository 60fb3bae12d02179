package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/bench"
	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// emulated is bench device on an emulated GPU, with next to no work.
func emulated() benchDeviceCmd {
	return benchDeviceCmd{
		Device: "cuda:0", Rounds: 15, Limit: time.Hour,
		DModel: 128, DFF: 128, Layers: 1, Rows: []int{1, 2}, Prompt: []int{2},
		Blocks: 2, GPUs: "2xh100-80", Link: "100Gb", Sessions: 1, Hop: 40 * time.Microsecond,
		Params: 100_000, Bytes: 3, Souls: 1,
		open: func(int) (device.Device, error) { return emulator.New(emulator.Options{}), nil },
	}
}

// TestBenchDevice: what is printed and written is what was found.
func TestBenchDevice(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	c := emulated()
	c.Only, c.Output = []string{"decode", "rack"}, filepath.Join(t.TempDir(), "made")
	var out bytes.Buffer
	if err := c.Run(t.Context(), &streams{out: &out, err: &out}); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(c.Output, "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Device", "emulator", "d=128,f=128,layers=1,rows=2", "× the time of rows=1", "conv_gate", "(plan)"} {
		if !strings.Contains(out.String(), want) && want != "Device" || !strings.Contains(string(table), want) {
			t.Errorf("no %q in\n%s\nor\n%s", want, out.String(), table)
		}
	}
	text, err := os.ReadFile(filepath.Join(c.Output, "figures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Result
	if err := json.Unmarshal(text, &r); err != nil || len(r.Figures) != 3+2+1 || len(r.NotMeasured) != 0 {
		t.Errorf("%v, %s", err, text)
	}
}

// TestBenchDeviceOutOfTime: nothing is guessed, and that is no failure.
func TestBenchDeviceOutOfTime(t *testing.T) {
	c := emulated()
	c.Limit = 1
	var out bytes.Buffer
	if err := c.Run(t.Context(), &streams{out: &out, err: &out}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "not measured"); n != 15 || strings.Count(out.String(), "out of time") != n {
		t.Errorf("%d figures not measured:\n%s", n, out.String())
	}
}

func TestBenchDeviceRefuses(t *testing.T) {
	for name, change := range map[string]func(*benchDeviceCmd){
		"device":       func(c *benchDeviceCmd) { c.Device = "cpu" },
		"number":       func(c *benchDeviceCmd) { c.Device = "cuda:-1" },
		"large number": func(c *benchDeviceCmd) { c.Device = "cuda:65536" },
		"part":         func(c *benchDeviceCmd) { c.Only = []string{"checks"} },
		"limit":        func(c *benchDeviceCmd) { c.Limit = 0 },
		"hop":          func(c *benchDeviceCmd) { c.Hop = -1 },
	} {
		c := emulated()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if c := emulated(); c.Validate() != nil {
		t.Error(c.Validate())
	}
	for name, change := range map[string]func(*benchDeviceCmd){
		"rounds": func(c *benchDeviceCmd) { c.Rounds = 1 },
		"rows":   func(c *benchDeviceCmd) { c.Rows = []int{0} },
		"width":  func(c *benchDeviceCmd) { c.DModel = 100 },
	} {
		c := emulated()
		change(&c)
		if err := c.Run(t.Context(), &streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := emulated()
	c.open = nil
	if err := c.Run(t.Context(), &streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}); err == nil {
		t.Skip("a GPU is here")
	} else if !errors.Is(err, device.ErrNotBuilt) && !errors.Is(err, device.ErrNoDriver) && !errors.Is(err, device.ErrNoDevice) {
		t.Error(err)
	}
}
