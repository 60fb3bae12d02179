package emulator_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// addOne adds 1 to the word of every thread.
var addOne = body(checkedHead + "ld.global.u32 %r4, [%d11]; add.s32 %r4, %r4, 1; st.global.u32 [%d11], %r4;")

// TestQueue: work is done when it is waited for, in order, with what host memory
// holds then.
func TestQueue(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(addOne)
	host, out := words32(1, 2, 3, 4), make([]byte, 16)
	at := b.memory(host)
	args := words(uint64(at), 0)
	b.must(b.s.Launch(f, device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{4, 1, 1}, Args: args}))
	clear(args) // read when it was asked
	b.must(b.s.CopyOut(out, at))
	b.must(b.s.Fill(at, 7, 4))
	if !bytes.Equal(out, make([]byte, 16)) {
		t.Error("done before Wait")
	}
	host[0] = 10 // too early: the copy has not been made
	b.must(b.s.Wait(time.Second))
	if got := unwords32(out); !slices.Equal(got, []uint32{11, 3, 4, 5}) {
		t.Errorf("%d", got)
	}
	if got := unwords32(b.read(at, 8)); !slices.Equal(got, []uint32{0x07070707, 3}) {
		t.Errorf("%#x", got)
	}
	b.must(b.s.CopyIn(0, nil)) // no byte needs no memory
	b.must(b.s.CopyWithin(at+4, at, 8))
	if got := unwords32(b.read(at, 16)); !slices.Equal(got, []uint32{0x07070707, 0x07070707, 3, 5}) {
		t.Errorf("%#x", got)
	}
}

// TestGraphs: what is recorded is done when it is replayed.
func TestGraphs(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(addOne)
	at := b.memory(make([]byte, 16))
	g, err := b.s.Record(func() error {
		for _, err := range []error{b.s.CopyIn(at, make([]byte, 4)), b.s.CopyOut(make([]byte, 4), at), b.s.Wait(time.Second)} {
			if !errors.Is(err, device.ErrUnsupported) {
				t.Errorf("while recording: %v", err)
			}
		}
		if _, err := b.s.Record(func() error { return nil }); !errors.Is(err, device.ErrUnsupported) {
			t.Errorf("recording while recording: %v", err)
		}
		return b.s.Launch(f, device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{4, 1, 1}, Args: words(uint64(at), 0)})
	})
	b.must(err)
	for range 3 {
		b.must(b.s.Replay(g))
	}
	if got := unwords32(b.read(at, 16)); !slices.Equal(got, []uint32{3, 3, 3, 3}) {
		t.Errorf("%d", got)
	}
	wrong := errors.New("wrong")
	if _, err := b.s.Record(func() error { return wrong }); err != wrong {
		t.Errorf("%v", err)
	}
	b.must(g.Close())
	if err := b.s.Replay(g); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("replay of a closed graph: %v", err)
	}
	c := b.d.Counts()
	if k := c.Kernels["k"]; c.Launches != 3 || c.Replays != 3 || k.Launches != 3 || k.By["add.s32"] != 3*4*2 || k.By["ld.global.u32"] != 3*4 {
		t.Errorf("%+v", c)
	}
	if c.Copies != 2 || c.Copied != 32 {
		t.Errorf("%d copies of %d bytes", c.Copies, c.Copied)
	}
}

// TestAfter: what is after another stream's work is done after it, and nothing else
// of other streams is done.
func TestAfter(t *testing.T) {
	b := newBench(t, emulator.Options{})
	at := b.memory(make([]byte, 4))
	in, err := b.d.NewStream()
	b.must(err)
	b.must(in.Fill(at, 1, 1))
	b.must(in.Fill(at+1, 2, 1))
	b.must(b.s.CopyWithin(at+2, at+1, 1)) // not after anything
	b.must(b.s.After(in))
	b.must(b.s.CopyWithin(at+3, at+1, 1))
	b.must(in.Fill(at, 9, 1)) // asked later
	b.must(b.s.After(b.s))
	if got := b.read(at, 4); !bytes.Equal(got, []byte{1, 2, 0, 2}) {
		t.Errorf("%d", got)
	}
	if got := b.read(at, 1); got[0] != 1 {
		t.Error("work was done that nobody waited for")
	}
	for range 3 { // in turns
		b.must(in.After(b.s))
		b.must(in.CopyWithin(at+1, at, 1))
		b.must(b.s.After(in))
		b.must(b.s.Fill(at, 7, 1))
	}
	b.must(in.Close())
	if got := b.read(at, 2); !bytes.Equal(got, []byte{7, 7}) {
		t.Errorf("in turns %d", got)
	}
	other, err := emulator.New(emulator.Options{}).NewStream()
	b.must(err)
	open, err := b.d.NewStream()
	b.must(err)
	_, err = open.Record(func() error {
		for i, err := range []error{b.s.After(open), open.After(b.s), b.s.After(in), in.After(b.s), b.s.After(other), b.s.After(nil)} {
			if !errors.Is(err, device.ErrUnsupported) {
				t.Errorf("order %d: %v", i, err)
			}
		}
		return nil
	})
	b.must(err)
	b.must(open.Fill(0, 0, 1))
	b.must(b.s.After(open))
	if err := b.s.Wait(time.Second); !errors.Is(err, device.ErrIllegalAccess) {
		t.Errorf("what an earlier stream did: %v", err)
	}
	if err := b.s.After(open); !errors.Is(err, device.ErrIllegalAccess) {
		t.Errorf("after that: %v", err)
	}
}

// TestEvents: the device's clock counts what it does.
func TestEvents(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(addOne)
	at := b.memory(make([]byte, 16))
	first, err := b.s.Mark()
	b.must(err)
	b.must(b.s.Launch(f, device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{4, 1, 1}, Args: words(uint64(at), 0)}))
	second, err := b.s.Mark()
	b.must(err)
	if _, err := second.Since(first); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("time before Wait: %v", err)
	}
	b.must(b.s.Wait(time.Second))
	if d, err := second.Since(first); err != nil || d <= 0 {
		t.Errorf("%v, %v", d, err)
	}
	b.must(first.Close())
	if _, err := second.Since(nil); err == nil {
		t.Error("time since nothing")
	}
}

// TestMemory: what is taken, given back and refused.
func TestMemory(t *testing.T) {
	b := newBench(t, emulator.Options{Memory: 1000})
	at, err := b.d.Allocate(600)
	b.must(err)
	if at < 1<<40 || at%256 != 0 {
		t.Errorf("address %#x", at)
	}
	if _, err := b.d.Allocate(401); !errors.Is(err, device.ErrOutOfMemory) || device.Fatal(err) {
		t.Errorf("more than there is: %v", err)
	}
	if i := b.d.Info(); i.Memory != 1000 || i.Free != 400 {
		t.Errorf("%+v", i)
	}
	second, err := b.d.Allocate(400)
	b.must(err)
	if got := b.read(second, 3); !bytes.Equal(got, []byte{0xcb, 0xcb, 0xcb}) {
		t.Errorf("new memory holds %v", got)
	}
	b.must(b.d.Free(at))
	if n, size := b.d.Live(); n != 1 || size != 400 {
		t.Errorf("%d allocations of %d bytes", n, size)
	}
	third, err := b.d.Allocate(600)
	b.must(err)
	if third == at {
		t.Error("an address was given out twice")
	}
	for _, wrong := range []device.Pointer{at, third + 256, 0, 1 << 50} {
		if err := b.d.Free(wrong); err == nil {
			t.Errorf("%#x was freed", wrong)
		}
	}
	for _, n := range []int64{0, -1} {
		if _, err := b.d.Allocate(n); err == nil {
			t.Errorf("%d bytes were allocated", n)
		}
	}
	p, err := b.d.Pinned(10)
	b.must(err)
	if len(p) != 10 || b.d.Unpin(p[1:]) == nil || b.d.Unpin(nil) == nil {
		t.Error("what was not pinned was unpinned")
	}
	b.must(b.d.Unpin(p))
	if b.d.Unpin(p) == nil {
		t.Error("unpinned twice")
	}
	if _, err := b.d.Pinned(0); err == nil {
		t.Error("no byte was pinned")
	}
}

// TestCopiesOutOfBounds lose the device.
func TestCopiesOutOfBounds(t *testing.T) {
	for name, ask := range map[string]func(s device.Stream, at device.Pointer) error{
		"in":             func(s device.Stream, at device.Pointer) error { return s.CopyIn(at+1, make([]byte, 16)) },
		"out":            func(s device.Stream, at device.Pointer) error { return s.CopyOut(make([]byte, 17), at) },
		"within, from":   func(s device.Stream, at device.Pointer) error { return s.CopyWithin(at, at+8, 9) },
		"within, to":     func(s device.Stream, at device.Pointer) error { return s.CopyWithin(at+8, at, 9) },
		"fill":           func(s device.Stream, at device.Pointer) error { return s.Fill(0, 0, 1) },
		"negative":       func(s device.Stream, at device.Pointer) error { return s.Fill(at, 0, -1) },
		"past the space": func(s device.Stream, at device.Pointer) error { return s.Fill(^device.Pointer(0), 0, 2) },
	} {
		b := newBench(t, emulator.Options{})
		at, err := b.d.Allocate(16)
		b.must(err)
		b.must(ask(b.s, at))
		if err := b.s.Wait(time.Second); !errors.Is(err, device.ErrIllegalAccess) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFail: failures that a test asks for.
func TestFail(t *testing.T) {
	for _, kind := range []error{device.ErrLost, device.ErrHung, device.ErrIllegalAccess} {
		b := newBench(t, emulator.Options{})
		at := b.memory(make([]byte, 4))
		b.must(b.s.Wait(time.Second))
		b.d.Fail(2, kind)
		out := make([]byte, 4)
		for _, v := range []byte{1, 2, 3} {
			b.must(b.s.Fill(at, v, 4))
			b.must(b.s.CopyOut(out, at))
		}
		err := b.s.Wait(time.Second)
		if !errors.Is(err, kind) || !device.Fatal(err) || out[0] != 1 {
			t.Errorf("%v: %v after %d", kind, err, out[0])
		}
		_, allocated := b.d.Allocate(1)
		_, pinned := b.d.Pinned(1)
		_, loaded := b.d.Load(nil)
		_, opened := b.d.NewStream()
		_, marked := b.s.Mark()
		_, recorded := b.s.Record(func() error { return nil })
		for i, again := range []error{allocated, pinned, loaded, opened, marked, recorded, b.d.Free(at), b.s.Wait(time.Second), b.s.Fill(at, 0, 1)} {
			if !errors.Is(again, kind) {
				t.Errorf("%v, call %d: %v", kind, i, again)
			}
		}
	}
	b := newBench(t, emulator.Options{})
	b.d.Fail(1, device.ErrOutOfMemory)
	at := b.memory(make([]byte, 4)) // the first
	if _, err := b.d.Pinned(4); !errors.Is(err, device.ErrOutOfMemory) {
		t.Errorf("%v", err)
	}
	b.d.Fail(0, device.ErrLost)
	b.d.Fail(0, nil)
	b.read(at, 4)
}

// TestClosed: a closed device answers ErrClosed.
func TestClosed(t *testing.T) {
	d := emulator.New(emulator.Options{})
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Allocate(1); !errors.Is(err, device.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := s.Wait(time.Second); !errors.Is(err, device.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestBeside: allocating may happen while a launch runs.
func TestBeside(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(addOne)
	at := b.memory(make([]byte, 4*256))
	var wait sync.WaitGroup
	wait.Go(func() {
		for range 200 {
			p, err := b.d.Allocate(100)
			if err == nil {
				err = b.d.Free(p)
			}
			if err != nil || b.d.Info().Free <= 0 {
				t.Error(err)
			}
		}
	})
	for range 200 {
		b.must(b.one(f, 256, at, 0))
	}
	wait.Wait()
}

// TestRefused: what Load does not take, and that it says where it is.
func TestRefused(t *testing.T) {
	for code, want := range map[string]string{
		"frobnicate.u32 %r1, %r2;":                 "line 7: frobnicate.u32: not known here",
		"ex2.approx.ftz.f32 %f1, %f2;":             "its result is not exact",
		"div.approx.f32 %f1, %f2, %f3;":            "its result is not exact",
		"add.ftz.f32 %f1, %f2, %f3;":               "its result is not exact",
		"add.rz.f32 %f1, %f2, %f3;":                "not known here",
		"add.s32 %r1, %r2, 0f00000000;":            "a float where an integer",
		"add.f32 %f1, %f2, 1;":                     "an integer where a float",
		"add.s32 %r1, %p2, 1;":                     "a predicate where a number",
		"add.s32 %p1, %r2, 1;":                     "no register of numbers",
		"add.s32 %r1, %r2;":                        "2 operands",
		"add.s32 %r1, %d2, 1;":                     "a register of 64 bits",
		"add.s64 %d1, %r2, 1;":                     "a register of 32 bits",
		"ld.global.u32 %r1, [%r2];":                "an address of 32 bits",
		"ld.global.v3.u32 {%r1, %r2, %r3}, [%d1];": "v3 is not known here",
		"ld.global.u64 %r1, [%d1];":                "a register of 32 bits",
		"setp.foo.s32 %p1, %r1, %r2;":              "not known here",
		"atom.global.add.u16 %h1, [%d1], %h2;":     "not known here",
		"mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%r1,%r2,%r3,%r4}, {%r1,%r2}, {%r3}, {%r1,%r2,%r3,%r4};": "not known here",
		"mov.u32 %r1, %nothing;":                     "no special register",
		"mov.u32 %r1, %tid.w;":                       "no special register",
		"bar.sync;":                                  "0 operands",
		"call nowhere;":                              "no register, variable, label or function nowhere",
		"shfl.down.b32 %r1, %r2, 1, 31;":             "operands",
		"cvt.rna.tf32.f32 %r1, %f1;":                 "not known here",
		"st.param.u32 [args], %r1;":                  "cannot be written",
		".shared .b8 big[232449]; mov.u32 %r1, big;": "bytes of shared memory",
	} {
		d := emulator.New(emulator.Options{})
		_, err := d.Load([]byte(".version 7.1\n.target sm_80\n.address_size 64\n" + body(code)))
		if !errors.Is(err, device.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", code, err, want)
		}
	}
	d := emulator.New(emulator.Options{})
	m, err := d.Load([]byte(addOne))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Function("other"); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	if got := d.Instructions("k"); !slices.Contains(got, "add.s32") || slices.Contains(got, "fma.rn.f32") {
		t.Errorf("%v", got)
	}
}

// TestLoadAgain: a text that is loaded on several devices, and twice on one, has
// variables of its own each time.
func TestLoadAgain(t *testing.T) {
	text := ".global .u32 count = 5;\n" + body("mov.u64 %d1, count; ld.global.u32 %r1, [%d1]; add.s32 %r1, %r1, 1; st.global.u32 [%d1], %r1; st.global.u32 [%d9], %r1;")
	first, second := newBench(t, emulator.Options{}), newBench(t, emulator.Options{})
	second.memory(make([]byte, 64)) // the variable lies elsewhere
	for i, b := range []*bench{first, second, first, second} {
		f, at := b.kernel(text), b.memory(make([]byte, 4))
		for _, want := range []uint32{6, 7} {
			b.must(b.one(f, 1, at, at))
			if got := unwords32(b.read(at, 4))[0]; got != want {
				t.Errorf("load %d: %d, want %d", i, got, want)
			}
		}
	}
}
