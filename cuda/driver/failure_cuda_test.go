//go:build cuda && linux

package driver

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
)

func TestRecord(t *testing.T) {
	d := open(t)
	s, other := newStream(t, d), newStream(t, d)
	f := kernel(t, d, "add")
	p := allocate(t, d, 16)
	host := pinned(t, d, 16)
	g, err := s.Record(func() error {
		for name, err := range map[string]error{
			"CopyIn":  s.CopyIn(p, host),
			"CopyOut": s.CopyOut(host, p),
			"Wait":    s.Wait(soon),
			"Close":   s.Close(),
			"Mark":    second(s.Mark()),
			"After":   s.After(other),
			"before":  other.After(s),
			"Record":  second(s.Record(func() error { return nil })),
		} {
			if !errors.Is(err, device.ErrUnsupported) {
				t.Errorf("%s while recording: %v", name, err)
			}
		}
		l := add(p, 16, 1)
		err := s.Launch(f, l)
		clear(l.Args) // they were read
		return errors.Join(err, s.Launch(f, add(p, 8, 10)))
	})
	must(t, err, s.Fill(p, 0, 16))
	for range 3 {
		must(t, s.Replay(g))
	}
	must(t, s.CopyOut(host, p), s.Wait(soon), g.Close(), g.Close())
	if want := append(bytes.Repeat([]byte{33}, 8), bytes.Repeat([]byte{3}, 8)...); !bytes.Equal(host, want) {
		t.Errorf("%v, want %v", host, want)
	}
	if err := s.Replay(g); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("replay of a closed graph: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A recording that fails leaves the stream as it was.
func TestRecordFails(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	f := kernel(t, d, "add")
	p := allocate(t, d, 1)
	must(t, s.Fill(p, 1, 1))
	own := errors.New("own")
	if _, err := s.Record(func() error { return errors.Join(s.Launch(f, add(p, 1, 1)), own) }); !errors.Is(err, own) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_, _ = s.Record(func() error { panic("in a recording") })
	}()
	got := make([]byte, 1)
	must(t, s.CopyOut(got, p), s.Wait(soon))
	if got[0] != 1 {
		t.Errorf("what was recorded in vain was done: %d", got[0])
	}
}

// calls are all that a device can be asked for, by name.
func calls(d device.Device, s device.Stream, f device.Function, g device.Graph, e device.Event, p device.Pointer, host []byte) map[string]func() error {
	return map[string]func() error{
		"Allocate":   func() error { return second(d.Allocate(1)) },
		"Free":       func() error { return d.Free(p) },
		"Pinned":     func() error { return second(d.Pinned(1)) },
		"Unpin":      func() error { return d.Unpin(host) },
		"Load":       func() error { return second(d.Load(text("add"))) },
		"NewStream":  func() error { return second(d.NewStream()) },
		"CopyIn":     func() error { return s.CopyIn(p, make([]byte, 1)) },
		"CopyOut":    func() error { return s.CopyOut(make([]byte, 1), p) },
		"CopyWithin": func() error { return s.CopyWithin(p, p, 1) },
		"Fill":       func() error { return s.Fill(p, 0, 1) },
		"Launch":     func() error { return s.Launch(f, add(p, 1, 1)) },
		"Record":     func() error { return second(s.Record(func() error { return nil })) },
		"Replay":     func() error { return s.Replay(g) },
		"Mark":       func() error { return second(s.Mark()) },
		"After":      func() error { return s.After(s) },
		"Wait":       func() error { return s.Wait(soon) },
		"Since":      func() error { return second(e.Since(e)) },
	}
}

// After what a device does not survive every call returns that failure, Close ends
// it without waiting, and another can be opened.
func TestFailuresOfADevice(t *testing.T) {
	for _, c := range []struct {
		name    string
		provoke func(t *testing.T, d *gpu, s *stream) error
		want    device.Error
		closing error
	}{
		{"illegal access", func(t *testing.T, d *gpu, s *stream) error {
			must(t, s.Launch(kernel(t, d, "illegal"), add(allocate(t, d, 1), 1, 1)))
			return s.Wait(soon)
		}, device.Error{Kind: device.ErrIllegalAccess, Code: 700, Name: "IllegalAddress", Doing: "waiting for kernel illegal or work before it"}, nil},
		{"hang", func(t *testing.T, d *gpu, s *stream) error {
			must(t, s.Launch(kernel(t, d, "hang"), add(allocate(t, d, 1), 1, 1)))
			return s.Wait(10 * time.Millisecond)
		}, device.Error{Kind: device.ErrHung, Doing: "waiting for kernel hang or work before it"}, device.ErrHung},
		{"hang in an earlier stream", func(t *testing.T, d *gpu, s *stream) error {
			earlier := newStream(t, d)
			must(t, earlier.Launch(kernel(t, d, "hang"), add(allocate(t, d, 1), 1, 1)), s.After(earlier))
			return s.Wait(10 * time.Millisecond)
		}, device.Error{Kind: device.ErrHung, Doing: "waiting for kernel hang or work before it"}, device.ErrHung},
		{"illegal access in an earlier stream", func(t *testing.T, d *gpu, s *stream) error {
			earlier := newStream(t, d)
			must(t, earlier.Launch(kernel(t, d, "illegal"), add(allocate(t, d, 1), 1, 1)), s.After(earlier))
			return s.Wait(soon)
		}, device.Error{Kind: device.ErrIllegalAccess, Code: 700, Name: "IllegalAddress", Doing: "waiting for kernel illegal or work before it"}, nil},
		{"hang before a copy", func(t *testing.T, d *gpu, s *stream) error {
			d.limits.copy = 10 * time.Millisecond
			p := allocate(t, d, 1)
			must(t, s.Launch(kernel(t, d, "hang"), add(p, 1, 1)))
			return s.CopyOut(make([]byte, 1), p)
		}, device.Error{Kind: device.ErrHung, Doing: "waiting for kernel hang or work before it"}, device.ErrHung},
		{"hang before memory is given back", func(t *testing.T, d *gpu, s *stream) error {
			d.limits.memory = 10 * time.Millisecond
			p := allocate(t, d, 1)
			must(t, s.Launch(kernel(t, d, "hang"), add(p, 1, 1)))
			return d.Free(p)
		}, device.Error{Kind: device.ErrHung, Doing: "giving memory back"}, device.ErrHung},
		{"hang found by Close", func(t *testing.T, d *gpu, s *stream) error {
			d.limits.close = 10 * time.Millisecond
			must(t, s.Launch(kernel(t, d, "hang"), add(allocate(t, d, 1), 1, 1)))
			if err := d.Close(); !errors.Is(err, device.ErrHung) {
				t.Errorf("Close: %v", err)
			}
			return s.Wait(soon)
		}, device.Error{Kind: device.ErrClosed, Doing: "used after Close"}, nil},
		{"closed", func(t *testing.T, d *gpu, s *stream) error {
			must(t, d.Close())
			return s.Wait(soon)
		}, device.Error{Kind: device.ErrClosed, Doing: "used after Close"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t)
			s := newStream(t, d)
			f, p, host := kernel(t, d, "add"), allocate(t, d, 1), pinned(t, d, 1)
			g, err := s.Record(func() error { return nil })
			must(t, err)
			e, err := s.Mark()
			must(t, err, s.Wait(soon))

			var failed *device.Error
			if err := c.provoke(t, d, s); !errors.As(err, &failed) || *failed != c.want {
				t.Fatalf("%#v, want %#v", err, c.want)
			}
			for name, do := range calls(d, s, f, g, e, p, host) {
				if err := do(); !errors.As(err, &failed) || *failed != c.want {
					t.Errorf("%s after it: %v", name, err)
				}
			}
			if info := d.Info(); info.Name != "Fake" || info.Free != 0 {
				t.Errorf("Info after it: %+v", info)
			}
			if err := d.Close(); !errors.Is(err, c.closing) {
				t.Errorf("Close: %v, want %v", err, c.closing)
			}
			must(t, d.Close())
			again := open(t)
			must(t, newStream(t, again).Wait(soon), again.Close())
		})
	}
}

// Whatever the driver says, an open device goes on or says that it does not.
func TestFailEndsTheDevice(t *testing.T) {
	for code := range results {
		g := &gpu{lost: make(chan struct{})}
		err := g.fail(status(code), "a call")
		goesOn := errors.Is(err, device.ErrOutOfMemory) || errors.Is(err, device.ErrUnsupported)
		if device.Fatal(err) == goesOn || (g.failed() == nil) != goesOn {
			t.Errorf("%v: goes on: %t, ended by %v", err, goesOn, g.failed())
		}
	}
}

// Close gives back all that was made of a device, also of one that failed.
func TestCloseGivesBack(t *testing.T) {
	before := free(t)
	for _, name := range []string{"add", "illegal"} {
		d := open(t)
		s := newStream(t, d)
		p := allocate(t, d, 1<<20)
		must(t, s.CopyIn(p, make([]byte, 100)), s.Launch(kernel(t, d, name), add(p, 16, 1)))
		if err := s.Wait(soon); (name == "illegal") != errors.Is(err, device.ErrIllegalAccess) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, d.Close())
		if now := free(t); now != before {
			t.Errorf("%s: %d bytes free after Close, %d before", name, now, before)
		}
	}
}

func free(t *testing.T) int64 {
	t.Helper()
	devices, err := Devices()
	must(t, err)
	return devices[0].Free
}

// A call that waits in the driver is given up on when another finds that the
// device hangs.
func TestFreeBesideHang(t *testing.T) {
	d := open(t)
	s := newStream(t, d)
	p := allocate(t, d, 1)
	must(t, s.Launch(kernel(t, d, "hang"), add(p, 1, 1)))
	freed := make(chan error)
	go func() { freed <- d.Free(p) }()
	if err := s.Wait(10 * time.Millisecond); !errors.Is(err, device.ErrHung) {
		t.Errorf("Wait: %v", err)
	}
	if err := <-freed; !errors.Is(err, device.ErrHung) {
		t.Errorf("Free: %v", err)
	}
}

// A driver that does not answer Open or Devices is given up on.
func TestWithin(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	_, err := within(time.Millisecond, "opening device 0", func() (int, error) {
		<-never
		return 0, nil
	})
	if !errors.Is(err, device.ErrHung) {
		t.Errorf("%v", err)
	}
	if got, err := within(soon, "", func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}
