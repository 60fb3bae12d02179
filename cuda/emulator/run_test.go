package emulator_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
)

// bench is a device with one stream, as most tests want it.
type bench struct {
	t testing.TB
	d *emulator.Device
	s device.Stream
}

func newBench(t testing.TB, o emulator.Options) *bench {
	t.Helper()
	d := emulator.New(o)
	s, err := d.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t, d, s}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// kernel is the kernel named k of a text without its head.
func (b *bench) kernel(text string) device.Function {
	b.t.Helper()
	m, err := b.d.Load([]byte(".version 7.1\n.target sm_80\n.address_size 64\n" + text))
	b.must(err)
	f, err := m.Function("k")
	b.must(err)
	return f
}

// memory is an allocation that holds p.
func (b *bench) memory(p []byte) device.Pointer {
	b.t.Helper()
	at, err := b.d.Allocate(int64(len(p)))
	b.must(err)
	b.must(b.s.CopyIn(at, p))
	return at
}

// read is n bytes of the device.
func (b *bench) read(at device.Pointer, n int) []byte {
	b.t.Helper()
	p := make([]byte, n)
	b.must(b.s.CopyOut(p, at))
	b.must(b.s.Wait(time.Minute))
	return p
}

func words(v ...uint64) []byte {
	var p []byte
	for _, w := range v {
		p = binary.LittleEndian.AppendUint64(p, w)
	}
	return p
}

func words32(v ...uint32) []byte {
	var p []byte
	for _, w := range v {
		p = binary.LittleEndian.AppendUint32(p, w)
	}
	return p
}

func unwords32(p []byte) []uint32 {
	v := make([]uint32, len(p)/4)
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(p[4*i:])
	}
	return v
}

// body is a kernel with two parameters, %d9 and %d10, and registers of all types.
func body(code string) string {
	return `.visible .entry k(.param .align 8 .b8 args[16]) {
	.reg .pred %p<16>; .reg .b16 %h<16>; .reg .b32 %r<32>; .reg .f32 %f<16>; .reg .b64 %d<32>; .reg .f64 %e<16>;
	ld.param.u64 %d9, [args]; ld.param.u64 %d10, [args+8];
	` + code + `
	ret;
}`
}

// one launches k over one block of threads, handing it two addresses.
func (b *bench) one(f device.Function, threads int, in, out device.Pointer) error {
	b.t.Helper()
	b.must(b.s.Launch(f, device.Launch{Grid: [3]int{1, 1, 1}, Block: [3]int{threads, 1, 1}, Args: words(uint64(in), uint64(out))}))
	return b.s.Wait(time.Minute)
}

// edges are operands where arithmetic goes wrong.
func edges(bits int) []uint64 {
	top := uint64(1) << (bits - 1)
	list := []uint64{0, 1, 2, 3, 5, 7, 31, 32, 33, 63, 64, 127, 128, 255, 0x8040, top - 1, top, top + 1, 2*top - 1, 2*top - 2}
	for _, f := range []float32{1, -1, 0.5, 1.5, 2.5, -2.5, 127, 1e-38, 1e-45, 1e38, math.MaxFloat32, 4.5e9, -4.5e9, 3e9, 1e19, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 0.49999997, 8388609.5, float32(math.Copysign(0, -1))} {
		list = append(list, uint64(math.Float32bits(f)))
	}
	if bits == 64 {
		for _, f := range []float64{1, -1.5, 1e300, 5e-324, math.Pi, math.Inf(1), math.NaN(), 3.4028235677973366e38, 1e-46} {
			list = append(list, math.Float64bits(f))
		}
	}
	return list
}

// operands are triples: every pair of edges, then random ones.
func operands(bits int) [][3]uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	e := edges(bits)
	var list [][3]uint64
	for _, a := range e {
		for _, b := range e {
			list = append(list, [3]uint64{a, b, e[r.IntN(len(e))]})
		}
	}
	for range 2000 {
		list = append(list, [3]uint64{r.Uint64(), r.Uint64(), r.Uint64()})
	}
	for range 1000 { // floats near each other
		x := r.Uint32()
		list = append(list, [3]uint64{uint64(x), uint64(x ^ r.Uint32()&0x80ffffff), uint64(x ^ r.Uint32()&0x81ffffff)})
	}
	return list
}

// registers are the names of an operand of a width in code.
var registers = map[byte]struct{ load, store string }{
	'h': {"ld.global.u16 %%h%d, [%%d11+%d];\n", "st.global.u16 [%d12], %h0;\n"},
	'r': {"ld.global.u32 %%r%d, [%%d11+%d];\n", "st.global.u32 [%d12], %r0;\n"},
	'f': {"ld.global.f32 %%f%d, [%%d11+%d];\n", "st.global.f32 [%d12], %f0;\n"},
	'd': {"ld.global.u64 %%d%d, [%%d11+%d];\n", "st.global.u64 [%d12], %d0;\n"},
	'e': {"ld.global.f64 %%e%d, [%%d11+%d];\n", "st.global.f64 [%d12], %e0;\n"},
	'p': {"", "selp.u32 %r0, 1, 0, %p0;\nst.global.u32 [%d12], %r0;\n"},
}

// results runs code for every triple of operands, 1 to 3 of the registers of each
// kind, and returns register 0 of the kind to. Each thread of a block has one triple;
// with no threads, all of a warp have the same.
func results(t *testing.T, code string, to byte, triples [][3]uint64, threads int) []uint64 {
	t.Helper()
	b := newBench(t, emulator.Options{})
	text := "mov.u32 %r20, %tid.x; mov.u32 %r21, %ctaid.x; mov.u32 %r22, %ntid.x; mad.lo.s32 %r20, %r21, %r22, %r20;\n"
	if threads == 0 {
		text = "mov.u32 %r20, %ctaid.x;\n"
	}
	text += "mul.wide.u32 %d11, %r20, 24; add.s64 %d11, %d11, %d9; mul.wide.u32 %d12, %r20, 8; add.s64 %d12, %d12, %d10;\n"
	for kind := range registers {
		for i := 1; i <= 3 && kind != 'p'; i++ {
			text += fmt.Sprintf(registers[kind].load, i, 8*(i-1))
		}
	}
	f := b.kernel(body(text + code + "\n" + registers[to].store))
	var in []byte
	each := max(threads, 1) // triples of a block
	blocks := (len(triples) + each - 1) / each
	for i := range blocks * each {
		v := triples[min(i, len(triples)-1)]
		in = append(in, words(v[:]...)...)
	}
	source, target := b.memory(in), b.memory(make([]byte, 8*blocks*each))
	b.must(b.s.Launch(f, device.Launch{Grid: [3]int{blocks, 1, 1}, Block: [3]int{pick(threads > 0, threads, 32), 1, 1}, Args: words(uint64(source), uint64(target))}))
	p := b.read(target, 8*blocks*each)
	out := make([]uint64, len(triples))
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	return out
}

// expect holds code against want, in the ways that a warp computes.
func expect(t *testing.T, code string, to byte, bits int, want func(a, b, c uint64) uint64) {
	t.Helper()
	triples := operands(bits)
	for _, threads := range []int{64, 31, 9, 0} { // whole warps, most of one, few lanes, all lanes alike
		if threads == 0 {
			triples = triples[:len(triples)/4]
		}
		for i, got := range results(t, code, to, triples, threads) {
			v := triples[i]
			if w := want(v[0], v[1], v[2]); got != w {
				t.Fatalf("%s of %#x, %d threads: %#x, want %#x", code, v, threads, got, w)
			}
		}
	}
}
