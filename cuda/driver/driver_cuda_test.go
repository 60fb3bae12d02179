//go:build cuda && linux

package driver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

// soon is enough for all the fake is asked for, but for a kernel that hangs.
const soon = 10 * time.Second

// add is a launch of the fake's kernels: value is added to count bytes.
func add(to device.Pointer, count, value int) device.Launch {
	args := binary.LittleEndian.AppendUint64(nil, uint64(to))
	args = binary.LittleEndian.AppendUint32(args, uint32(count))
	args = binary.LittleEndian.AppendUint32(args, uint32(value))
	return device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{32, 1, 1}, Args: args}
}

func TestInfo(t *testing.T) {
	want := device.Info{Name: "Fake", Memory: 64 << 20, Free: free(t), Major: 9, Multiprocessors: 7, Driver: "12.9"}
	devices, err := Devices()
	if err != nil || len(devices) != 1 || devices[0] != want || want.Free > want.Memory || want.Free == 0 {
		t.Errorf("Devices() = %+v, %v, want %+v", devices, err, want)
	}
	d := open(t)
	allocate(t, d, 1<<20)
	want.Free -= 1 << 20
	if got := d.Info(); got != want {
		t.Errorf("Info() = %+v, want %+v", got, want)
	}
}

func TestOpenNoSuchDevice(t *testing.T) {
	for _, n := range []int{-1, 1} {
		if _, err := Open(n); !errors.Is(err, device.ErrNoDevice) {
			t.Errorf("Open(%d): %v", n, err)
		}
	}
}

// What goes in comes out, whatever memory it is in and however long it is.
func TestCopies(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 4095, bounceBytes, bounceBytes + 1, 3*bounceBytes + 5} {
		for _, in := range []bool{false, true} {
			for _, out := range []bool{false, true} {
				d := open(t)
				s := newStream(t, d)
				host := func(pin bool) []byte {
					if pin {
						return pinned(t, d, size+2)[1 : 1+size] // a part will do
					}
					return make([]byte, size)
				}
				from, to := host(in), host(out)
				for i := range from {
					from[i] = byte(chance.Uint32())
				}
				p := allocate(t, d, int64(size)+1)
				must(t, s.CopyIn(p, from), s.CopyOut(to, p), s.Wait(soon))
				if !bytes.Equal(from, to) {
					t.Errorf("%d bytes, pinned: %v to %v: differ", size, in, out)
				}
				must(t, s.Close(), d.Close())
			}
		}
	}
}

// Copies of memory that is not pinned are in order with all else, and buffers are
// not used again before they were read.
func TestOrder(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	f := kernel(t, d, "add")
	const n = 1000
	a, b := allocate(t, d, n), allocate(t, d, n)
	got := make([]byte, n)
	for round := range 10 {
		must(t,
			s.CopyIn(a, bytes.Repeat([]byte{byte(round)}, n)),
			s.Launch(f, add(a, n, 3)),
			s.CopyWithin(b, a, n),
			s.CopyIn(a, bytes.Repeat([]byte{100}, n)),
			s.Launch(f, add(b, n/2, 5)),
			s.Fill(b+n-1, 77, 1),
			s.Fill(a, 0, 0),
			s.CopyOut(got, b),
			s.Wait(soon))
		want := bytes.Repeat([]byte{byte(round + 8)}, n)
		copy(want[n/2:], bytes.Repeat([]byte{byte(round + 3)}, n/2))
		want[n-1] = 77
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: %v", round, got)
		}
	}
}

// What is after another stream's work is done when that is, however often they take
// turns, and also when the other stream was closed; what is not, is not.
func TestAfter(t *testing.T) {
	d := open(t)
	in, out := newStream(t, d), newStream(t, d)
	f := kernel(t, d, "add")
	p, got := allocate(t, d, 1), pinned(t, d, 1)
	const turns = 7
	for range turns {
		must(t, in.Launch(f, add(p, 1, 3)), out.After(in), out.Launch(f, add(p, 1, 5)), in.After(out))
	}
	must(t, out.After(in), in.Fill(p, 100, 1), // asked later, so not waited for
		out.CopyOut(got, p), out.Wait(soon))
	if want := byte(0xa5 + turns*8&0xff); got[0] != want {
		t.Errorf("in turns: %d, want %d", got[0], want)
	}
	must(t, out.CopyOut(got, p), out.Wait(soon))
	if got[0] == 100 {
		t.Error("the fake did what nobody waited for")
	}
	must(t, out.After(in), in.Close(), out.CopyOut(got, p), out.Wait(soon), out.After(out), out.Wait(soon))
	if got[0] != 100 {
		t.Errorf("after a stream that was closed: %d, want 100", got[0])
	}
}

// What the driver would misread or refuse is refused, and the device goes on.
func TestRefusals(t *testing.T) {
	d, other := open(t), open(t)
	s := newStream(t, d)
	f, foreign := kernel(t, d, "add"), kernel(t, other, "add")
	p := allocate(t, d, 16)
	launch := func(change func(*device.Launch)) func() error {
		return func() error {
			l := add(p, 16, 1)
			change(&l)
			return s.Launch(f, l)
		}
	}
	function := func(ptx []byte, name string) func() error {
		return func() error {
			m, err := d.Load(ptx)
			if err == nil {
				_, err = m.Function(name)
			}
			return err
		}
	}
	closed := newStream(t, d)
	must(t, closed.Close())
	graph, err := newStream(t, other).Record(func() error { return nil })
	must(t, err)
	for name, do := range map[string]func() error{
		"allocation of nothing":      func() error { _, err := d.Allocate(0); return err },
		"less than nothing pinned":   func() error { _, err := d.Pinned(-1); return err },
		"Go's memory unpinned":       func() error { return d.Unpin(make([]byte, 4)) },
		"nonsense for PTX":           function([]byte("nonsense"), "add"),
		"no such kernel":             function(text("add"), "sub"),
		"a kernel that went missing": function(text("missing"), "missing"),
		"a short parameter":          launch(func(l *device.Launch) { l.Args = l.Args[:8] }),
		"no parameter":               launch(func(l *device.Launch) { l.Args = nil }),
		"no blocks":                  launch(func(l *device.Launch) { l.Grid[1] = 0 }),
		"too many blocks":            launch(func(l *device.Launch) { l.Grid[0] = 1 << 32 }),
		"too many threads":           launch(func(l *device.Launch) { l.Block = [3]int{64, 64, 1} }),
		"too much shared memory":     launch(func(l *device.Launch) { l.Shared = 300 << 10 }),
		"negative shared memory":     launch(func(l *device.Launch) { l.Shared = -1 }),
		"too many registers":         func() error { return s.Launch(kernel(t, d, "refused"), add(p, 16, 1)) },
		"another device's kernel":    func() error { return s.Launch(foreign, add(p, 16, 1)) },
		"another device's graph":     func() error { return s.Replay(graph) },
		"a fill before nothing":      func() error { return s.Fill(p, 0, -1) },
		"a wait without a limit":     func() error { return s.Wait(0) },
		"after another device":       func() error { return s.After(newStream(t, other)) },
		"after a closed stream":      func() error { return s.After(closed) },
		"a closed stream after one":  func() error { return closed.After(s) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := do(); !errors.Is(err, device.ErrUnsupported) {
				t.Errorf("%v", err)
			}
			must(t, s.Launch(f, add(p, 16, 1)), s.Wait(soon))
		})
	}
	_, err = d.Load([]byte("nonsense"))
	if err == nil || !strings.Contains(err.Error(), "line 1: nonsense") {
		t.Errorf("what the compiler said is not in %v", err)
	}
}

// A kernel may have more shared memory than the default, within the device's.
func TestSharedMemory(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	f := kernel(t, d, "add")
	for _, shared := range []int{0, 48 << 10, 200 << 10, 100 << 10, 227 << 10} {
		l := add(allocate(t, d, 16), 16, 1)
		l.Shared = shared
		must(t, s.Launch(f, l), s.Wait(soon))
	}
}

func TestOutOfMemory(t *testing.T) {
	d := open(t)
	p := allocate(t, d, 60<<20)
	_, err := d.Allocate(60 << 20)
	var failed *device.Error
	if !errors.As(err, &failed) || failed.Kind != device.ErrOutOfMemory || failed.Code != 2 || failed.Name != "OutOfMemory" || failed.Doing != "allocation of 62914560 bytes" {
		t.Errorf("%#v", err)
	}
	must(t, d.Free(p))
	allocate(t, d, 60<<20)
}

// No call depends on the thread: here each has one of its own.
func TestThreads(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	f := kernel(t, d, "add")
	p := allocate(t, d, 16)
	got := pinned(t, d, 16)
	for _, do := range []func() error{
		func() error { return s.Fill(p, 1, 16) },
		func() error { return s.Launch(f, add(p, 16, 1)) },
		func() error { _, err := s.Record(func() error { return s.Launch(f, add(p, 16, 1)) }); return err },
		func() error { return s.CopyOut(got, p) },
		func() error { return s.Wait(soon) },
		func() error { return d.Unpin(got) },
		s.Close,
		d.Close,
	} {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			done <- do()
		}()
		must(t, <-done)
	}
}

// Memory is taken and given back beside a Step.
func TestMemoryBesideWork(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	f := kernel(t, d, "add")
	p := allocate(t, d, 16)
	var sessions sync.WaitGroup
	for range 4 {
		sessions.Go(func() {
			for range 50 {
				q, err := d.Allocate(1 << 10)
				if err == nil {
					err = d.Free(q)
				}
				if err != nil || d.Info().Free > 64<<20 {
					t.Errorf("%v, %d bytes free", err, d.Info().Free)
				}
			}
		})
	}
	for range 50 {
		must(t, s.Launch(f, add(p, 16, 1)), s.Wait(soon))
	}
	sessions.Wait()
}

// What is done for every Step takes no memory of Go's.
func TestNoGarbage(t *testing.T) {
	d := open(t)
	s, other := newStream(t, d), newStream(t, d)
	f := kernel(t, d, "add")
	p, host := allocate(t, d, 1024), pinned(t, d, 1024)
	l := add(p, 1024, 1)
	g, err := s.Record(func() error { return s.Launch(f, l) })
	must(t, err)
	average := testing.AllocsPerRun(20, func() {
		must(t, s.CopyIn(p, host), s.Launch(f, l), s.Replay(g), s.Fill(p, 1, 1024), s.CopyWithin(p, p, 512), other.After(s), other.CopyOut(host, p), other.Wait(soon))
	})
	if average > 0 {
		t.Errorf("%v allocations", average)
	}
}

func TestResources(t *testing.T) {
	d := open(t)
	f := kernel(t, d, "add").(*function)
	if registers, local, err := f.Resources(); registers != len("add") || local != 0 || err != nil {
		t.Errorf("%d, %d, %v", registers, local, err)
	}
	must(t, d.Close())
	if _, _, err := f.Resources(); !errors.Is(err, device.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestMarks(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	p := allocate(t, d, 16)
	before, err := s.Mark()
	must(t, err, s.Fill(p, 1, 16), s.Fill(p, 2, 16))
	after, err := s.Mark()
	must(t, err)
	if _, err := after.Since(before); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("before Wait: %v", err)
	}
	must(t, s.Wait(soon))
	if got, err := after.Since(before); err != nil || got != 3*time.Millisecond { // the fake's operations take one each
		t.Errorf("%v, %v", got, err)
	}
	must(t, before.Close(), after.Close(), after.Close())
}

// Every result that cuda.h knows has a row.
func TestResultsOfTheHeader(t *testing.T) {
	include := regexp.MustCompile(`-I([^'"\s]+)`).FindStringSubmatch(os.Getenv("CGO_CFLAGS"))
	if include == nil {
		t.Skip("CGO_CFLAGS names no folder with cuda.h")
	}
	header, err := os.ReadFile(include[1] + "/cuda.h")
	if err != nil {
		t.Skip(err)
	}
	found := regexp.MustCompile(`CUDA_ERROR_(\w+)\s*=\s*(\d+)`).FindAllStringSubmatch(string(header), -1)
	if len(found) < 90 {
		t.Errorf("only %d results in cuda.h", len(found))
	}
	for _, m := range found {
		code, err := strconv.Atoi(m[2])
		must(t, err)
		if got := results[code].name; !strings.EqualFold(got, strings.ReplaceAll(m[1], "_", "")) {
			t.Errorf("result %d is %q here and %s in cuda.h", code, got, m[1])
		}
	}
}
