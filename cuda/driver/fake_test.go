//go:build cuda && linux

package driver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// The tests run against testdata/fakedriver.c, whatever driver there is: the
// loader looks where LD_LIBRARY_PATH says when a program starts, so TestMain starts
// the test program again.
const (
	fakeFolder = "FAKE_FOLDER" // where the fake is
	fakeChild  = "FAKE_CHILD"  // set in a process that only reports what it finds
)

func TestMain(m *testing.M) {
	if os.Getenv(fakeChild) != "" {
		report()
		return
	}
	folder := os.Getenv(fakeFolder)
	if folder == "" {
		if err := restart(); err != nil {
			fmt.Fprintln(os.Stderr, "no fake driver:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// restart compiles the fake and runs this program again with it.
func restart() error {
	folder, err := os.MkdirTemp("", "fakedriver")
	if err != nil {
		return err
	}
	library := filepath.Join(folder, "libcuda.so.1")
	// CGO_CFLAGS says where cuda.h is, and may hold quotes.
	build := exec.Command("sh", "-c", `eval "${CC:-cc} $CGO_CFLAGS -I/usr/local/cuda/include -shared -fPIC -Wall -Wextra -o $0 testdata/fakedriver.c -lpthread"`, library)
	if said, err := build.CombinedOutput(); err != nil || len(said) > 0 {
		return fmt.Errorf("%w: %s", errors.Join(err, os.RemoveAll(folder)), said)
	}
	environment := append(os.Environ(), fakeFolder+"="+folder, "LD_LIBRARY_PATH="+folder)
	return syscall.Exec("/proc/self/exe", os.Args, environment)
}

// report prints what Devices and Open say.
func report() {
	devices, err := Devices()
	fmt.Printf("%d devices, %v\n", len(devices), err)
	if _, err = Open(0); err == nil {
		fmt.Println("opened")
		return
	}
	fmt.Println(err)
}

// inProcess is what report prints in a process of its own with these settings.
func inProcess(t *testing.T, settings ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), fakeChild+"=1"), settings...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// Drivers that do not answer, or are too old, and devices that are.
func TestStart(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "libcuda.so.1"), []byte("not a library"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		settings []string
		want     []string
	}{
		{"sound", nil, []string{"1 devices, <nil>", "opened"}},
		{"not loadable", []string{"LD_LIBRARY_PATH=" + broken}, []string{"0 devices, " + device.ErrNoDriver.Error(), "libcuda.so.1"}},
		{"no device", []string{"FAKE_INIT=100"}, []string{"0 devices, " + device.ErrNoDevice.Error(), "starting the driver: NoDevice (100)"}},
		{"kernel module of another version", []string{"FAKE_INIT=803"}, []string{device.ErrNoDriver.Error(), "SystemDriverMismatch (803)"}},
		{"old driver", []string{"FAKE_VERSION=11030"}, []string{device.ErrNoDriver.Error(), "for CUDA 11.3, too old", "CUDA 11.4 or later"}},
		{"old device", []string{"FAKE_MAJOR=7"}, []string{"1 devices, <nil>", device.ErrUnsupported.Error(), "compute capability 7.0; 8.0 or later"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inProcess(t, c.settings...)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in\n%s", want, got)
				}
			}
		})
	}
}

// text is a PTX text, as far as the fake reads it, with kernels of these names and
// a parameter of 16 bytes.
func text(names ...string) []byte {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, ".visible .entry %s(\n\t.param .align 8 .b8 %s_param_0[16]\n)\n{\n\tret;\n}\n", name, name)
	}
	return []byte(b.String())
}

// open is the fake's device, closed at the end of the test.
func open(t *testing.T) *gpu {
	t.Helper()
	d, err := Open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() }) // some tests close it, or make it hang
	return d.(*gpu)
}

func newStream(t *testing.T, d device.Device) *stream {
	t.Helper()
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	return s.(*stream)
}

func kernel(t *testing.T, d device.Device, name string) device.Function {
	t.Helper()
	m, err := d.Load(text(name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func allocate(t *testing.T, d device.Device, bytes int64) device.Pointer {
	t.Helper()
	p, err := d.Allocate(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pinned(t *testing.T, d device.Device, bytes int) []byte {
	t.Helper()
	b, err := d.Pinned(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must fails the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}
