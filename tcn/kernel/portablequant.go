package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The quantized operations in plain Go; see the fields of Set for what they do.

func portableHadamard(out, x []float32, signs []byte) {
	for c, v := range x {
		if signs[c/8]>>(c%8)&1 == 1 {
			v = -v
		}
		out[c] = v
	}
	if len(x) == 0 {
		return
	}
	block := HadamardBlock(len(x))
	for lo := 0; lo < len(x); lo += block {
		transform(out[lo : lo+block])
	}
}

// transform is the Walsh–Hadamard transform of a power of two of numbers.
func transform(x []float32) {
	for stride := 1; stride < len(x); stride *= 2 {
		for lo := 0; lo < len(x); lo += 2 * stride {
			left, right := x[lo:lo+stride], x[lo+stride:lo+2*stride]
			for j, a := range left {
				b := right[j]
				left[j], right[j] = a+b, a-b
			}
		}
	}
}

func portableQuantizeRow(q *Int8Rows, i int, x []float32) bool {
	scale, ok := rowScale(largestBits(x))
	return q.fill(i, x, scale, ok, portableToInt8)
}

// largestBits is the largest of the numbers' bits without their sign bits, which
// are in the order of the magnitudes.
func largestBits(x []float32) uint32 {
	largest := uint32(0)
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	return largest
}

// toInt8 writes q = clamp(round-half-even(x/scale), -127, 127) and returns Σq.
// Column c goes to out[c/16·step + c mod 16].
type toInt8 func(out []int8, step int, x []float32, scale float32) int32

func portableToInt8(out []int8, step int, x []float32, scale float32) int32 {
	sum := int32(0)
	for c, v := range x {
		n := math.RoundToEven(float64(v / scale))
		n = max(-127, min(n, 127))
		out[c/LineCols*step+c%LineCols] = int8(n)
		sum += int32(n)
	}
	return sum
}

// fill writes row i of q: x over scale, or zeros when the scale is 0 or the row
// is not finite. It returns ok.
func (r *Int8Rows) fill(i int, x []float32, scale float32, ok bool, convert toInt8) bool {
	if len(x) != r.Cols || i < 0 || i >= r.N {
		panic(fmt.Sprintf("kernel: row %d of %d numbers for %d rows of %d", i, len(x), r.N, r.Cols))
	}
	r.Scale[i], r.Sum[i] = scale, 0
	if scale == 0 || !ok {
		for g := range Groups(r.Cols) {
			*r.group(g, i) = [LineCols]int8{}
		}
		return ok
	}
	if tail := r.Cols % LineCols; tail != 0 {
		clear(r.group(Groups(r.Cols)-1, i)[tail:])
	}
	r.Sum[i] = convert(r.Q[i*LineCols:], r.N*LineCols, x, scale)
	return true
}

func portableMatMulQ2(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int) {
	if x.N >= spreadRows {
		portableSpreadQ2(y, x, codes, scale, rows, lo, hi)
		return
	}
	eachRowBlock(y, x, codes, scale, GroupBytesQ2, rows, lo, hi, func(block []byte, i int) [LineRows]int32 {
		sums := sumsQ2(block, x, i)
		for r := range sums {
			sums[r] = 2*sums[r] - 3*x.Sum[i] // codes 0…3 stand for -3, -1, 1, 3
		}
		return sums
	})
}

func portableMatMulQ8(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int) {
	eachRowBlock(y, x, codes, scale, GroupBytesQ8, rows, lo, hi, func(block []byte, i int) [LineRows]int32 {
		return sumsQ8(block, x, i)
	})
}

// eachRowBlock computes y[i, r] for the rows r in [lo, hi), block by block of
// LineRows; sums gives the integer sums of a block with row i of x.
func eachRowBlock(y []float32, x *Int8Rows, codes []byte, scale []float32, groupBytes, rows, lo, hi int,
	sums func(block []byte, i int) [LineRows]int32) {
	checkProduct(y, x, codes, scale, groupBytes, rows, lo, hi)
	blockBytes := Groups(x.Cols) * groupBytes
	for first := lo; first < hi; first += LineRows {
		block := codes[first/LineRows*blockBytes:][:blockBytes]
		for i := range x.N {
			acc := sums(block, i)
			for r := range min(LineRows, hi-first) {
				y[i*rows+first+r] = float32(float32(acc[r])*x.Scale[i]) * scale[first+r]
			}
		}
	}
}

// checkProduct panics if a slice is too short or a range is not one of whole row
// blocks.
func checkProduct(y []float32, x *Int8Rows, codes []byte, scale []float32, groupBytes, rows, lo, hi int) {
	blocks := (rows + LineRows - 1) / LineRows
	switch {
	case x.Cols > MaxFanIn:
		panic(fmt.Sprintf("kernel: %d columns, more than %d", x.Cols, MaxFanIn))
	case lo < 0 || lo > hi || hi > rows || lo%LineRows != 0 || hi%LineRows != 0 && hi != rows:
		panic(fmt.Sprintf("kernel: rows [%d, %d) of %d are not whole blocks of %d", lo, hi, rows, LineRows))
	case len(x.Q) < Groups(x.Cols)*x.N*LineCols || len(x.Scale) < x.N || len(x.Sum) < x.N:
		panic(fmt.Sprintf("kernel: %d rows of %d numbers were not made by Reset", x.N, x.Cols))
	case len(y) < x.N*rows || len(scale) < rows || len(codes) < blocks*Groups(x.Cols)*groupBytes:
		panic(fmt.Sprintf("kernel: %d results, %d scales, %d bytes of codes for [%d, %d] times %d rows",
			len(y), len(scale), len(codes), rows, x.Cols, x.N))
	}
}

// sumsQ2 returns Σ code·q for the 16 rows of a block with row i of x.
//
// Eight bytes of a line are the dwords of two rows. Shifted and masked they are
// the codes of one column in both, 32 bits apart, so that one multiplication by
// the column's q serves two rows: no sum exceeds 31 bits, and what a negative
// lower sum borrows from the upper one is given back at the end.
func sumsQ2(block []byte, x *Int8Rows, i int) [LineRows]int32 {
	const codes = 3 | 3<<32
	var pairs [LineRows / 2]uint64
	for g := range len(block) / GroupBytesQ2 {
		line := block[g*GroupBytesQ2:][:GroupBytesQ2]
		var q [LineCols]uint64
		for k, v := range x.group(g, i) {
			q[k] = uint64(int64(v))
		}
		for p := range pairs {
			bits := binary.LittleEndian.Uint64(line[8*p:])
			sum := pairs[p]
			for k := 0; k < LineCols; k += 4 { // column k + b is in byte b of each dword
				sum += (bits & codes) * q[k]
				sum += (bits >> 8 & codes) * q[k+1]
				sum += (bits >> 16 & codes) * q[k+2]
				sum += (bits >> 24 & codes) * q[k+3]
				bits >>= 2
			}
			pairs[p] = sum
		}
	}
	var sums [LineRows]int32
	for p, pair := range pairs {
		low := int32(pair)
		sums[2*p] = low
		sums[2*p+1] = int32((pair - uint64(int64(low))) >> 32)
	}
	return sums
}

// sumsQ8 returns Σ w·q for the 16 rows of a block with row i of x.
func sumsQ8(block []byte, x *Int8Rows, i int) [LineRows]int32 {
	var sums [LineRows]int32
	for g := range len(block) / GroupBytesQ8 {
		group, q := block[g*GroupBytesQ8:][:GroupBytesQ8], x.group(g, i)
		for k := 0; k < LineCols; k += 4 {
			line := group[k*LineRows:][:4*LineRows]
			q0, q1, q2, q3 := int32(q[k]), int32(q[k+1]), int32(q[k+2]), int32(q[k+3])
			for r := range sums {
				w := line[4*r:][:4]
				sums[r] += int32(int8(w[0]))*q0 + int32(int8(w[1]))*q1 + int32(int8(w[2]))*q2 + int32(int8(w[3]))*q3
			}
		}
	}
	return sums
}
