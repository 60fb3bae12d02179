package main

import (
	"fmt"
	"strings"
)

// writer collects the assembly and its Go declarations.
type writer struct {
	text, stubs strings.Builder
	places      map[string]string // of the present function's arguments
}

// vec is a vector register, gp a general one. R16 and R17 are the linker's
// between functions, R18 the operating system's, R26 to R31 Go's.
type (
	vec int
	gp  int
)

func (v vec) String() string    { return fmt.Sprintf("V%d", int(v)) }
func (v vec) floats() string    { return fmt.Sprintf("V%d.S4", int(v)) }
func (v vec) bytes() string     { return fmt.Sprintf("V%d.B16", int(v)) }
func (v vec) doubles() string   { return fmt.Sprintf("V%d.D2", int(v)) }
func (v vec) scalar() string    { return fmt.Sprintf("F%d", int(v)) }
func (r gp) String() string     { return fmt.Sprintf("R%d", int(r)) }
func at(base gp, by int) string { return fmt.Sprintf("%d(%v)", by, base) }

// op prints an instruction in Go's syntax.
func (w *writer) op(name string, operands ...any) {
	fmt.Fprintf(&w.text, "\t%s", name)
	for i, o := range operands {
		sep := ", "
		if i == 0 {
			sep = "\t"
		}
		if n, ok := o.(int); ok {
			o = fmt.Sprintf("$%d", n)
		}
		fmt.Fprintf(&w.text, "%s%v", sep, o)
	}
	w.text.WriteByte('\n')
}

func (w *writer) label(name string)          { fmt.Fprintf(&w.text, "\n%s:\n", name) }
func (w *writer) jump(name, to string)       { w.op(name, to) }
func (w *writer) comment(f string, a ...any) { fmt.Fprintf(&w.text, "\t// "+f+"\n", a...) }

// load brings an argument that fills a general register.
func (w *writer) load(name string, to gp) { w.op("MOVD", w.places[name], to) }

// loads brings arguments to R0, R1, … and returns the registers in a map.
func (w *writer) loads(names ...string) map[string]gp {
	r := map[string]gp{}
	for i, name := range names {
		r[name] = gp(i)
		w.load(name, gp(i))
	}
	return r
}

// less jumps if r < n, as signed numbers.
func (w *writer) less(r gp, n int, to string) {
	w.op("CMP", n, r)
	w.jump("BLT", to)
}

// countdown lowers r by n and jumps if it is not 0 now.
func (w *writer) countdown(r gp, n int, to string) {
	w.op("SUBS", n, r, r)
	w.jump("BNE", to)
}

// advance adds n to r.
func (w *writer) advance(r gp, n int) { w.op("ADD", n, r) }

// fill puts a 32-bit word into every lane of v, by way of r.
func (w *writer) fill(bits uint32, r gp, v vec) {
	w.op("MOVD", fmt.Sprintf("$0x%08x", bits), r)
	w.op("VDUP", r, v.floats())
}

// zero sets v to +0.
func (w *writer) zero(v vec) { w.op("VEOR", v.bytes(), v.bytes(), v.bytes()) }

// copyTo sets to to v.
func (w *writer) copyTo(v, to vec) { w.op("VORR", v.bytes(), v.bytes(), to.bytes()) }

// read and write move a whole register.
func (w *writer) read(m string, v vec)  { w.op("FMOVQ", m, v.scalar()) }
func (w *writer) write(v vec, m string) { w.op("FMOVQ", v.scalar(), m) }

// readPair and writePair move v and the register after it, 32 bytes.
func (w *writer) readPair(m string, v vec) {
	w.op("FLDPQ", m, fmt.Sprintf("(F%d, F%d)", int(v), int(v)+1))
}

func (w *writer) writePair(v vec, m string) {
	w.op("FSTPQ", fmt.Sprintf("(F%d, F%d)", int(v), int(v)+1), m)
}

// broadcast loads a float32 argument into every lane of v.
func (w *writer) broadcast(name string, v vec) {
	w.op("FMOVS", w.places[name], v.scalar())
	w.op("VDUP", fmt.Sprintf("%v.S[0]", v), v.floats())
}

// Integer instructions that Go's assembler has: d = a op b.
func (w *writer) and(a, b, d vec)      { w.op("VAND", a.bytes(), b.bytes(), d.bytes()) }
func (w *writer) eor(a, b, d vec)      { w.op("VEOR", a.bytes(), b.bytes(), d.bytes()) }
func (w *writer) addWords(a, b, d vec) { w.op("VADD", b.floats(), a.floats(), d.floats()) }
func (w *writer) subWords(a, b, d vec) { w.op("VSUB", b.floats(), a.floats(), d.floats()) }

// The instructions that Go's assembler lacks. A64 encodes them as a pattern with
// Rd in bits 0 to 4, Rn in bits 5 to 9 and, where there is a third, Rm in bits 16
// to 20. The comment is what a disassembler says.
func (w *writer) word(bits uint32, comment string, args ...any) {
	fmt.Fprintf(&w.text, "\tWORD\t$0x%08x // %s\n", bits, fmt.Sprintf(comment, args...))
}

func three(pattern uint32, n, m, d vec) uint32 {
	return pattern | uint32(m)<<16 | uint32(n)<<5 | uint32(d)
}

// floats3 is d = n op m on four float32 numbers.
func (w *writer) floats3(pattern uint32, name string, n, m, d vec) {
	w.word(three(pattern, n, m, d), "%s v%d.4s, v%d.4s, v%d.4s", name, d, n, m)
}

func (w *writer) fadd(n, m, d vec) { w.floats3(0x4e20d400, "fadd", n, m, d) }
func (w *writer) fsub(n, m, d vec) { w.floats3(0x4ea0d400, "fsub", n, m, d) }
func (w *writer) fmul(n, m, d vec) { w.floats3(0x6e20dc00, "fmul", n, m, d) }
func (w *writer) fdiv(n, m, d vec) { w.floats3(0x6e20fc00, "fdiv", n, m, d) }
func (w *writer) fmin(n, m, d vec) { w.floats3(0x4ea0f400, "fmin", n, m, d) } // not a number stays so
func (w *writer) fmax(n, m, d vec) { w.floats3(0x4e20f400, "fmax", n, m, d) } // the same

// ushl shifts each word of n left by the number in the word of m.
func (w *writer) ushl(n, m, d vec) { w.floats3(0x6ea04400, "ushl", n, m, d) }

// floats2 is d = op n on four words.
func (w *writer) floats2(pattern uint32, name string, n, d vec) {
	w.word(three(pattern, n, 0, d), "%s v%d.4s, v%d.4s", name, d, n)
}

func (w *writer) fneg(n, d vec)   { w.floats2(0x6ea0f800, "fneg", n, d) }
func (w *writer) scvtf(n, d vec)  { w.floats2(0x4e21d800, "scvtf", n, d) }  // int32 to float32, as the mode rounds: to even
func (w *writer) fcvtns(n, d vec) { w.floats2(0x4e21a800, "fcvtns", n, d) } // to int32, nearest, ties to even

// sumPair is the scalar d = n[0] + n[1].
func (w *writer) sumPair(n, d vec) {
	w.word(three(0x7e30d800, n, 0, d), "faddp s%d, v%d.2s", d, n)
}

// maxWord is the scalar d = the largest unsigned word of n.
func (w *writer) maxWord(n, d vec) {
	w.word(three(0x6eb0a800, n, 0, d), "umaxv s%d, v%d.4s", d, n)
}

// sshr shifts each word right and keeps its sign; ssra adds the result to d. The
// field immh:immb, bits 16 to 22, is 64 less the shift.
func (w *writer) sshr(shift int, n, d vec) {
	w.word(three(0x4f000400|uint32(64-shift)<<16, n, 0, d), "sshr v%d.4s, v%d.4s, #%d", d, n, shift)
}

func (w *writer) ssra(shift int, n, d vec) {
	w.word(three(0x4f001400|uint32(64-shift)<<16, n, 0, d), "ssra v%d.4s, v%d.4s, #%d", d, n, shift)
}

// sdotElement adds to each word of d the four products of the bytes of n's word
// with those of word element of m. The index is H:L, bits 11 and 21.
func (w *writer) sdotElement(n, m vec, element int, d vec) {
	index := uint32(element&1)<<21 | uint32(element>>1)<<11
	w.word(three(0x4f80e000|index, n, m, d), "sdot v%d.4s, v%d.16b, v%d.4b[%d]", d, n, m, element)
}

// sdot adds to each word of d the four products of the bytes of n's and m's words.
func (w *writer) sdot(n, m, d vec) {
	w.word(three(0x4e809400, n, m, d), "sdot v%d.4s, v%d.16b, v%d.16b", d, n, m)
}

// maxBytes is d = the larger of the signed bytes.
func (w *writer) maxBytes(n, m, d vec) {
	w.word(three(0x4e206400, n, m, d), "smax v%d.16b, v%d.16b, v%d.16b", d, n, m)
}

// narrowWords makes int32 numbers int16, narrowShorts int16 numbers int8, each at
// the ends of its range if they do not fit; upper fills the upper half of d and
// leaves the lower.
func (w *writer) narrowWords(n, d vec, upper bool) {
	w.narrow(0x0e614800, upper, "8h", "4h", "4s", n, d)
}

func (w *writer) narrowShorts(n, d vec, upper bool) {
	w.narrow(0x0e214800, upper, "16b", "8b", "8h", n, d)
}

func (w *writer) narrow(pattern uint32, upper bool, whole, half, from string, n, d vec) {
	if upper {
		w.word(three(pattern|1<<30, n, 0, d), "sqxtn2 v%d.%s, v%d.%s", d, whole, n, from)
		return
	}
	w.word(three(pattern, n, 0, d), "sqxtn v%d.%s, v%d.%s", d, half, n, from)
}
