package emulator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// checked is a launch and what is wrong with it.
type checked struct {
	name    string
	code    string // tid is in %r1, a thread's word of shared memory at %r2, of %d9 at %d11
	want    string // in the error; "": none
	kind    error  // nil: ErrIllegalAccess
	blocks  int    // 0: 1
	threads int    // 0: 64
	strict  bool
	racy    bool
}

const checkedHead = `.shared .align 16 .b8 s[256];
	.local .align 4 .b8 l[16];
	mov.u32 %r1, %tid.x;
	shl.b32 %r2, %r1, 2; mov.u32 %r3, s; add.s32 %r2, %r2, %r3;
	mul.wide.u32 %d11, %r1, 4; add.s64 %d11, %d11, %d9;
	`

func (c checked) run(t *testing.T) {
	b := newBench(t, emulator.Options{Strict: c.strict, Racy: c.racy, Budget: 10000})
	f := b.kernel(body(checkedHead + c.code))
	in, freed := b.memory(make([]byte, 256)), b.memory(make([]byte, 256))
	b.must(b.s.Wait(time.Second))
	b.must(b.d.Free(freed))
	l := device.Launch{Grid: [3]int{max(c.blocks, 1), 1, 1}, Block: [3]int{pick(c.threads > 0, c.threads, 64), 1, 1}, Args: words(uint64(in), uint64(freed))}
	b.must(b.s.Launch(f, l))
	err := b.s.Wait(time.Second)
	if c.want == "" {
		b.must(err)
		return
	}
	kind := pick(c.kind == nil, device.ErrIllegalAccess, c.kind)
	var failure *device.Error
	if !errors.As(err, &failure) || !errors.Is(err, kind) || !strings.Contains(failure.Doing, c.want) || !strings.HasPrefix(failure.Doing, "kernel k, line ") {
		t.Fatalf("%v, want %v with %q", err, kind, c.want)
	}
	if !device.Fatal(err) {
		t.Error("it is not fatal")
	}
	if _, again := b.d.Allocate(1); !errors.Is(again, kind) {
		t.Errorf("allocation afterwards: %v", again)
	}
}

func runChecked(t *testing.T, list []checked) {
	for _, c := range list {
		t.Run(c.name, c.run)
	}
}

// later is code that does a thing where it is right, and then by bytes further on.
func later(code string, by int) string {
	return fmt.Sprintf("mov.u32 %%r20, 0; again: %s add.s64 %%d11, %%d11, %d; add.s64 %%d9, %%d9, %d; add.s32 %%r2, %%r2, %d; add.s32 %%r20, %%r20, 1; setp.lt.s32 %%p1, %%r20, 2; @%%p1 bra again;", code, by, by, by)
}

// TestMemoryChecks: what a kernel reaches.
func TestMemoryChecks(t *testing.T) {
	runChecked(t, []checked{
		{name: "all of an allocation", code: "ld.global.u32 %r0, [%d11]; st.global.u32 [%d11], %r0;"},
		{name: "past its end", code: "ld.global.u32 %r0, [%d11+4];", want: "block 0,0,0, thread 63,0,0: ld.global.u32: 4 bytes at 0x102ffffff00, 256 bytes into an allocation of 256"},
		{name: "before it", code: "st.global.u32 [%d11+-4], %r1;", want: "thread 0,0,0: st.global.u32: 4 bytes at 0x102fffffdfc, -4 bytes into"},
		{name: "vector past its end", code: "and.b64 %d11, %d11, -16; ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d11+16];", want: "thread 60,0,0"},
		{name: "byte past its end", code: "ld.global.u8 %r4, [%d9+256];", want: "1 bytes at"},
		{name: "not aligned", code: "ld.global.u32 %r0, [%d11+2];", want: "not aligned to 4"},
		{name: "vector not aligned", code: "ld.global.v2.u32 {%r4, %r5}, [%d9+4];", want: "not aligned to 8"},
		{name: "freed", code: "ld.global.u32 %r0, [%d10];", want: "was freed"},
		{name: "null", code: "mov.u64 %d1, 0; ld.global.u32 %r0, [%d1+8];", want: "address 0x8 is no allocation's"},
		{name: "32 bits of an address", code: "cvt.u32.u64 %r4, %d11; cvt.u64.u32 %d1, %r4; ld.global.u32 %r0, [%d1];", want: "is no allocation's"},
		{name: "lost carry", code: "add.s64 %d1, %d9, 768; and.b64 %d2, %d9, -4294967296; cvt.u32.u64 %r4, %d1; cvt.u64.u32 %d3, %r4; or.b64 %d1, %d2, %d3; ld.global.u32 %r0, [%d1];", want: "bytes into an allocation"},
		{name: "generic", code: "ld.u32 %r0, [%d11+256];", want: "256 bytes into"},
		{name: "atomic", code: "atom.global.add.u32 %r0, [%d9+256], 1;", want: "atom.global.add.u32"},
		{name: "shared", code: "st.shared.u32 [%r2], %r1;"},
		{name: "past shared", code: "st.shared.u32 [%r2+4], %r1;", want: "thread 63,0,0: st.shared.u32: 4 bytes at 0x100 of 256 bytes of shared memory"},
		{name: "generic shared", code: "cvt.u64.u32 %d1, %r2; cvta.shared.u64 %d1, %d1; st.u32 [%d1], %r1; ld.shared.u32 %r4, [%r2]; setp.ne.s32 %p1, %r1, %r4; @%p1 trap;"},
		{name: "past generic shared", code: "cvt.u64.u32 %d1, %r2; cvta.shared.u64 %d1, %d1; st.u32 [%d1+4], %r1;", want: "of shared memory"},
		{name: "local", code: "mov.u64 %d1, l; st.local.u32 [%d1+12], %r1; cvta.local.u64 %d1, %d1; ld.u32 %r4, [%d1+12]; setp.ne.s32 %p1, %r1, %r4; @%p1 trap;"},
		{name: "past local", code: "st.local.u32 [l+16], %r1;", want: "of 16 bytes of local memory"},
		{name: "past parameters", code: "ld.param.u64 %d1, [args+16];", want: "of 16 bytes of parameters"},
		{name: "all of it, later", code: later("ld.global.u32 %r0, [%d9]; ld.global.v2.u32 {%r4, %r5}, [%d9]; st.global.u32 [%d9], %r0;", 248)},
		{name: "word past its end later", code: later("ld.global.u32 %r0, [%d11];", 4), want: "thread 63,0,0: ld.global.u32: 4 bytes at"},
		{name: "same word past its end later", code: later("ld.global.u32 %r0, [%d9];", 256), want: "thread 0,0,0: ld.global.u32: 4 bytes at"},
		{name: "store past its end later", code: later("st.global.u32 [%d11], %r1;", 4), want: "thread 63,0,0: st.global.u32: 4 bytes at"},
		{name: "vector past its end later", code: later("and.b64 %d1, %d11, -8; ld.global.v2.u32 {%r4, %r5}, [%d1];", 8), want: "thread 62,0,0: ld.global.v2.u32: 8 bytes at"},
		{name: "word not aligned later", code: later("ld.global.u32 %r0, [%d11];", 2), want: "ld.global.u32: address 0x102fffffe02 is not aligned to 4"},
		{name: "same word not aligned later", code: later("ld.global.u32 %r0, [%d9];", 2), want: "ld.global.u32: address 0x102fffffe02 is not aligned to 4"},
		{name: "store not aligned later", code: later("st.global.u32 [%d11], %r1;", 2), want: "st.global.u32: address 0x102fffffe02 is not aligned to 4"},
		{name: "vector not aligned later", code: later("and.b64 %d1, %d11, -4; mad.wide.u32 %d1, %r1, 4, %d1; ld.global.v2.u32 {%r4, %r5}, [%d1];", 4), want: "is not aligned to 8", threads: 16},
		{name: "shared not aligned", code: "st.shared.u32 [%r2+2], %r1;", want: "address 0x2 is not aligned to 4"},
		{name: "same shared not aligned", code: "ld.shared.u32 %r4, [%r3+2];", want: "address 0x2 is not aligned to 4"},
		{name: "same shared past its end", code: "ld.shared.u32 %r4, [%r3+256];", want: "thread 0,0,0: ld.shared.u32: 4 bytes at 0x100"},
		{name: "shared bytes past its end", code: "st.shared.u8 [%r3+256], %h1;", want: "1 bytes at 0x100"},
		{name: "trap", code: "setp.eq.s32 %p1, %r1, 40; @%p1 trap;", want: "thread 40,0,0: trap"},
	})
}

// TestRaces: threads of a block that share memory.
func TestRaces(t *testing.T) {
	other := "xor.b32 %r4, %r2, 128; "   // a thread of another warp
	neighbour := "xor.b32 %r4, %r2, 4; " // of the same
	write, read := "st.shared.u32 [%r2], %r1; ", "ld.shared.u32 %r5, [%r4]; "
	runChecked(t, []checked{
		{name: "own", code: write + "ld.shared.u32 %r5, [%r2]; " + write},
		{name: "barrier", code: other + write + "bar.sync 0; " + read},
		{name: "no barrier", code: other + write + read, want: "thread 32,0,0: st.shared.u32: shared memory at 0x80 was read by thread 0,0,0, with no barrier between"},
		{name: "racy", code: other + write + read, racy: true},
		{name: "barrier of the warp", code: neighbour + write + "bar.warp.sync -1; " + read},
		{name: "not enough for others", code: other + write + "bar.warp.sync -1; " + read, want: "with no barrier"},
		{name: "no barrier of the warp", code: neighbour + write + read, want: "was written by thread 1,0,0"},
		{name: "shuffle is no barrier", code: neighbour + write + "shfl.sync.bfly.b32 %r6, %r1, 1, 31, -1; " + read, want: "was written by thread 1,0,0"},
		{name: "write after read", code: other + read + write, want: "shared memory at 0x0 was written by thread 0,0,0"},
		{name: "write after barrier", code: other + read + "bar.sync 0; " + write},
		{name: "write after two reads", code: "ld.shared.u32 %r5, [s]; setp.eq.s32 %p1, %r1, 63; @%p1 st.shared.u32 [s], %r1;", want: "was read by several threads"},
		{name: "write after all lanes read", code: "ld.shared.u32 %r5, [s]; setp.eq.s32 %p1, %r1, 0; @%p1 st.shared.u32 [s], %r1;", threads: 32, want: "was read by several threads"},
		{name: "all lanes read after a write", code: "setp.eq.s32 %p1, %r1, 0; @%p1 st.shared.u32 [s], %r1; ld.shared.u32 %r5, [s];", threads: 32, want: "thread 1,0,0: ld.shared.u32: shared memory at 0x0 was written by thread 0,0,0"},
		{name: "all lanes read after the last one's write", code: "setp.eq.s32 %p1, %r1, 31; @%p1 st.shared.u32 [s], %r1; ld.shared.u32 %r5, [s];", threads: 32, want: "thread 0,0,0: ld.shared.u32: shared memory at 0x0 was written by thread 31,0,0"},
		{name: "all read", code: "ld.shared.u32 %r5, [s]; ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [s];"},
		{name: "one place for all", code: "st.shared.u32 [s], %r1;", want: "was written by thread 0,0,0"},
		{name: "bytes of a word", code: "add.s32 %r4, %r3, %r1; st.shared.u8 [%r4], %r1; ld.shared.u8 %r5, [%r4];"},
		{name: "byte of a word", code: "st.shared.u8 [%r2+1], %r1; " + neighbour + read, want: "shared memory at 0x5 was written by thread 1,0,0"},
		{name: "atomics", code: "atom.shared.add.u32 %r5, [s], 1; bar.sync 0; ld.shared.u32 %r5, [s];"},
		{name: "atomic and read", code: "atom.shared.add.u32 %r5, [s], 1; ld.shared.u32 %r5, [s];", want: "was written by"},
		{name: "next block", code: other + read + "bar.sync 0; " + write, blocks: 3},
	})
}

// TestBarriers: threads that wait for others.
func TestBarriers(t *testing.T) {
	low := "setp.lt.s32 %p1, %r1, 16; "
	runChecked(t, []checked{
		{name: "all", code: "bar.sync 0; barrier.sync 0;"},
		{name: "exited", code: low + "@%p1 ret; bar.sync 0;"},
		{name: "half", code: low + "@%p1 bra a; bar.sync 0; bra end; a: bar.sync 1; end:", want: "is reached by"},
		{name: "warps at several places", code: "setp.lt.s32 %p1, %r1, 32; @%p1 bra a; bar.sync 0; bra end; a: bar.sync 0; end:"},
		{name: "warp at two places", code: low + "@%p1 bra a; bar.sync 0; bra end; a: bar.sync 0; end:", want: "other lanes of its warp wait at line"},
		{name: "named", code: "setp.lt.s32 %p1, %r1, 32; @%p1 bra a; bar.sync 1, 32; bra end; a: bar.sync 2, 32; end:"},
		{name: "arrive", code: "setp.lt.s32 %p1, %r1, 32; @%p1 bra a; bar.sync 1, 64; bra end; a: bar.arrive 1, 64; end:"},
		{name: "no such barrier", code: "bar.sync 16;", want: "barrier 16"},
		{name: "of 33 threads", code: "bar.sync 0, 33;", want: "33 threads"},
		{name: "lanes never come", code: low + "@%p1 bra a; bar.sync 0; a: bar.warp.sync -1;", want: "lanes 0xffff0000 never get here"},
		{name: "not a member", code: "bar.warp.sync 0xffff;", want: "not among its members"},
		{name: "lane that is not here", code: low + "@!%p1 bra end; shfl.sync.idx.b32 %r4, %r1, 20, 31, 0xffff; end:", want: "of lane 20, which is not here"},
		{name: "endless", code: "a: bra.uni a;", want: "more instructions", kind: device.ErrHung},
		{name: "waits for a later block", code: "a: ld.volatile.global.u32 %r4, [%d9]; setp.eq.s32 %p1, %r4, 0; @%p1 bra a; atom.global.add.u32 %r5, [%d9], 1;", blocks: 2, want: "more instructions", kind: device.ErrHung},
	})
}

// TestStrict: what only a strict device sees.
func TestStrict(t *testing.T) {
	lastBlock := `atom.global.add.u32 %r4, [%d9], 0;
	bar.sync 0;
	mov.u32 %r7, %ctaid.x; shl.b32 %r7, %r7, 2; cvt.u64.u32 %d4, %r7; add.s64 %d4, %d4, %d9;
	setp.ne.s32 %p1, %r1, 0; @%p1 ret;
	st.global.u32 [%d4+16], %r7;
	FENCE
	atom.global.add.u32 %r4, [%d9], 1;
	setp.ne.s32 %p1, %r4, 1; @%p1 ret;
	membar.gl;
	ld.global.u32 %r5, [%d9+16]; ld.global.u32 %r6, [%d9+20];
	st.global.u32 [%d9], 0;`
	lastBlock = strings.Replace(lastBlock, "[%d9], 0;\n	bar", "[%d9+64], 1;\n	bar", 1)
	runChecked(t, []checked{
		{name: "written", strict: true, code: "ld.global.u32 %r4, [%d11];"},
		{name: "blocks read", strict: true, blocks: 3, code: "ld.global.u32 %r4, [%d11];"},
		{name: "blocks write", strict: true, blocks: 3, code: "st.global.u32 [%d11], %r1;", want: "block 1,0,0, thread 0,0,0: st.global.u32: memory at 0x102fffffe00 was written by thread 0,0,0 of another block"},
		{name: "unseen", blocks: 3, code: "st.global.u32 [%d11], %r1;"},
		{name: "blocks read and write", strict: true, blocks: 3, code: "ld.global.u32 %r4, [%d9]; mov.u32 %r5, %ctaid.x; setp.eq.s32 %p1, %r5, 2; @%p1 st.global.u32 [%d9], %r1;", want: "block 2,0,0, thread 0,0,0: st.global.u32: memory at 0x102fffffe00 was read by several threads"},
		{name: "threads", strict: true, code: "st.global.u32 [%d11], %r1; xor.b64 %d1, %d11, 128; ld.global.u32 %r4, [%d1];", want: "was read by thread 0,0,0, with"},
		{name: "write after all lanes read", strict: true, threads: 32, code: "ld.global.u32 %r4, [%d9]; setp.eq.s32 %p1, %r1, 0; @%p1 st.global.u32 [%d9], %r1;", want: "was read by several threads"},
		{name: "threads with a barrier", strict: true, code: "st.global.u32 [%d11], %r1; bar.sync 0; xor.b64 %d1, %d11, 128; ld.global.u32 %r4, [%d1];"},
		{name: "atomics", strict: true, blocks: 3, code: "red.global.add.u32 [%d9], 1;"},
		{name: "atomics and a read", strict: true, blocks: 3, code: "red.global.add.u32 [%d9], 1; ld.global.u32 %r4, [%d9];", want: "was written by several threads"},
		{name: "last block", strict: true, blocks: 2, code: strings.Replace(lastBlock, "FENCE", "membar.gl;", 1)},
		{name: "last block without a fence", strict: true, blocks: 2, code: strings.Replace(strings.Replace(lastBlock, "FENCE", "", 1), "membar.gl;", "", 1), want: "of another block"},
		{name: "shared nobody wrote", strict: true, code: "ld.shared.u32 %r4, [%r2];", want: "4 bytes of shared memory at 0x0 that nobody has written"},
		{name: "shared of the block before", strict: true, blocks: 2, code: "mov.u32 %r5, %ctaid.x; setp.eq.s32 %p1, %r5, 0; @%p1 st.shared.u32 [%r2], %r1; ld.shared.u32 %r4, [%r2];", want: "block 1,0,0, thread 0,0,0: ld.shared.u32: 4 bytes of shared memory"},
		{name: "shared half written", strict: true, code: "st.shared.u16 [%r2], %h1; ld.shared.u32 %r4, [%r2];", want: "nobody has written"},
		{name: "shared written", strict: true, code: "st.shared.u32 [%r2], %r1; ld.shared.u32 %r4, [%r2]; ld.shared.u8 %r4, [%r2+3];"},
	})
}

// TestStrictMemory: bytes that neither host nor kernel wrote.
func TestStrictMemory(t *testing.T) {
	for name, prepare := range map[string]func(s device.Stream, at, other device.Pointer) error{
		"nothing":      func(device.Stream, device.Pointer, device.Pointer) error { return nil },
		"too little":   func(s device.Stream, at, _ device.Pointer) error { return s.CopyIn(at, make([]byte, 255)) },
		"copy of none": func(s device.Stream, at, other device.Pointer) error { return s.CopyWithin(at, other, 256) },
		"written":      func(s device.Stream, at, _ device.Pointer) error { return s.CopyIn(at, make([]byte, 256)) },
		"filled":       func(s device.Stream, at, _ device.Pointer) error { return s.Fill(at, 1, 256) },
		"copied inside": func(s device.Stream, at, other device.Pointer) error {
			return errors.Join(s.Fill(other+8, 1, 256), s.CopyWithin(at, other+8, 256))
		},
	} {
		b := newBench(t, emulator.Options{Strict: true})
		f := b.kernel(body(checkedHead + "ld.global.u32 %r4, [%d11];"))
		at, err := b.d.Allocate(256)
		b.must(err)
		other, err := b.d.Allocate(300)
		b.must(err)
		b.must(prepare(b.s, at, other))
		err = b.one(f, 64, at, at)
		bad := name == "nothing" || name == "too little" || name == "copy of none"
		if bad != (err != nil) || bad && !strings.Contains(err.Error(), "that nobody has written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAsync: a copy arrives when it is waited for.
func TestAsync(t *testing.T) {
	copies := `st.shared.u32 [%r2], 9; st.shared.u32 [%r2+128], 9;
	cp.async.ca.shared.global [%r2], [%d11], 4; cp.async.commit_group;
	cp.async.ca.shared.global [%r2+128], [%d11], 4, 0; cp.async.commit_group;
	WAIT
	ld.shared.u32 %r4, [%r2]; ld.shared.u32 %r5, [%r2+128]; mad.lo.s32 %r4, %r4, 10, %r5;
	add.s64 %d1, %d11, 128; st.global.u32 [%d1], %r4;`
	for wait, want := range map[string]uint32{
		"":                       99,
		"cp.async.wait_group 2;": 99,
		"cp.async.wait_group 1;": 59,
		"cp.async.wait_group 0;": 50,
		"cp.async.wait_all;":     50,
	} {
		b := newBench(t, emulator.Options{})
		f := b.kernel(body(checkedHead + strings.Replace(copies, "WAIT", wait, 1)))
		in := make([]uint32, 64)
		for i := range 32 {
			in[i] = 5
		}
		at := b.memory(words32(in...))
		b.must(b.one(f, 32, at, at))
		for i, got := range unwords32(b.read(at, 256))[32:] {
			if got != want {
				t.Errorf("%q: thread %d: %d, want %d", wait, i, got, want)
			}
		}
	}
}

// TestLaunches that no device takes.
func TestLaunches(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(body(checkedHead))
	good := device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{32, 1, 1}, Args: make([]byte, 16)}
	b.must(b.s.Launch(f, good))
	for name, change := range map[string]func(l *device.Launch){
		"no block":          func(l *device.Launch) { l.Grid[1] = 0 },
		"tall grid":         func(l *device.Launch) { l.Grid[2] = 65536 },
		"no threads":        func(l *device.Launch) { l.Block[0] = 0 },
		"too many threads":  func(l *device.Launch) { l.Block = [3]int{32, 32, 2} },
		"parameters":        func(l *device.Launch) { l.Args = make([]byte, 8) },
		"too much shared":   func(l *device.Launch) { l.Shared = 227 << 10 },
		"negative shared":   func(l *device.Launch) { l.Shared = -1 },
		"too many in a row": func(l *device.Launch) { l.Block[0] = 1025 },
	} {
		l := good
		change(&l)
		var failure *device.Error
		if err := b.s.Launch(f, l); !errors.As(err, &failure) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.must(b.s.Wait(time.Second))
}

// TestFreedLater: memory that an instruction has reached before.
func TestFreedLater(t *testing.T) {
	for _, code := range []string{"ld.global.u32 %r4, [%d11];", "ld.global.u32 %r4, [%d9];", "st.global.u32 [%d11], %r1;", "ld.global.v2.u32 {%r4, %r5}, [%d9];"} {
		b := newBench(t, emulator.Options{})
		f, at := b.kernel(body(checkedHead+code)), b.memory(make([]byte, 256))
		b.must(b.one(f, 64, at, at))
		b.must(b.d.Free(at))
		if err := b.one(f, 64, at, at); err == nil || !strings.Contains(err.Error(), "was freed") {
			t.Errorf("%s: %v", code, err)
		}
	}
}
