package emulator_test

import (
	"testing"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator"
	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// BenchmarkKernels reports how many instructions of threads run in a second, in
// loops of the kinds that kernels have.
func BenchmarkKernels(b *testing.B) {
	loop := func(code string) string {
		return checkedHead + "mov.u32 %r20, 0; mov.b32 %f1, %r1; mov.u32 %r8, 0; mov.u32 %r9, 0; mov.u32 %r10, 0; mov.u32 %r11, 0;\nagain:\n" + code +
			"\nadd.s32 %r20, %r20, 1; setp.lt.s32 %p1, %r20, 100; @%p1 bra again;"
	}
	for _, c := range []struct{ name, code string }{
		{"integers", loop("mad.lo.s32 %r4, %r4, %r1, %r20; shl.b32 %r5, %r4, 3; xor.b32 %r4, %r5, %r4; and.b32 %r5, %r4, 255; dp4a.s32.s32 %r6, %r4, %r5, %r6;")},
		{"floats", loop("add.rn.f32 %f2, %f2, %f1; mul.rn.f32 %f3, %f2, %f1; sub.rn.f32 %f2, %f3, %f2; setp.gt.f32 %p2, %f2, %f3; selp.f32 %f2, %f1, %f2, %p2;")},
		{"memory", loop("ld.global.u32 %r4, [%d11]; add.s32 %r4, %r4, %r20; st.global.u32 [%d11], %r4; ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%d9];")},
		{"shared", loop("st.shared.u32 [%r2], %r20; bar.sync 0; xor.b32 %r4, %r2, 128; ld.shared.u32 %r5, [%r4]; bar.sync 0;")},
		{"reduction", loop("shfl.sync.bfly.b32 %r4, %r1, 16, 31, -1; add.s32 %r1, %r1, %r4; shfl.sync.bfly.b32 %r4, %r1, 8, 31, -1; add.s32 %r1, %r1, %r4;")},
		{"mma", loop("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r8,%r9,%r10,%r11}, {%r1,%r2,%r1,%r2}, {%r1,%r2}, {%r8,%r9,%r10,%r11};")},
		{"diverging", loop("and.b32 %r4, %r1, %r20; setp.eq.s32 %p2, %r4, 0; @%p2 bra other; add.s32 %r5, %r5, 1; bra.uni join; other: add.s32 %r6, %r6, 1; join:")},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := newBench(b, emulator.Options{})
			f := e.kernel(body(c.code))
			at := e.memory(make([]byte, 256))
			l := device.Launch{Grid: [3]int{20, 1, 1}, Block: [3]int{64, 1, 1}, Args: words(uint64(at), 0)}
			b.ReportAllocs()
			for b.Loop() {
				e.must(e.s.Launch(f, l))
				e.must(e.s.Wait(time.Minute))
			}
			b.ReportMetric(float64(e.d.Counts().Kernels["k"].Lanes)/b.Elapsed().Seconds()/1e6, "Mlanes/s")
		})
	}
}

// BenchmarkLoad loads all kernels of the stage.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		d := emulator.New(emulator.Options{})
		if _, err := kernels.Load(d); err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
