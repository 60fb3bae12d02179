//go:build amd64 || arm64

package kernel

// quantAssembly is the functions of one instruction level for the rows of
// quantized products. The generated files say what each does.
type quantAssembly struct {
	hadamardGroups func(out, x *float32, signs *byte, groups int)
	butterflies2   func(x *float32, stride, blocks int)
	butterflies4   func(x *float32, stride, blocks int)
	largestBits    func(x *float32, groups int) uint32
	toInt8         func(out *int8, step int, x *float32, groups int, scale float32) int32
}

// product is a function that takes a number of input rows at a time.
type product struct {
	inputs int
	run    productFunc
}

// productFunc multiplies a few rows of int8 numbers with rows rows of a
// quantized matrix, from a row block's first on. The input rows of a group lie
// one behind the other and groups qStep bytes apart, in as many as the matrix
// has. Results of an input row go yRow bytes behind those of the one before;
// xScale, xSum and scale are those of the rows.
type productFunc func(y *float32, yRow uintptr, q *int8, qStep uintptr, xScale *float32, xSum *int32,
	codes *byte, groups int, scale *float32, rows int)

// productSet is the products of a format, those of most input rows first.
type productSet struct {
	groupBytes int
	portable   func(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int)
	products   []product
}

// quantize dresses the quantized operations: rows by a, products by those given.
func (s *Set) quantize(a *quantAssembly, q2, q8 *productSet) *Set {
	s.Hadamard, s.QuantizeRow, s.Finite = a.hadamard, a.quantizeRow, a.finite
	s.MatMulQ2, s.MatMulQ8 = q2.matMul, q8.matMul
	return s
}

// registerBlock is the smallest block of a rotation that the assembly takes: the
// numbers of one group of hadamardGroups.
const registerBlock = 64

// hadamardRun is how many numbers go through all strides together, if blocks are
// not larger: 4 KiB, a part of the first-level cache.
const hadamardRun = 1 << 10

func (a *quantAssembly) hadamard(out, x []float32, signs []byte) {
	block := HadamardBlock(len(x))
	if block < registerBlock {
		portableHadamard(out, x, signs)
		return
	}
	out = first(out, len(x))
	_ = signs[len(x)/8-1]
	run := max(block, hadamardRun)
	for lo := 0; lo < len(x); lo += run { // all strides while the numbers are at hand
		n := min(run, len(x)-lo)
		a.hadamardGroups(&out[lo], &x[lo], &signs[lo/8], n/registerBlock)
		stride := registerBlock
		for ; 4*stride <= block; stride *= 4 {
			a.butterflies4(&out[lo], stride, n/(4*stride))
		}
		if stride < block {
			a.butterflies2(&out[lo], stride, n/(2*stride))
		}
	}
}

func (a *quantAssembly) quantizeRow(q *Int8Rows, i int, x []float32) bool {
	scale, ok := rowScale(a.largest(x))
	return q.fill(i, x, scale, ok, a.rowToInt8)
}

// largest is the function largestBits.
func (a *quantAssembly) largest(x []float32) uint32 {
	const group = 32
	largest := largestBits(x[len(x)/group*group:])
	if len(x) >= group {
		largest = max(largest, a.largestBits(&x[0], len(x)/group))
	}
	return largest
}

func (a *quantAssembly) finite(x []float32) bool { return a.largest(x) < infinity }

// rowToInt8 is a toInt8.
func (a *quantAssembly) rowToInt8(out []int8, step int, x []float32, scale float32) int32 {
	groups, sum := len(x)/LineCols, int32(0)
	if groups > 0 {
		_ = out[(groups-1)*step+LineCols-1]
		sum = a.toInt8(&out[0], step, &x[0], groups, scale)
	}
	if tail := x[groups*LineCols:]; len(tail) > 0 {
		sum += portableToInt8(out[groups*step:], step, tail, scale)
	}
	return sum
}

const (
	// panelBytes is how many codes of a matrix pass all input rows before the
	// next do: they stay in the second-level cache.
	panelBytes = 512 << 10
	// callGroups is how many groups, times input rows, one call works on at
	// most: the Go scheduler cannot interrupt assembly.
	callGroups = 32 << 10
)

func (s *productSet) matMul(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int) {
	checkProduct(y, x, codes, scale, s.groupBytes, rows, lo, hi)
	if x.N == 0 || lo == hi {
		return
	}
	if x.Cols == 0 {
		s.portable(y, x, codes, scale, rows, lo, hi)
		return
	}
	panel := max(1, panelBytes/(Groups(x.Cols)*s.groupBytes)) * LineRows
	for r := lo; r < hi; r += panel {
		s.panel(y, x, codes, scale, rows, r, min(r+panel, hi))
	}
}

// panel multiplies every input row with the weight rows [lo, hi).
func (s *productSet) panel(y []float32, x *Int8Rows, codes []byte, scale []float32, rows, lo, hi int) {
	groups := Groups(x.Cols)
	blockBytes := groups * s.groupBytes
	for i, p := 0, 0; i < x.N; i += s.products[p].inputs {
		for s.products[p].inputs > x.N-i {
			p++
		}
		product := s.products[p]
		step := max(1, callGroups/(groups*product.inputs)) * LineRows
		for r := lo; r < hi; r += step {
			product.run(&y[i*rows+r], uintptr(rows*floatBytes), &x.Q[i*LineCols], uintptr(x.N*LineCols),
				&x.Scale[i], &x.Sum[i], &codes[r/LineRows*blockBytes], groups, &scale[r], min(step, hi-r))
		}
	}
}
