package emulator_test

import (
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
)

const factorials = `
.func (.param .b32 out) inner(.param .b32 x) {
	.reg .b32 %r<3>;
	ld.param.u32 %r0, [x+0];
	mul.lo.s32 %r1, %r0, %r0;
	st.param.b32 [out+0], %r1;
	ret;
}
.func (.param .b32 out) outer(.param .b32 x, .param .b32 n) {
	.reg .b32 %r<5>; .reg .pred %p<3>;
	ld.param.u32 %r0, [x+0]; ld.param.u32 %r1, [n+0];
	mov.u32 %r2, 1;
	setp.eq.s32 %p1, %r1, 0;
	@%p1 bra none;
again:
	{ .param .b32 a; .param .b32 r; st.param.b32 [a+0], %r2; call.uni (r), inner, (a); ld.param.b32 %r2, [r+0]; }
	add.s32 %r2, %r2, %r0;
	setp.gt.u32 %p2, %r2, 100000;
	@%p2 bra none;
	add.s32 %r1, %r1, -1;
	setp.ne.s32 %p1, %r1, 0;
	@%p1 bra again;
	st.param.b32 [out+0], %r2;
	ret;
none:
	st.param.b32 [out+0], 7;
	ret;
}
`

// TestCalls: functions are called with parameters of each thread's own, and
// threads that return early wait for the others behind the call.
func TestCalls(t *testing.T) {
	b := newBench(t, emulator.Options{Strict: true})
	f := b.kernel(factorials + body(checkedHead+`rem.u32 %r5, %r1, 5;
	{ .param .b32 a; .param .b32 b; .param .b32 r; st.param.b32 [a+0], %r1; st.param.b32 [b+0], %r5; call.uni (r), outer, (a, b); ld.param.b32 %r6, [r+0]; }
	activemask.b32 %r7; popc.b32 %r7, %r7; mad.lo.s32 %r6, %r7, 1000000, %r6;
	st.global.u32 [%d11], %r6;`))
	at := b.memory(make([]byte, 256))
	b.must(b.one(f, 64, at, 0))
	for i, got := range unwords32(b.read(at, 256)) {
		want := uint32(1)
		for n := i % 5; ; n-- {
			if n == 0 && i%5 != 0 {
				break
			}
			if n > 0 {
				want = want*want + uint32(i)
			}
			if n == 0 || want > 100000 {
				want = 7
				break
			}
		}
		if want += 32 * 1000000; got != want {
			t.Errorf("thread %d: %d, want %d", i, got, want)
		}
	}
}

// TestVariables: what a module declares, on every device anew, and what a kernel
// finds in open shared memory behind its own.
func TestVariables(t *testing.T) {
	for range 2 {
		b := newBench(t, emulator.Options{Strict: true})
		f := b.kernel(`.const .align 4 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 3};
.global .align 4 .u32 counter = 10;
.global .align 4 .b8 empty[8];
.extern .shared .align 16 .b8 open[];
` + body(checkedHead+`mov.u64 %d1, table; and.b32 %r4, %r1, 3; mul.wide.u32 %d2, %r4, 4; add.s64 %d1, %d1, %d2; ld.const.u32 %r5, [%d1];
	atom.global.add.u32 %r6, [counter], 1;
	ld.global.u32 %r7, [empty+4];
	mov.u32 %r8, open; sub.s32 %r8, %r8, %r3; mad.lo.s32 %r5, %r5, 1000, %r8; add.s32 %r5, %r5, %r7;
	st.global.u32 [%d11], %r5; bar.sync 0;
	setp.eq.s32 %p1, %r1, 0; @%p1 ld.global.u32 %r5, [counter]; @%p1 st.global.u32 [%d9+252], %r5;`))
		at := b.memory(make([]byte, 256))
		b.must(b.one(f, 60, at, 0))
		got := unwords32(b.read(at, 256))
		for i, want := range []uint32{1256, 2256, 3256, 256, 1256} {
			if got[i] != want {
				t.Errorf("thread %d: %d, want %d", i, got[i], want)
			}
		}
		if got[63] != 70 {
			t.Errorf("the counter is %d, want 70", got[63])
		}
	}
}

// TestCallsAreBounded: functions that call each other without an end, or too often.
func TestCallsAreBounded(t *testing.T) {
	call := "call.uni f%, ();"
	chain := ".func f0() { ret; }\n"
	for i := range 20 {
		chain += strings.ReplaceAll(".func g() { "+strings.Repeat(strings.ReplaceAll(call, "%", letters(i)), 4)+" ret; }\n", "g()", "f"+letters(i+1)+"()")
	}
	for name, text := range map[string]string{
		"itself": ".func f() { call.uni f, (); ret; }\n.entry k() { call.uni f, (); ret; }",
		"often":  chain + ".entry k() { call.uni f" + letters(12) + ", (); ret; }",
	} {
		_, err := emulator.New(emulator.Options{}).Load([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "calls") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func letters(i int) string { return strings.Repeat("0", i+1) }
