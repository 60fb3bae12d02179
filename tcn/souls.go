package tcn

import "github.com/zetagrid/zetagrid/tcn/kernel"

// The two products of a layer that a Soul adds to.
func soulIn(l *SoulLayer) (a, b Matrix)  { return l.InA, l.InB }
func soulOut(l *SoulLayer) (a, b Matrix) { return l.OutA, l.OutB }

// project computes t = m u, and A u of every Soul of every Variant with it. What
// B adds is left to terms.add.
//
//	t [rows, outputs]   u [rows, inputs]
func (s *cpuStage) project(b, i int, pair func(*SoulLayer) (a, b Matrix), m Matrix, t, u []float32, rows int) {
	room := &s.room
	room.terms.clear()
	for first := 0; first < len(s.batch); {
		variant, lo := s.batch[first].variant, s.batch[first].packed
		hi := lo
		for first < len(s.batch) && s.batch[first].variant == variant {
			hi += s.batch[first].count
			first++
		}
		for n := range variant.Souls {
			slice := variant.Souls[n].Slices[b-variant.Range.Lo]
			if slice == nil {
				continue
			}
			down, up := pair(&slice.Layers[i])
			if down == nil {
				continue
			}
			low := room.terms.low(up, lo, hi, variant.Souls[n].Weight)
			room.products.add(s.compute, down, low, u[lo*down.Cols():hi*down.Cols()], hi-lo)
		}
	}
	room.products.add(s.compute, m, t, u, rows)
	room.products.multiply(s.compute)
	room.terms.ready(s.compute, t, m.Rows())
}

// terms is what Souls add to the results of one product, weight·B low each. They
// are added segment by segment, by whoever computes with the segment next. Its
// zero value is ready, and what it holds is reused.
type terms struct {
	list    []term // the first used are in use
	used    int
	ups     products  // B of each
	results []float32 // [rows, outputs] of one term; segments have columns of their own
	outputs int
}

// term is one Soul's of one run of rows.
type term struct {
	up     Matrix
	low    []float32 // [hi-lo, rank] A u
	lo, hi int       // rows
	weight float32
}

func (t *terms) count() int { return t.used }

// low begins a term and returns the room for A u.
func (t *terms) low(up Matrix, lo, hi int, weight float32) []float32 {
	if t.used == len(t.list) {
		t.list = append(t.list, term{})
	}
	made := &t.list[t.used]
	t.used++
	made.up, made.lo, made.hi, made.weight = up, lo, hi, weight
	made.low = grown(made.low, (hi-lo)*up.Cols())
	return made.low
}

// ready readies what A u was computed for. Terms that cannot be added in
// segments are added to sums now.
//
//	sums [rows, outputs]
func (t *terms) ready(c *Compute, sums []float32, outputs int) {
	t.outputs = outputs
	if t.used == 0 {
		return
	}
	t.results = grown(t.results, t.list[t.used-1].hi*outputs)
	whole := outputs%(2*kernel.LineRows) != 0 // halves of it would not be whole row blocks
	for i := range t.list[:t.used] {
		if _, ok := t.list[i].up.(piecewise); !ok {
			whole = true
		}
	}
	if whole {
		for i := range t.list[:t.used] {
			term := &t.list[i]
			results := t.results[term.lo*outputs : term.hi*outputs]
			term.up.Multiply(c, results, term.low, term.hi-term.lo)
			c.Kernels.AddScaled(sums[term.lo*outputs:term.hi*outputs], results, term.weight)
		}
		t.clear()
		return
	}
	for i := range t.list[:t.used] {
		term := &t.list[i]
		t.ups.put(term.up.(piecewise), t.results[term.lo*outputs:], term.low, term.hi-term.lo)
	}
	t.ups.ready(c)
}

// add adds columns [lo, hi) of every term to sums, in the order of the Souls.
// The bounds are multiples of kernel.LineRows.
//
//	sums [rows, outputs]
func (t *terms) add(k *kernel.Set, sums []float32, lo, hi int) {
	for i := range t.list[:t.used] {
		term, up := &t.list[i], &t.ups.list[i]
		up.m.multiplyRows(k, up, lo, hi)
		for row := term.lo; row < term.hi; row++ {
			at := row * t.outputs
			k.AddScaled(sums[at+lo:at+hi], t.results[at+lo:at+hi], term.weight)
		}
	}
}

// clear forgets the terms.
func (t *terms) clear() {
	for i := range t.list[:t.used] {
		t.list[i].up = nil
	}
	t.used = 0
	t.ups.clear()
}
