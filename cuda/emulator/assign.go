package emulator

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// While a kernel is decoded, every virtual register has a number of its own, from
// virtualBase on, so that it is no predicate's; compilers write thousands of them.
// assign then lets registers that are never alive together share room, of which a
// warp has little in the processor's cache.
const virtualBase = 1 << 24

// life is what an instruction reads and writes, virtual registers.
type life struct{ reads, writes []int32 }

// bitset is a set of virtual registers.
type bitset []uint64

func (b bitset) has(i int32) bool { return b[i>>6]>>(i&63)&1 != 0 }
func (b bitset) set(i int32)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) clear(i int32)    { b[i>>6] &^= 1 << (i & 63) }

// straight is instructions that are always run in a row, and what is alive at
// their ends.
type straight struct {
	first, past int // instructions
	next        []int
	in, out     bitset
	reads       bitset // before they are written
	writes      bitset // whatever came before
}

// assign gives every virtual register room.
func (d *decoder) assign() {
	n := d.p.registers
	parts := d.flow()
	from, to := make([]int32, n), make([]int32, n)
	for r := range from {
		from[r] = -1
	}
	extend := func(r int32, at int) {
		if from[r] < 0 {
			from[r] = int32(at)
		}
		from[r], to[r] = min(from[r], int32(at)), max(to[r], int32(at))
	}
	for _, p := range parts {
		for r := range int32(n) {
			if p.in.has(r) {
				extend(r, p.first)
			}
			if p.out.has(r) {
				extend(r, p.past-1)
			}
		}
		for i := p.first; i < p.past; i++ {
			for _, r := range d.lives[i].reads {
				extend(r, i)
			}
			for _, r := range d.lives[i].writes {
				extend(r, i)
			}
		}
	}
	d.rename(d.share(from, to))
	d.p.parts, d.p.alive = d.flow(), make([]atomic.Pointer[bitset], len(d.p.code))
}

// flow finds what is alive where.
func (d *decoder) flow() []straight {
	parts := d.cut(d.p.registers)
	for changed := true; changed; {
		changed = false
		for i := len(parts) - 1; i >= 0; i-- {
			changed = parts[i].flow(parts) || changed
		}
	}
	return parts
}

// aliveAt is the registers whose numbers somebody at instruction pc may still read.
func (p *program) aliveAt(pc int32) bitset {
	if known := p.alive[pc].Load(); known != nil {
		return *known
	}
	i, _ := slices.BinarySearchFunc(p.parts, int(pc), func(s straight, at int) int { return cmp.Compare(s.past-1, at) })
	alive := slices.Clone(p.parts[i].out)
	for k := p.parts[i].past - 1; k >= int(pc); k-- {
		in := &p.code[k]
		for _, r := range in.writes {
			if in.guard < 0 {
				alive.clear(r)
			}
		}
		for _, r := range in.reads {
			alive.set(r)
		}
	}
	p.alive[pc].Store(&alive)
	return alive
}

// cut finds the straight parts of the code.
func (d *decoder) cut(registers int) []straight {
	code := d.p.code
	begins := make([]bool, len(code)+1)
	begins[0], begins[len(code)] = true, true
	for i := range code {
		switch code[i].form {
		case branchForm:
			begins[code[i].target], begins[i+1] = true, true
		case indexForm, exitForm:
			begins[i+1] = true
			for _, t := range code[i].table {
				begins[t] = true
			}
		}
	}
	var parts []straight
	at := make([]int, len(code)+1)
	for i := 0; i < len(code); {
		past := i + 1
		for !begins[past] {
			past++
		}
		at[i] = len(parts)
		p := straight{first: i, past: past}
		for _, b := range []*bitset{&p.in, &p.out, &p.reads, &p.writes} {
			*b = make(bitset, (registers+63)/64)
		}
		for k := i; k < past; k++ {
			p.note(&code[k], &d.lives[k])
		}
		parts = append(parts, p)
		i = past
	}
	for i := range parts {
		last := &code[parts[i].past-1]
		for _, t := range last.table {
			parts[i].next = append(parts[i].next, at[t])
		}
		if last.form == branchForm {
			parts[i].next = append(parts[i].next, at[last.target])
		}
		if parts[i].past < len(code) { // guarded or not: too much alive is right, too
			parts[i].next = append(parts[i].next, at[parts[i].past])
		}
	}
	return parts
}

// note adds the part's next instruction.
func (p *straight) note(in *instruction, l *life) {
	for _, r := range l.reads {
		if !p.writes.has(r) {
			p.reads.set(r)
		}
	}
	for _, r := range l.writes {
		if in.guard < 0 {
			p.writes.set(r)
		} else if !p.writes.has(r) {
			p.reads.set(r) // keeps what it held where the guard is false
		}
	}
}

// flow finds what is alive at the ends of p. It reports whether that is new.
func (p *straight) flow(parts []straight) bool {
	changed := false
	for k := range p.out {
		out := p.out[k]
		for _, n := range p.next {
			out |= parts[n].in[k]
		}
		in := p.reads[k] | out&^p.writes[k]
		changed = changed || in != p.in[k] || out != p.out[k]
		p.in[k], p.out[k] = in, out
	}
	return changed
}

// share gives registers that are alive from … to their places; those that no
// instruction names, from which is -1, need none.
func (d *decoder) share(from, to []int32) []int32 {
	begin, end := make([][]int32, len(d.p.code)), make([][]int32, len(d.p.code))
	places := make([]int32, len(from))
	next := int32(0)
	for r := range from {
		if d.lasting[int32(r)] { // constants, and what a block begins with
			places[r] = next
			next++
			continue
		}
		if from[r] < 0 {
			continue
		}
		begin[from[r]] = append(begin[from[r]], int32(r))
		end[to[r]] = append(end[to[r]], int32(r))
	}
	var free []int32
	for i := range d.p.code {
		for _, r := range begin[i] {
			if len(free) == 0 {
				free = append(free, next)
				next++
			}
			places[r] = free[len(free)-1]
			free = free[:len(free)-1]
		}
		for _, r := range end[i] { // only now: no result lies where an operand does
			free = append(free, places[r])
		}
	}
	d.p.registers = int(next)
	return places
}

// rename puts places where virtual registers are.
func (d *decoder) rename(places []int32) {
	place := func(r *int32) {
		if *r >= virtualBase {
			*r = places[*r-virtualBase]
		}
	}
	for i := range d.p.code {
		in := &d.p.code[i]
		in.reads, in.writes = d.lives[i].reads, d.lives[i].writes
		for _, list := range [][]int32{in.reads, in.writes} {
			for j := range list {
				list[j] = places[list[j]]
			}
		}
		place(&in.d)
		place(&in.a)
		place(&in.b)
		place(&in.c)
		for _, list := range [][]int32{in.many, in.more, in.rest} {
			for j := range list {
				place(&list[j])
			}
		}
	}
	for i := range d.p.constants {
		place(&d.p.constants[i].register)
	}
	for i := range d.p.specials {
		place(&d.p.specials[i].register)
	}
}
