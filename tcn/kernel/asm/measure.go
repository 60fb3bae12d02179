package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// multiplyAddPeak writes a loop of multiplications and additions that touches
// no memory: what the arithmetic units can do at best.
func multiplyAddPeak(l *level) {
	const chains = 12
	l.function("multiplyAddPeak", "func(rounds int)",
		"does 12 multiplications and 12 additions of whole registers per round, in registers only; a yardstick.")
	rounds := parameter("rounds")
	a := l.vector()
	l.zero(a)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = l.vector()
		l.zero(acc[i])
	}
	Label("round")
	for i := range acc {
		p := l.vector()
		VMULPS(a, a, p)
		VADDPS(p, acc[i], acc[i])
	}
	DECQ(rounds)
	JNZ(operand.LabelRef("round"))
	end()
}

// readMemory writes a loop that reads memory and does next to nothing with it.
func readMemory(l *level) {
	const registers = 8
	l.function("readMemory", "func(p *float32, blocks int)",
		"reads blocks of 8 whole registers one after the other; a yardstick.")
	p, blocks := parameter("p"), parameter("blocks")
	acc := make([]reg.VecVirtual, 4)
	for i := range acc {
		acc[i] = l.vector()
		l.zero(acc[i])
	}
	Label("block")
	for i := range registers {
		VORPS(at(p, i*l.bytes()), acc[i%len(acc)], acc[i%len(acc)])
	}
	ADDQ(operand.U32(registers*l.bytes()), p)
	DECQ(blocks)
	JNZ(operand.LabelRef("block"))
	end()
}
