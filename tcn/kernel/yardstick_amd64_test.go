package kernel

import "golang.org/x/sys/cpu"

// yardstick is what a level's arithmetic units and loads can do at best.
type yardstick struct {
	lanes           int
	multiplyAddPeak func(rounds int)
	readMemory      func(p *float32, blocks int)
}

// yardstickOf returns the yardstick for a Set; the portable one is measured
// with the widest registers of the machine, as there is no loop without memory
// to compare it with.
func yardstickOf(name string) (yardstick, bool) {
	wide := yardstick{16, multiplyAddPeakAVX512, readMemoryAVX512}
	narrow := yardstick{8, multiplyAddPeakAVX2, readMemoryAVX2}
	switch {
	case name == "avx512":
		return wide, true
	case cpu.X86.HasAVX2:
		return narrow, true
	}
	return yardstick{}, false
}
