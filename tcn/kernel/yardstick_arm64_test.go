package kernel

// yardstick is what arithmetic units and loads can do at best.
type yardstick struct {
	lanes           int
	multiplyAddPeak func(rounds int)
	readMemory      func(p *float32, blocks int)
}

// yardstickOf returns the yardstick for a Set: there is one width of registers.
// Blocks are counted in eight registers, a quarter of those of readMemory.
func yardstickOf(string) (yardstick, bool) {
	return yardstick{4, multiplyAddPeakNEON, func(p *float32, blocks int) { readMemoryNEON(p, blocks/4) }}, true
}
