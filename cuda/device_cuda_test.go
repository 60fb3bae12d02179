//go:build cuda && linux

package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/driver"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/backendtest"
)

// deviceVariable names the environment variable that holds the number of the GPU to
// test on. Without it these tests are skipped.
const deviceVariable = "ZETAGRID_CUDA"

// deviceNumber is the GPU's. Without one the test is skipped.
func deviceNumber(t *testing.T) int {
	t.Helper()
	name, ok := os.LookupEnv(deviceVariable)
	if !ok {
		t.Skip(deviceVariable + " names no GPU")
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		t.Fatalf("%s: %v", deviceVariable, err)
	}
	return n
}

// onDevice is a Backend on the GPU, which works to the end.
func onDevice(t *testing.T, o Options) *Backend {
	t.Helper()
	d, err := driver.Open(deviceNumber(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func TestDeviceSelfCheck(t *testing.T) {
	if err := tcn.SelfCheck(onDevice(t, Options{StateBytes: 256 << 20})); err != nil {
		t.Error(err)
	}
}

func TestDeviceBackend(t *testing.T) {
	backendtest.Run(t, onDevice(t, Options{StateBytes: 256 << 20}))
}

// TestDeviceShapes: on small models, in which every kernel has edges, batches and
// chunks of every size of a pass and some past it.
func TestDeviceShapes(t *testing.T) {
	var list []int
	for n := 1; n <= MaxRows; n++ {
		list = append(list, n)
	}
	list = append(list, MaxRows+1, 2*MaxRows+17)
	if testing.Short() {
		list = []int{1, 2, 5, 9, 17, 40, 100, 300}
	}
	b := onDevice(t, Options{StateBytes: 1 << 30})
	for _, c := range []tcn.Config{sizesConfig(tcn.WeightsQ2, 48, 80), sizesConfig(tcn.WeightsQ2, 256, 1056), sizesConfig("", 36, 70)} {
		t.Run(fmt.Sprintf("%q %d,%d", c.Weights, c.DModel, c.DFF), func(t *testing.T) { newSizes(t, b, c).check(list...) })
	}
}

// TestDeviceWide: matrices as large as those of real models, which take the kernels
// for whole devices.
func TestDeviceWide(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	b := onDevice(t, Options{StateBytes: 4 << 30})
	for _, c := range []tcn.Config{sizesConfig(tcn.WeightsQ2, 2048, 8192), sizesConfig("", 512, 2048)} {
		t.Run(fmt.Sprintf("%q %d,%d", c.Weights, c.DModel, c.DFF), func(t *testing.T) {
			newSizes(t, b, c).check(1, 2, 3, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 192, 256, 300)
		})
	}
}

// TestDeviceRandomBatches is TestRandomBatches on the GPU.
func TestDeviceRandomBatches(t *testing.T) {
	for _, maxRows := range []int{0, 64, 5} {
		b := onDevice(t, Options{StateBytes: 256 << 20, MaxRows: maxRows})
		for i, c := range backendtest.Cases() {
			t.Run(fmt.Sprintf("%s, passes of %d", c.Name, maxRows), func(t *testing.T) { newTwin(t, b, c, uint64(i)).run(30) })
		}
	}
}

// allLosses is every loss that a device has to do with. Again says whether a device is
// opened after it was lost.
func allLosses(again bool) []loss {
	var list []loss
	for bits := range 16 {
		l := loss{[2]bool{bits&1 > 0, bits&2 > 0}, bits >> 2 & 1, bits&8 > 0}
		if (l.hops[0] || l.hops[1] || l.by) && (l.hops[l.lost] && l.by) == again {
			list = append(list, l)
		}
	}
	return list
}

// TestLossOnDevice: the GPU is lost by a kernel that reads where nothing is, for every
// chain, and replaced by the processor; or it replaces the processor.
func TestLossOnDevice(t *testing.T) { lossesApart(t, allLosses(false)) }

// TestReopenOnDevice: the GPU is lost in the same way and opened again by the process
// that lost it, as a node does.
func TestReopenOnDevice(t *testing.T) { lossesApart(t, allLosses(true)) }

// apartVariable names the environment variable that is set where one loss is tried.
const apartVariable = "ZETAGRID_LOSS"

// lossesApart is losses, each in a process of its own: a driver may refuse whatever a
// process asks for after one of its kernels went astray.
func lossesApart(t *testing.T, list []loss) {
	n := deviceNumber(t)
	if os.Getenv(apartVariable) != "" { // and -test.run names one
		losses(t, list, 60, func() (device.Device, error) { return driver.Open(n) })
		return
	}
	for _, l := range list {
		t.Run(l.String(), func(t *testing.T) {
			of, name, _ := strings.Cut(t.Name(), "/")
			c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run", "^"+of+"$/^"+regexp.QuoteMeta(name)+"$")
			c.Env = append(os.Environ(), apartVariable+"=1")
			if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
