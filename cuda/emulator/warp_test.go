package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// each runs code, which has its thread in %r1, its input word in %r2 and leaves
// its result in %r0, over one block.
func each(t *testing.T, code string, in []uint32) []uint32 {
	t.Helper()
	b := newBench(t, emulator.Options{})
	f := b.kernel(body(`mov.u32 %r1, %tid.x;
	mul.wide.u32 %d11, %r1, 4; add.s64 %d12, %d11, %d10; add.s64 %d11, %d11, %d9;
	ld.global.u32 %r2, [%d11];
	` + code + `
	st.global.u32 [%d12], %r0;`))
	source, target := b.memory(words32(in...)), b.memory(make([]byte, 4*len(in)))
	b.must(b.one(f, len(in), source, target))
	return unwords32(b.read(target, 4*len(in)))
}

func random(n int, r *rand.Rand) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = r.Uint32()
	}
	return v
}

// TestShuffles: every kind, and the segments of its last operand.
func TestShuffles(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		kind string
		by   int
		last int // the third operand
		from func(i int) int
	}{
		{"bfly", 16, 31, func(i int) int { return i ^ 16 }},
		{"bfly", 1, 31, func(i int) int { return i ^ 1 }},
		{"down", 4, 31, func(i int) int { return pick(i+4 < 32, i+4, i) }},
		{"up", 3, 0, func(i int) int { return pick(i >= 3, i-3, i) }},
		{"idx", 7, 31, func(int) int { return 7 }},
		{"down", 4, 0x181f, func(i int) int { return pick(i%8+4 < 8, i+4, i) }},
		{"up", 1, 0x1800, func(i int) int { return pick(i%8 >= 1, i-1, i) }},
		{"idx", 2, 0x1c1f, func(i int) int { return i&^3 | 2 }},
	} {
		in := random(96, r)
		got := each(t, fmt.Sprintf("shfl.sync.%s.b32 %%r0, %%r2, %d, %d, -1;", c.kind, c.by, c.last), in)
		inside := each(t, fmt.Sprintf("shfl.sync.%s.b32 %%r3|%%p1, %%r2, %d, %d, -1; selp.u32 %%r0, 1, 0, %%p1;", c.kind, c.by, c.last), in)
		for i := range in {
			from := i&^31 | c.from(i&31)
			if got[i] != in[from] {
				t.Errorf("%+v: lane %d has %#x, want lane %d's", c, i, got[i], from)
			}
			if own := c.kind != "idx" && from == i; inside[i] != one(!own) {
				t.Errorf("%+v: lane %d: predicate %d", c, i, inside[i])
			}
		}
	}
}

// TestVotes: of a whole warp, of one that lacks lanes, and of members only.
func TestVotes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{32, 20} {
		in := random(n, r)
		var ballot, low, sum, most uint32
		for i, v := range in {
			ballot |= v & 1 << i
			low |= one(v&3 == in[0]&3) << i
			sum += v
			most = max(most, v)
		}
		odd := "and.b32 %r3, %r2, 1; setp.ne.s32 %p1, %r3, 0; "
		for code, want := range map[string]uint32{
			odd + "vote.sync.ballot.b32 %r0, %p1, -1;":                                                     ballot,
			odd + "vote.sync.any.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;":                              1,
			odd + "vote.sync.all.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;":                              0,
			odd + "vote.sync.all.pred %p2, !%p3, -1; selp.u32 %r0, 1, 0, %p2;":                             1,
			odd + "vote.sync.uni.pred %p2, %p3, -1; selp.u32 %r0, 1, 0, %p2;":                              1,
			"redux.sync.add.s32 %r0, %r2, -1;":                                                             sum,
			"redux.sync.max.u32 %r0, %r2, -1;":                                                             most,
			"activemask.b32 %r0;":                                                                          1<<n - 1,
			"and.b32 %r3, %r2, 3; match.any.sync.b32 %r4, %r3, -1; shfl.sync.idx.b32 %r0, %r4, 0, 31, -1;": low,
		} {
			got := each(t, code, in)
			for i := range got {
				if got[i] != want {
					t.Errorf("%d threads: %s: lane %d has %#x, want %#x", n, code, i, got[i], want)
				}
			}
		}
	}
}

// TestVoteOfMembers: half a warp votes while the other is elsewhere.
func TestVoteOfMembers(t *testing.T) {
	got := each(t, `setp.ge.s32 %p1, %r1, 16;
	mov.u32 %r0, 9;
	@%p1 bra done;
	setp.lt.s32 %p2, %r1, 3;
	vote.sync.ballot.b32 %r0, %p2, 0xffff;
done:`, make([]uint32, 32))
	for i, v := range got {
		if want := pick[uint32](i < 16, 7, 9); v != want {
			t.Errorf("lane %d has %d, want %d", i, v, want)
		}
	}
}

// TestDivergence: lanes go their own ways, and meet again.
func TestDivergence(t *testing.T) {
	in := make([]uint32, 70)
	for i := range in {
		in[i] = uint32(i*37%23) + 1
	}
	got := each(t, `mov.u32 %r0, 0;
	mov.u32 %r5, 0;
outer:
	setp.ge.u32 %p1, %r5, %r2;
	@%p1 bra end;
	and.b32 %r6, %r5, 3;
	setp.eq.s32 %p2, %r6, 2;
	@%p2 bra next;              // continue
	mov.u32 %r7, %r5;
inner:
	add.s32 %r0, %r0, %r7;
	setp.gt.u32 %p3, %r0, 500;
	@%p3 bra end;               // break of both
	add.s32 %r7, %r7, -1;
	setp.gt.s32 %p4, %r7, 0;
	@%p4 bra inner;
next:
	add.s32 %r5, %r5, 1;
	bra.uni outer;
end:
	activemask.b32 %r8;
	popc.b32 %r8, %r8;
	mad.lo.s32 %r0, %r8, 10000, %r0;`, in)
	for i, n := range in {
		want := uint32(0)
	outer:
		for k := uint32(0); k < n; k++ {
			if k&3 == 2 {
				continue
			}
			for j := int32(k); ; {
				if want += uint32(j); want > 500 {
					break outer
				}
				if j--; j <= 0 {
					break
				}
			}
		}
		want += 10000 * uint32(min(32, len(in)-i/32*32)) // all have met again
		if got[i] != want {
			t.Errorf("thread %d of %d rounds: %d, want %d", i, n, got[i], want)
		}
	}
}

// TestExits: lanes that have ended are waited for neither by a warp nor by a block.
func TestExits(t *testing.T) {
	b := newBench(t, emulator.Options{})
	f := b.kernel(body(`mov.u32 %r1, %tid.x;
	and.b32 %r2, %r1, 1;
	setp.eq.s32 %p1, %r2, 1;
	@%p1 ret;
	bar.sync 0;
	mov.u32 %r0, 5;
	shfl.sync.idx.b32 %r0, %r1, 0, 31, -1;
	mul.wide.u32 %d11, %r1, 4; add.s64 %d11, %d11, %d10;
	st.global.u32 [%d11], %r0;`))
	out := b.memory(make([]byte, 4*64))
	b.must(b.one(f, 64, out, out))
	for i, v := range unwords32(b.read(out, 4*64)) {
		if want := uint32(pick(i%2 == 0, i&^31, 0)); v != want {
			t.Errorf("thread %d wrote %d, want %d", i, v, want)
		}
	}
}

// TestSwitch: a branch through a table.
func TestSwitch(t *testing.T) {
	got := each(t, `rem.u32 %r3, %r1, 3;
table: .branchtargets a, b, c;
	brx.idx %r3, table;
a:	mov.u32 %r0, 10; bra.uni end;
b:	mov.u32 %r0, 20;
c:	add.s32 %r0, %r1, 30;
end:`, make([]uint32, 40))
	for i, v := range got {
		if want := uint32(pick(i%3 == 0, 10, 30+i)); v != want {
			t.Errorf("thread %d has %d, want %d", i, v, want)
		}
	}
}

// TestMultiply holds mma.m16n8k32 against the product of its matrices.
func TestMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, kinds := range []string{"s8.s8", "s8.u8", "u8.s8", "u8.u8"} {
		for round := range 20 {
			a, b, c := random(32*4, r), random(32*2, r), random(32*4, r)
			if round == 0 {
				for i := range a {
					a[i] = 0x80808080
				}
				for i := range b {
					b[i] = 0xff80ff80
				}
			}
			in := slices.Concat(a, b, c)
			d := newBench(t, emulator.Options{})
			f := d.kernel(body(`mov.u32 %r1, %tid.x;
	mul.wide.u32 %d11, %r1, 16; add.s64 %d12, %d11, %d9;
	ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%d12];
	mul.wide.u32 %d13, %r1, 8; add.s64 %d13, %d13, %d9;
	ld.global.v2.u32 {%r6, %r7}, [%d13+512];
	ld.global.v4.u32 {%r8, %r9, %r10, %r11}, [%d12+768];
	mma.sync.aligned.m16n8k32.row.col.s32.` + kinds + `.s32 {%r8,%r9,%r10,%r11}, {%r2,%r3,%r4,%r5}, {%r6,%r7}, {%r8,%r9,%r10,%r11};
	add.s64 %d12, %d11, %d10;
	st.global.v4.u32 [%d12], {%r8, %r9, %r10, %r11};`))
			source, target := d.memory(words32(in...)), d.memory(make([]byte, 512))
			d.must(d.one(f, 32, source, target))
			got := unwords32(d.read(target, 512))
			for row := range 16 {
				for col := range 8 {
					lane, reg := row%8*4+col/2, row/8*2+col%2
					want := c[lane*4+reg]
					for k := range 32 {
						want += uint32(element(a[(row%8*4+k%16/4)*4+row/8+k/16*2], k%4, kinds[0] == 's') * element(b[(col*4+k%16/4)*2+k/16], k%4, kinds[3] == 's'))
					}
					if got[lane*4+reg] != want {
						t.Fatalf("%s: row %d, column %d: %d, want %d", kinds, row, col, int32(got[lane*4+reg]), int32(want))
					}
				}
			}
		}
	}
}

// element is byte i of a register.
func element(v uint32, i int, signed bool) int32 {
	if signed {
		return int32(int8(v >> (8 * i)))
	}
	return int32(uint8(v >> (8 * i)))
}

// TestLoadMatrix: matrix k's row i lies where lane 8k+i says.
func TestLoadMatrix(t *testing.T) {
	in := random(128, rand.New(rand.NewPCG(9, 10)))
	for _, n := range []int{1, 2, 4} {
		to := []string{"{%r4}", "{%r4, %r5}", "", "{%r4, %r5, %r6, %r7}"}[n-1]
		b := newBench(t, emulator.Options{})
		f := b.kernel(body(fmt.Sprintf(`.shared .align 16 .b8 s[512];
	mov.u32 %%r1, %%tid.x; mul.wide.u32 %%d11, %%r1, 16; add.s64 %%d12, %%d11, %%d9;
	mov.u32 %%r2, s; shl.b32 %%r3, %%r1, 4; xor.b32 %%r8, %%r3, 48; add.s32 %%r3, %%r2, %%r3; add.s32 %%r8, %%r2, %%r8;
	cp.async.cg.shared.global [%%r3], [%%d12], 16; cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;
	mov.u32 %%r5, 0; mov.u32 %%r6, 0; mov.u32 %%r7, 0;
	ldmatrix.sync.aligned.m8n8.x%d.shared.b16 %s, [%%r8];
	add.s64 %%d12, %%d11, %%d10; st.global.v4.u32 [%%d12], {%%r4, %%r5, %%r6, %%r7};`, n, to)))
		source, target := b.memory(words32(in...)), b.memory(make([]byte, 512))
		b.must(b.one(f, 32, source, target))
		got := unwords32(b.read(target, 512))
		for lane := range 32 {
			for k := range n {
				if want := in[(8*k+lane/4^3)*4+lane%4]; got[lane*4+k] != want {
					t.Errorf("x%d: lane %d, matrix %d: %#x, want %#x", n, lane, k, got[lane*4+k], want)
				}
			}
		}
	}
}
