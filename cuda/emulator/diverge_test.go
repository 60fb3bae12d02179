package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// Programs of random branches and loops, as text and as a function of one thread's
// variables. Their lanes go apart and meet again, and leave in registers what others
// read later; some variables are the same in all lanes, for a while.
type maker struct {
	r      *rand.Rand
	labels int
	depth  int
}

const variables = 8 // %r4 … %r11

type thread [variables]uint32

type statement struct {
	code string
	run  func(v *thread)
}

// operand is a variable or a number.
func (m *maker) operand() (string, func(v *thread) uint32) {
	if i := m.r.IntN(variables + 3); i < variables {
		return fmt.Sprintf("%%r%d", 4+i), func(v *thread) uint32 { return v[i] }
	}
	n := m.r.Uint32N(7)
	return fmt.Sprint(n), func(*thread) uint32 { return n }
}

func (m *maker) assign() statement {
	to := m.r.IntN(variables)
	a, valueA := m.operand()
	b, valueB := m.operand()
	ops := []struct {
		name string
		do   func(a, b uint32) uint32
	}{
		{"add.s32", func(a, b uint32) uint32 { return a + b }},
		{"sub.s32", func(a, b uint32) uint32 { return a - b }},
		{"mul.lo.s32", func(a, b uint32) uint32 { return a * b }},
		{"xor.b32", func(a, b uint32) uint32 { return a ^ b }},
		{"min.u32", func(a, b uint32) uint32 { return min(a, b) }},
		{"rem.u32", func(a, b uint32) uint32 { return a % (b | 1) }},
	}
	op := ops[m.r.IntN(len(ops))]
	code := fmt.Sprintf("%s %%r%d, %s, %s;\n", op.name, 4+to, a, b)
	if op.name == "rem.u32" {
		code = fmt.Sprintf("or.b32 %%r13, %s, 1; rem.u32 %%r%d, %s, %%r13;\n", b, 4+to, a)
	}
	return statement{code, func(v *thread) { v[to] = op.do(valueA(v), valueB(v)) }}
}

// asked is a setp, and what it finds.
func (m *maker) asked() (string, func(v *thread) bool) {
	a, valueA := m.operand()
	b, valueB := m.operand()
	mask := []uint32{0xffffffff, 3, 1}[m.r.IntN(3)]
	return fmt.Sprintf("and.b32 %%r13, %s, %d; setp.lt.u32 %%p1, %%r13, %s;\n", a, int32(mask), b),
		func(v *thread) bool { return valueA(v)&mask < valueB(v) }
}

func (m *maker) choose() statement {
	ask, holds := m.asked()
	switch m.r.IntN(3) {
	case 0: // a guard
		s := m.assign()
		to := m.r.IntN(variables)
		return statement{ask + fmt.Sprintf("@%%p1 add.s32 %%r%d, %%r%d, 5;\n", 4+to, 4+to) + s.code, func(v *thread) {
			if holds(v) {
				v[to] += 5
			}
			s.run(v)
		}}
	case 1: // a selection
		to, a, b := m.r.IntN(variables), m.r.IntN(variables), m.r.IntN(variables)
		return statement{ask + fmt.Sprintf("selp.b32 %%r%d, %%r%d, %%r%d, %%p1;\n", 4+to, 4+a, 4+b), func(v *thread) {
			if holds(v) {
				v[to] = v[a]
			} else {
				v[to] = v[b]
			}
		}}
	}
	m.labels++
	n := m.labels
	yes, no := m.list(), m.list()
	return statement{fmt.Sprintf("%s@!%%p1 bra else%d;\n%sbra end%d;\nelse%d:\n%send%d:\n", ask, n, yes.code, n, n, no.code, n), func(v *thread) {
		if holds(v) {
			yes.run(v)
		} else {
			no.run(v)
		}
	}}
}

// repeat is a loop of 1 to 4 rounds, as many in all lanes or not.
func (m *maker) repeat() statement {
	m.labels++
	n, counter, by := m.labels, 14+m.depth, m.r.IntN(variables)
	body := m.list()
	alike := m.r.IntN(2) == 0
	start := fmt.Sprintf("and.b32 %%r%d, %%r%d, 3;\n", counter, 4+by)
	if alike {
		start = fmt.Sprintf("mov.u32 %%r%d, 2;\n", counter)
	}
	code := fmt.Sprintf("%sagain%d:\n%ssetp.eq.s32 %%p2, %%r%d, 0; add.s32 %%r%d, %%r%d, -1; @!%%p2 bra again%d;\n", start, n, body.code, counter, counter, counter, n)
	return statement{code, func(v *thread) {
		rounds := v[by]&3 + 1
		if alike {
			rounds = 3
		}
		for range rounds {
			body.run(v)
		}
	}}
}

func (m *maker) list() statement {
	m.depth++
	defer func() { m.depth-- }()
	var parts []statement
	all := ""
	for range 1 + m.r.IntN(4) {
		s := m.assign()
		if k := m.r.IntN(6); m.depth < 5 && k == 0 {
			s = m.repeat()
		} else if m.depth < 5 && k < 4 {
			s = m.choose()
		}
		parts = append(parts, s)
		all += s.code
	}
	return statement{all, func(v *thread) {
		for _, s := range parts {
			s.run(v)
		}
	}}
}

// TestRandomPrograms: a warp computes what its threads would compute one by one.
func TestRandomPrograms(t *testing.T) {
	const threads = 80 // two whole warps and half of one
	programs := 400
	if testing.Short() {
		programs = 40
	}
	for seed := range programs {
		m := &maker{r: rand.New(rand.NewPCG(uint64(seed), 5))}
		var parts []statement
		for range 3 {
			parts = append(parts, m.list())
		}
		text := checkedHead + "mov.u32 %r4, %r1; ld.global.u32 %r5, [%d9]; ld.global.u32 %r6, [%d11]; mov.u32 %r7, 3;\n" +
			"mov.u32 %r8, %ntid.x; and.b32 %r9, %r1, 3; mov.u32 %r10, %r6; mov.u32 %r11, 0;\n"
		for _, s := range parts {
			text += s.code
		}
		text += "mul.wide.u32 %d12, %r1, 32; add.s64 %d12, %d12, %d10;\n" +
			"st.global.v4.u32 [%d12], {%r4, %r5, %r6, %r7}; st.global.v4.u32 [%d12+16], {%r8, %r9, %r10, %r11};\n"
		b := newBench(t, emulator.Options{})
		in := random(threads, m.r)
		out := b.memory(make([]byte, 4*variables*threads))
		b.must(b.one(b.kernel(body(text)), threads, b.memory(words32(in...)), out))
		got := unwords32(b.read(out, 4*variables*threads))
		for i := range threads {
			v := thread{uint32(i), in[0], in[i], 3, threads, uint32(i & 3), in[i], 0}
			for _, s := range parts {
				s.run(&v)
			}
			if thread(got[i*variables:][:variables]) != v {
				t.Fatalf("program %d, thread %d: %#x, want %#x, of\n%s", seed, i, got[i*variables:][:variables], v, text)
			}
		}
	}
}
