package kernel

import "encoding/binary"

// For many input rows the codes are first spread out, so that one multiplication
// serves four matrix rows: of a column they lie 16 bits apart in one word. The
// sums of spreadGroups groups fit such a lane; then they are widened.
const (
	// spreadRows is the fewest input rows that are worth the spreading.
	spreadRows = 4
	// spreadBatch is how many input rows share one spreading.
	spreadBatch = 64
	// spreadGroups times 16 columns times 3·127 is 30,480: less than 2^15.
	spreadGroups = 5
	// quads is the words of four rows in a row block.
	quads = LineRows / 4
)

// spread holds the codes of up to spreadGroups groups: [column][quad].
type spread [spreadGroups * LineCols][quads]uint64

// fill spreads groups, [groups][GroupBytesQ2]. Lane j of quad p is row 4·p + j.
func (s *spread) fill(groups []byte) {
	for g := range len(groups) / GroupBytesQ2 {
		line := groups[g*GroupBytesQ2:][:GroupBytesQ2]
		for p := range quads {
			// Rows 4p and 4p+1, 4p+2 and 4p+3; lanes are 16 bits, not 32, apart.
			first := binary.LittleEndian.Uint64(line[16*p:])
			second := binary.LittleEndian.Uint64(line[16*p+8:])
			for k := 0; k < LineCols; k += 4 { // column k + b is in byte b of each dword
				columns := (*[4][quads]uint64)(s[g*LineCols+k:])
				columns[0][p] = lanesOf(first, second)
				columns[1][p] = lanesOf(first>>8, second>>8)
				columns[2][p] = lanesOf(first>>16, second>>16)
				columns[3][p] = lanesOf(first>>24, second>>24)
				first, second = first>>2, second>>2
			}
		}
	}
}

// lanesOf puts the lowest codes of the four dwords of two words 16 bits apart, in
// their order.
func lanesOf(first, second uint64) uint64 {
	const code = 3 | 3<<32
	first, second = first&code, second&code // codes at 0 and 32
	return (first|first>>16)&(3|3<<16) | (second|second>>16)<<32
}

// portableSpreadQ2 is portableMatMulQ2 for many input rows.
func portableSpreadQ2(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int) {
	checkProduct(y, x, codes, scale, GroupBytesQ2, rows, lo, hi)
	blockBytes := Groups(x.Cols) * GroupBytesQ2
	var s spread
	for first := lo; first < hi; first += LineRows {
		block := codes[first/LineRows*blockBytes:][:blockBytes]
		for batch := 0; batch < x.N; batch += spreadBatch {
			var sums [spreadBatch][LineRows]int32
			n := min(spreadBatch, x.N-batch)
			for g := 0; g < Groups(x.Cols); g += spreadGroups {
				groups := min(spreadGroups, Groups(x.Cols)-g)
				s.fill(block[g*GroupBytesQ2:][:groups*GroupBytesQ2])
				for i := range n {
					s.add(&sums[i], x, batch+i, g, groups)
				}
			}
			for i := range n {
				row := batch + i
				for r := range min(LineRows, hi-first) {
					sum := 2*sums[i][r] - 3*x.Sum[row] // codes 0…3 stand for -3, -1, 1, 3
					y[row*rows+first+r] = float32(float32(sum)*x.Scale[row]) * scale[first+r]
				}
			}
		}
	}
}

// add adds Σ code·q over groups groups from first on, with row i of x, to the
// sums of the rows of a block.
func (s *spread) add(sums *[LineRows]int32, x *Int8Rows, i, first, groups int) {
	var s0, s1, s2, s3 uint64 // lanes of two's complement, each borrowing from the next
	for g := range groups {
		q := x.group(first+g, i)
		columns := (*[LineCols][quads]uint64)(s[g*LineCols:])
		for k := range columns {
			v, w := uint64(int64(q[k])), &columns[k]
			s0 += w[0] * v
			s1 += w[1] * v
			s2 += w[2] * v
			s3 += w[3] * v
		}
	}
	for p, lanes := range [quads]uint64{s0, s1, s2, s3} {
		for j := range 4 {
			lane := int16(lanes)
			sums[4*p+j] += int32(lane)
			lanes = (lanes - uint64(int64(lane))) >> 16
		}
	}
}
