package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// groupFloats is the numbers that hadamardGroups transforms in registers.
const groupFloats = 64

// hadamardGroups writes the first strides of a rotation: signs, then the
// butterflies at strides 1 to 32, all in registers.
func hadamardGroups(l *level) {
	l.function("hadamardGroups", "func(out, x *float32, signs *byte, groups int)",
		"turns signs and does the butterflies at strides 1 to 32 of groups of 64 numbers.")
	out, x, signs, groups := parameter("out"), parameter("x"), parameter("signs"), parameter("groups")
	Label("group")
	v := make([]reg.VecVirtual, groupFloats/l.lanes)
	for k := range v {
		v[k] = l.vector()
		VMOVUPS(at(x, k*l.bytes()), v[k])
		l.turnSigns(v[k], at(signs, k*l.lanes/8))
	}
	for stride := 1; stride < l.lanes; stride *= 2 {
		Comment(fmt.Sprintf("stride %d: the other of each pair, plus itself or, above, minus", stride))
		for k := range v {
			other := l.vector()
			l.exchange(stride, v[k], other)
			VXORPS(l.upperSigns(stride), v[k], v[k])
			VADDPS(v[k], other, v[k])
		}
	}
	for stride := l.lanes; stride < groupFloats; stride *= 2 {
		Comment(fmt.Sprintf("stride %d", stride))
		step := stride / l.lanes
		for k := range v {
			if k/step%2 == 0 {
				v[k], v[k+step] = l.butterfly(v[k], v[k+step])
			}
		}
	}
	for k := range v {
		VMOVUPS(v[k], at(out, k*l.bytes()))
	}
	ADDQ(operand.U32(4*groupFloats), x)
	ADDQ(operand.U32(4*groupFloats), out)
	ADDQ(operand.U8(groupFloats/8), signs)
	DECQ(groups)
	JNZ(operand.LabelRef("group"))
	end()
}

// turnSigns turns the sign of each lane whose bit is set in memory.
func (l *level) turnSigns(v reg.VecVirtual, bits operand.Mem) {
	sign := l.constantBits("sign", 1<<31)
	if l.wide() {
		k := K()
		KMOVW(bits, k)
		VXORPS(sign, v, k, v)
		return
	}
	lane, turned := l.laneBits(), l.vector()
	VPBROADCASTB(bits, turned)
	VPAND(lane, turned, turned)
	VPCMPEQD(lane, turned, turned)
	VPAND(sign, turned, turned)
	VXORPS(turned, v, v)
}

// laneBits is a constant with only bit i set in lane i.
func (l *level) laneBits() operand.Mem {
	return l.table("laneBits", func(lane int) uint32 { return 1 << lane })
}

// upperSigns is a constant with a sign bit in the upper lane of each pair that
// lies stride apart.
func (l *level) upperSigns(stride int) operand.Mem {
	return l.table(fmt.Sprintf("upper%d", stride), func(lane int) uint32 {
		return uint32(lane/stride%2) << 31
	})
}

// table is a read-only memory operand with a number of its own in every lane.
func (l *level) table(name string, bits func(lane int) uint32) operand.Mem {
	full := name + l.suffix
	if m, ok := constants[full]; ok {
		return m
	}
	m := GLOBL(full, attr.RODATA|attr.NOPTR)
	for i := range l.lanes {
		DATA(4*i, operand.U32(bits(i)))
	}
	constants[full] = m
	return m
}

// exchange sets to to the lanes of v, those stride apart exchanged.
func (l *level) exchange(stride int, v, to reg.VecVirtual) {
	switch {
	case stride == 1:
		VPERMILPS(operand.U8(0xb1), v, to)
	case stride == 2:
		VPERMILPS(operand.U8(0x4e), v, to)
	case !l.wide():
		VPERM2F128(operand.U8(0x01), v, v, to)
	case stride == 4:
		VSHUFF32X4(operand.U8(0xb1), v, v, to)
	default:
		VSHUFF32X4(operand.U8(0x4e), v, v, to)
	}
}

// butterfly returns a+b and a-b.
func (l *level) butterfly(a, b reg.VecVirtual) (sum, difference reg.VecVirtual) {
	sum, difference = l.vector(), l.vector()
	VADDPS(b, a, sum)
	VSUBPS(b, a, difference)
	return sum, difference
}

// butterflies writes the butterflies at one stride (two rows of registers) or at
// a stride and its double (four).
func butterflies(l *level, rows int) {
	doc := "does the butterflies at a stride of blocks of 2 strides; stride is in numbers, a multiple of 16."
	if rows == 4 {
		doc = "does the butterflies at a stride, then at its double, of blocks of 4 strides; stride is in numbers, a multiple of 16."
	}
	l.function(fmt.Sprintf("butterflies%d", rows), "func(x *float32, stride, blocks int)", doc)
	x, stride, blocks := parameter("x"), parameter("stride"), parameter("blocks")
	SHLQ(operand.U8(2), stride)
	stride3 := GP64()
	if rows == 4 {
		LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	}
	left := GP64()
	Label("block")
	MOVQ(stride, left)
	Label("column")
	v := make([]reg.VecVirtual, rows)
	for k := range v {
		v[k] = l.vector()
		VMOVUPS(rowOf(x, stride, stride3, k, 0), v[k])
	}
	v[0], v[1] = l.butterfly(v[0], v[1])
	if rows == 4 {
		v[2], v[3] = l.butterfly(v[2], v[3])
		v[0], v[2] = l.butterfly(v[0], v[2])
		v[1], v[3] = l.butterfly(v[1], v[3])
	}
	for k := range v {
		VMOVUPS(v[k], rowOf(x, stride, stride3, k, 0))
	}
	ADDQ(operand.U32(l.bytes()), x)
	SUBQ(operand.U32(l.bytes()), left)
	JNZ(operand.LabelRef("column"))
	Comment("x has passed one stride; the next block is all strides but that one on")
	ADDQ(stride, x)
	if rows == 4 {
		ADDQ(stride, x)
		ADDQ(stride, x)
	}
	DECQ(blocks)
	JNZ(operand.LabelRef("block"))
	end()
}

// largestBits writes the largest magnitude's bits of groups of 32 numbers.
func largestBits(l *level) {
	l.function("largestBits", "func(x *float32, groups int) uint32",
		"returns the largest of the numbers' bits without their signs, in groups of 32 numbers.")
	x, groups := parameter("x"), parameter("groups")
	magnitude := l.constantBits("magnitude", 1<<31-1)
	largest := make([]reg.VecVirtual, sumLanes/l.lanes)
	for k := range largest {
		largest[k] = l.vector()
		l.zero(largest[k])
	}
	mask := l.vector()
	VMOVUPS(magnitude, mask)
	Label("group")
	for k := range largest {
		v := l.vector()
		VANDPS(at(x, k*l.bytes()), mask, v)
		VPMAXUD(v, largest[k], largest[k])
	}
	ADDQ(operand.U8(4*sumLanes), x)
	DECQ(groups)
	JNZ(operand.LabelRef("group"))
	for n := len(largest) / 2; n > 0; n /= 2 {
		for k := range n {
			VPMAXUD(largest[k+n], largest[k], largest[k])
		}
	}
	result := l.reduce(largest[0], func(a, b reg.Register) { VPMAXUD(a, b, b) })
	Store(result, ReturnIndex(0))
	end()
}

// reduce combines the dwords of v into one.
func (l *level) reduce(v reg.VecVirtual, combine func(a, b reg.Register)) reg.GPVirtual {
	if l.wide() {
		upper := YMM()
		VEXTRACTI64X4(operand.U8(1), v, upper)
		combine(upper, v.AsY())
	}
	other := XMM()
	VEXTRACTI128(operand.U8(1), v.AsY(), other)
	combine(other, v.AsX())
	VPSHUFD(operand.U8(0x4e), v.AsX(), other)
	combine(other, v.AsX())
	VPSHUFD(operand.U8(0xb1), v.AsX(), other)
	combine(other, v.AsX())
	result := GP32()
	VMOVD(v.AsX(), result)
	return result
}

// toInt8 writes x/scale as int8 numbers in groups of 16.
func toInt8(l *level) {
	l.function("toInt8", "func(out *int8, step int, x *float32, groups int, scale float32) int32",
		"writes q = clamp(round-half-even(x/scale), -127, 127) of groups of 16 numbers, each group step behind the last, and returns Σq.")
	out, step, x, groups := parameter("out"), parameter("step"), parameter("x"), parameter("groups")
	scale := l.broadcast("scale")
	inverse, low, high, sum := l.vector(), l.vector(), l.vector(), l.vector()
	VMOVUPS(l.constantBits("most", 127), high)
	VMOVUPS(l.constantBits("least", 1<<32-127), low)
	VMOVUPS(l.constant("one", 1), inverse)
	VDIVPS(scale, inverse, inverse)
	l.zero(sum)
	order := l.vector()
	if !l.wide() {
		VMOVUPS(l.table("order", func(lane int) uint32 { return []uint32{0, 4, 1, 5}[lane%4] }), order)
	}
	Label("group")
	Comment("x·(1/scale) is within 2^-15 of x/scale and of its rounding, both at most 127: unless",
		"it is that near to a half, all three have the same nearest integer. Divisions take longer.")
	q := make([]reg.VecVirtual, 16/l.lanes)
	for k := range q {
		q[k] = l.vector()
		VMULPS(at(x, k*l.bytes()), inverse, q[k])
	}
	l.nearHalf(q, "divide")
	Label("rounded")
	for k := range q {
		VCVTPS2DQ(q[k], q[k]) // to nearest, ties to even, as Go leaves the mode
		VPMAXSD(low, q[k], q[k])
		VPMINSD(high, q[k], q[k])
		VPADDD(q[k], sum, sum)
	}
	if l.wide() {
		VPMOVDB(q[0], operand.Mem{Base: out})
	} else {
		Comment("dwords 0-3, 8-11 and, in the upper half, 4-7, 12-15: put in order once they are bytes")
		VPACKSSDW(q[1], q[0], q[0])
		VPACKSSWB(q[0], q[0], q[0])
		VPERMD(q[0], order, q[0])
		VMOVDQU(q[0].AsX(), operand.Mem{Base: out})
	}
	ADDQ(step, out)
	ADDQ(operand.U8(4*16), x)
	DECQ(groups)
	JNZ(operand.LabelRef("group"))
	result := l.reduce(sum, func(a, b reg.Register) { VPADDD(a, b, b) })
	Store(result, ReturnIndex(0))
	end()
	Label("divide")
	for k := range q {
		VMOVUPS(at(x, k*l.bytes()), q[k])
		VDIVPS(scale, q[k], q[k])
	}
	JMP(operand.LabelRef("rounded"))
}

// nearHalf jumps if a number of q is within 2^-12 of the middle between two
// integers.
func (l *level) nearHalf(q []reg.VecVirtual, label string) {
	magnitude, limit := l.constantBits("magnitude", 1<<31-1), l.constant("nearHalf", 0.5-1.0/4096)
	const nearest, greater = 0, 0x1e
	if l.wide() {
		distance, near := l.vector(), K()
		VRNDSCALEPS(operand.U8(nearest), q[0], distance)
		VSUBPS(distance, q[0], distance)
		VANDPS(magnitude, distance, distance)
		VCMPPS(operand.U8(greater), limit, distance, near)
		KORTESTW(near, near)
		JNZ(operand.LabelRef(label))
		return
	}
	all := l.vector()
	for k := range q {
		distance := l.vector()
		VROUNDPS(operand.U8(nearest), q[k], distance)
		VSUBPS(distance, q[k], distance)
		VANDPS(magnitude, distance, distance)
		VCMPPS(operand.U8(greater), limit, distance, distance)
		if k == 0 {
			VMOVUPS(distance, all)
		} else {
			VORPS(distance, all, all)
		}
	}
	some := GP32()
	VMOVMSKPS(all, some)
	TESTL(some, some)
	JNZ(operand.LabelRef(label))
}
