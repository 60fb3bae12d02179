package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// draftRows is how many rows more than it needs a ring keeps.
const draftRows = 4

// convCase is a convolution with the rings of its sequences.
type convCase struct {
	width, kernelSize, dilation int
	bf16, gate, terms           bool
	plain                       bool // no rotated rows are wanted
	silent                      bool // nor the rows themselves
	old                         bool // sequences begin long before
	segment                     int  // 0: what suits the batch
	counts                      []int
}

func (c convCase) String() string {
	return fmt.Sprintf("width=%d/kernel=%d/dilation=%d/bf16=%v/gate=%v/terms=%v/plain=%v/segment=%d/counts=%v",
		c.width, c.kernelSize, c.dilation, c.bf16, c.gate, c.terms, c.plain, c.segment, c.counts)
}

func (c convCase) ringRows() int { return (c.kernelSize-1)*c.dilation + draftRows }

// history is every row of a sequence's conv input that matters, by position.
type history map[int64][]float32

// fill makes the rows before a sequence's position, and puts them into its ring. What a
// ring holds of rows before the start, and of rows too old, is not a number.
func (c convCase) fill(r *lab, s *sequence) history {
	rows := c.ringRows()
	ring := make([]float32, rows*c.width)
	for i := range ring {
		ring[i] = float32(math.NaN())
	}
	h := history{}
	for p := max(s.start, s.position-int64(rows)); p < s.position; p++ {
		h[p] = r.numbers(c.width, ordinary)
		if c.bf16 {
			kernel.Portable().RoundBF16(h[p])
		}
		copy(ring[int(p%int64(rows))*c.width:], h[p])
	}
	before := make([]byte, ringOffset)
	s.rings = put(r.rig, append(before, c.ringBytes(ring)...))
	return h
}

// ringBytes is a ring's numbers as they lie in memory.
func (c convCase) ringBytes(ring []float32) []byte {
	if !c.bf16 {
		return bytesIn(ring)
	}
	half := make([]uint16, len(ring))
	for i, v := range ring {
		half[i] = uint16(math.Float32bits(v) >> 16)
	}
	return bytesIn(half)
}

// ring is what lies in a sequence's ring.
func (c convCase) ring(r *lab, s *sequence) []float32 {
	n := c.ringRows() * c.width
	if !c.bf16 {
		return got[float32](r.rig, s.rings+ringOffset, n)
	}
	ring := make([]float32, n)
	for i, v := range got[uint16](r.rig, s.rings+ringOffset, n) {
		ring[i] = math.Float32frombits(uint32(v) << 16)
	}
	return ring
}

// row is what the next row of a sequence comes to, and whether its numbers are finite.
func (c convCase) row(h history, s *sequence, position int64, present, gate, weights []float32) ([]float32, bool) {
	k := kernel.Portable()
	ok := k.Finite(present) && k.Finite(gate)
	present = append([]float32(nil), present...)
	if c.bf16 {
		k.RoundBF16(present)
	}
	h[position] = present
	var taps [][]float32
	for tap := range c.kernelSize {
		at := position - int64((c.kernelSize-1-tap)*c.dilation)
		if at < s.start {
			taps = append(taps, make([]float32, c.width))
		} else {
			taps = append(taps, h[at])
		}
	}
	y := make([]float32, c.width)
	k.Conv(y, taps, weights)
	if c.gate {
		k.Gate(y, y, gate)
	}
	return y, ok
}

func (c convCase) run(r *lab) {
	r.t.Helper()
	b := mixed(r, c.width, c.counts...)
	for _, s := range b.sequences {
		if c.old {
			s.position += 1000
		}
	}
	width := c.width
	if c.gate {
		width *= 2
	}
	if c.terms {
		b.wear(width, ofIn)
	}
	in := b.matrix(width, ordinary, tiny, ordinary, empty, ordinary, ordinary, ordinary, broken)
	weights := r.numbers(c.kernelSize*c.width, ordinary)
	spread, signs := b.spreading(c.width)
	if c.plain {
		spread.Signs, spread.MaxRotated = 0, 0
	}
	histories := map[*sequence]history{}
	for _, s := range b.sequences {
		histories[s] = c.fill(r, s)
	}
	const none = math.MaxInt32
	bad := make([]int32, len(b.sequences))
	for i := range bad {
		bad[i] = none
	}
	args := ConvArgs{
		Batch: b.describe(), At: b.place(), In: put(r.rig, in), Out: r.room(4 * b.rows * c.width), Weights: put(r.rig, weights),
		Bad: put(r.rig, bad), RingOffset: ringOffset, Low: b.low, Spread: spread, RingRows: int32(c.ringRows()),
		KernelSize: int32(c.kernelSize), Dilation: int32(c.dilation), Width: int32(c.width), Segment: int32(c.segment),
	}
	if c.bf16 {
		args.RingBF16 = 1
	}
	if c.silent {
		args.Out = 0
	}
	if c.gate {
		r.runAll(ConvGate(args)...)
	} else {
		r.runAll(Conv(args)...)
	}

	want := make([]float32, b.rows*c.width)
	for i, s := range b.sequences {
		for n := range s.count {
			if !s.active() {
				break
			}
			row := s.first + n
			both := in[row*width:][:width]
			b.addTerms(row, both, s.in)
			y, ok := c.row(histories[s], s, s.position+int64(n), both[:c.width], both[c.width:], weights)
			copy(want[row*c.width:], y)
			if !ok {
				bad[i] = testLayer
			}
		}
	}
	if !c.silent {
		r.same("out", got[float32](r.rig, args.Out, len(want)), want)
	}
	b.checkSpread(spread, signs, want, c.width)
	for i, v := range got[int32](r.rig, args.Bad, len(bad)) {
		if v != bad[i] {
			r.t.Fatalf("bad[%d] = %d, want %d", i, v, bad[i])
		}
	}
	for i, s := range b.sequences {
		c.checkRing(r, fmt.Sprintf("ring %d", i), s, histories[s])
	}
}

// checkRing compares a ring with the last rows of its sequence.
func (c convCase) checkRing(r *lab, what string, s *sequence, h history) {
	r.t.Helper()
	end, rows := s.position, int64(c.ringRows())
	if s.active() {
		end += int64(s.count)
	}
	ring := c.ring(r, s)
	for p := max(s.start, end-rows); p < end; p++ {
		r.same(fmt.Sprintf("%s position %d", what, p), ring[int(p%rows)*c.width:][:c.width], h[p])
	}
}

func TestConv(t *testing.T) {
	var cases []convCase
	for i, width := range widths {
		cases = append(cases, convCase{width: width, kernelSize: 1 + i%4, dilation: []int{1, 2, 5}[i%3],
			bf16: i%2 == 1, gate: i%3 != 2, terms: i%2 == 0 && i%3 != 2, plain: i%4 == 3, counts: []int{2, 1, 1, 2, 1, 0, 3}})
	}
	for _, dilation := range []int{1, 2, 3, 16} { // 40 rows go round the ring
		for size := 1; size <= 6; size++ {
			cases = append(cases, convCase{width: 36, kernelSize: size, dilation: dilation,
				bf16: size%2 == 0, gate: dilation != 2, terms: size == 3 && dilation != 2, counts: []int{40, 2, 0, 1, 2, 40, 1}})
		}
	}
	l := newLab(t)
	for _, c := range cases {
		t.Run(c.String(), func(t *testing.T) { c.run(l.with(t)) })
	}
}

// Shares that are cut into segments, of every length, beside shares that are not; passes
// shorter and longer than the ring, and taps older than segments and passes are long.
func TestConvSegments(t *testing.T) {
	l := newLab(t)
	run := func(c convCase) { t.Run(c.String(), func(t *testing.T) { c.run(l.with(t)) }) }
	for segment := 1; segment <= 32; segment += 1 + segment/3 {
		for _, counts := range [][]int{{segment}, {segment + 1}, {2*segment - 1, 1}, {1, 2*segment + 1, 2, 2 * segment}} {
			run(convCase{width: 20, kernelSize: 3, dilation: 1 + segment%3, bf16: segment%2 == 0, gate: len(counts) != 2,
				silent: len(counts) == 4, segment: segment, counts: counts})
		}
	}
	for i, dilation := range []int{1, 2, 4, 8, 16, 32, 64, 128} {
		for _, count := range []int{2*dilation + draftRows, 70, 300} { // of the ring, and fewer and more
			run(convCase{width: 12, kernelSize: 3, dilation: dilation, bf16: i%2 == 1, gate: i%3 != 1, old: i%4 != 3, counts: []int{count}})
		}
	}
	for range 40 {
		n := l.chance.IntN
		c := convCase{width: 1 + n(40), kernelSize: 1 + n(6), dilation: []int{1, 2, 3, 5, 8, 19, 64, 128}[n(8)], bf16: n(2) == 0, gate: n(3) > 0,
			plain: n(4) == 0, old: n(2) == 0, segment: 1 + n(32)}
		c.terms = c.gate && n(3) == 0
		for range 1 + n(6) {
			c.counts = append(c.counts, n(3*c.segment))
		}
		run(c)
	}
}

// TestSegment: batches are cut where that fills a device, not where sequences have a few
// rows each.
func TestSegment(t *testing.T) {
	for _, c := range []struct{ rows, shares, width, want int32 }{
		{1, 1, 65_536, 1}, {8, 1, 65_536, 8}, {16, 1, 65_536, 16}, {16, 16, 65_536, 16}, {64, 64, 65_536, 64},
		{24, 1, 65_536, 8}, {64, 1, 65_536, 16}, {256, 1, 65_536, 32}, {256, 128, 65_536, 32}, {256, 1, 16_384, 16}, {256, 1, 1024, 8},
		{256, 256, 65_536, 256}, {MaxRows, 1, MaxWidth, 32},
	} {
		if got := segment(c.rows, c.shares, c.width); got != c.want {
			t.Errorf("segment(%d, %d, %d) = %d, want %d", c.rows, c.shares, c.width, got, c.want)
		}
	}
}

// A sequence's rows are the same in one batch or each in its own.
func TestConvChunks(t *testing.T) {
	r := newLab(t)
	c := convCase{width: 1060, kernelSize: 3, dilation: 2}
	weights := put(r.rig, r.numbers(3*c.width, ordinary))
	in := r.numbers(12*c.width, ordinary)
	run := func(chunks ...int) []float32 {
		s := &sequence{hi: 4, routing: 1}
		s.rings = put(r.rig, make([]byte, ringOffset+4*c.ringRows()*c.width))
		var out []float32
		for _, n := range chunks {
			s.count = n
			b := newBatch(r, []*sequence{s})
			b.rows-- // without the row that is none
			b.owner = b.owner[:b.rows]
			args := ConvArgs{
				Batch: b.describe(), At: b.place(), In: put(r.rig, in[len(out):][:n*c.width]), Out: r.room(4 * n * c.width),
				Weights: weights, Bad: put(r.rig, []int32{math.MaxInt32}), RingOffset: ringOffset, RingRows: int32(c.ringRows()),
				KernelSize: 3, Dilation: 2, Width: int32(c.width),
			}
			r.runAll(Conv(args)...)
			out = append(out, got[float32](r.rig, args.Out, n*c.width)...)
			s.position += int64(n)
		}
		return out
	}
	want := run(12)
	for _, chunks := range [][]int{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {5, 7}, {1, 10, 1}} {
		r.same(fmt.Sprint(chunks), run(chunks...), want)
	}
}
