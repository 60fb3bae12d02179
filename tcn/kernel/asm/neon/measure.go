package main

// yardsticks writes loops that show what the machine can do at best.
func (w *writer) yardsticks() {
	w.multiplyAddPeak()
	w.readMemory()
	w.dotPeak("dotPeak", "does 64 times 16 multiplications of bytes per round, in registers only; a yardstick.", false)
	w.dotPeak("maskedDotPeak", "is dotPeak with a mask before each instruction; a yardstick.", true)
}

// rounds writes the function of a loop on registers that hold 0.
func (w *writer) rounds(name, of string, body func()) {
	w.function(name, of, 0, "", counts("rounds")...)
	r := w.loads("rounds")
	for v := range vec(32) {
		w.zero(v)
	}
	w.label("round")
	body()
	w.countdown(r["rounds"], 1, "round")
	w.op("RET")
}

func (w *writer) multiplyAddPeak() {
	const chains = 12
	w.rounds("multiplyAddPeak", "does 12 multiplications and 12 additions of whole registers per round, in registers only; a yardstick.", func() {
		for i := range vec(chains) {
			product := chains + i
			w.fmul(30, 31, product)
			w.fadd(i, product, i)
		}
	})
}

func (w *writer) dotPeak(name, of string, masked bool) {
	const chains, dots = 16, 64
	w.rounds(name, of, func() {
		for i := range dots {
			codes := vec(30)
			if masked {
				codes = vec(chains + i%8)
				w.and(30, 31, codes)
			}
			w.sdotElement(codes, 29, i%planes, vec(i%chains))
		}
	})
}

func (w *writer) readMemory() {
	const bytes = 512
	w.function("readMemory", "reads blocks of 512 bytes one after the other; a yardstick.", 0, "",
		append(pointers("p"), counts("blocks")...)...)
	r := w.loads("p", "blocks")
	w.label("block")
	for k := 0; k < bytes/16; k += 2 {
		w.readPair(at(r["p"], 16*k), vec(k%16))
	}
	w.advance(r["p"], bytes)
	w.countdown(r["blocks"], 1, "block")
	w.op("RET")
}
