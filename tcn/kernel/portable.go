package kernel

import "math"

// Portable is the normative Set: plain Go on any machine, meant to be read.
func Portable() *Set {
	return &Set{
		Name:      "portable",
		MatMul:    portableMatMul,
		RMSNorm:   portableRMSNorm,
		Conv:      portableConv,
		Gate:      portableGate,
		AddScaled: portableAddScaled,
		RoundBF16: portableRoundBF16,
		Finite:    portableFinite,

		Hadamard:    portableHadamard,
		QuantizeRow: portableQuantizeRow,
		MatMulQ2:    portableMatMulQ2,
		MatMulQ8:    portableMatMulQ8,
	}
}

// Lanes is the number of partial sums in every sum of products.
const Lanes = 32

// fold adds the upper half of the lanes onto the lower until one is left.
func fold(lane *[Lanes]float32) float32 {
	for half := Lanes / 2; half > 0; half /= 2 {
		for j := range half {
			lane[j] += lane[j+half]
		}
	}
	return lane[0]
}

// Dot returns Σ a[i]·b[i] by the rule for sums.
//
//	a, b [n]
//
// It goes over the rows four times, for eight lanes at a time, as many as stay
// in registers on every architecture; what is past the last whole group of 32
// comes at the end.
func Dot(a, b []float32) float32 {
	var lane [Lanes]float32
	b = b[:len(a)]
	whole := len(a) / Lanes * Lanes
	for j := 0; j < Lanes; j += 8 {
		var s0, s1, s2, s3, s4, s5, s6, s7 float32
		for i := j; i < whole; i += Lanes {
			x, y := (*[8]float32)(a[i:]), (*[8]float32)(b[i:])
			s0 += float32(x[0] * y[0])
			s1 += float32(x[1] * y[1])
			s2 += float32(x[2] * y[2])
			s3 += float32(x[3] * y[3])
			s4 += float32(x[4] * y[4])
			s5 += float32(x[5] * y[5])
			s6 += float32(x[6] * y[6])
			s7 += float32(x[7] * y[7])
		}
		*(*[8]float32)(lane[j:]) = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	}
	for j := range a[whole:] {
		lane[j] += float32(a[whole+j] * b[whole+j])
	}
	return fold(&lane)
}

// Sum returns Σ a[i] by the rule for sums.
//
//	a [n]
func Sum(a []float32) float32 {
	var lane [Lanes]float32
	for i, v := range a {
		lane[i%Lanes] += v
	}
	return fold(&lane)
}

func portableMatMul(y, x, w []float32, n, rows, cols, lo, hi int) {
	for r := lo; r < hi; r++ {
		weights := w[r*cols : (r+1)*cols] // read from memory once for all rows
		for i := range n {
			y[i*rows+r] = Dot(x[i*cols:(i+1)*cols], weights)
		}
	}
}

func portableRMSNorm(out, x, gain []float32, eps float32) {
	root := RootMeanSquare(x, eps)
	for c, v := range x {
		out[c] = (v / root) * gain[c]
	}
}

// RootMeanSquare returns sqrt(Σx²/d + eps), the divisor of RMSNorm.
//
//	x [d]
func RootMeanSquare(x []float32, eps float32) float32 {
	return rootOfMean(Dot(x, x), len(x), eps)
}

// rootOfMean returns sqrt(sum/d + eps).
func rootOfMean(sum float32, d int, eps float32) float32 {
	mean := sum / float32(d)
	// The square root of a float32 taken in float64 and rounded back is the
	// correctly rounded float32 root (Figueroa, "When is double rounding
	// innocuous?", 1995).
	return float32(math.Sqrt(float64(mean + eps)))
}

func portableConv(out []float32, taps [][]float32, w []float32) {
	for k, tap := range taps {
		weights := w[k*len(out) : (k+1)*len(out)]
		for c := range out {
			product := float32(tap[c] * weights[c])
			if k == 0 {
				out[c] = product
			} else {
				out[c] += product
			}
		}
	}
}

func portableGate(y, a, g []float32) {
	for c := range y {
		y[c] = float32(a[c]*Sigmoid(a[c])) * Sigmoid(g[c])
	}
}

func portableAddScaled(x, t []float32, scale float32) {
	for c := range x {
		x[c] = float32(scale*t[c]) + x[c]
	}
}

func portableRoundBF16(x []float32) {
	for c, v := range x {
		x[c] = RoundBF16(v)
	}
}

// infinity is the bits of +infinity; those of a number that is not finite are no
// smaller, without the sign.
const infinity = 0x7f800000

func portableFinite(x []float32) bool { return largestBits(x) < infinity }

// RoundBF16 returns the bfloat16 nearest to v, ties to even, as a float32.
func RoundBF16(v float32) float32 {
	bits := math.Float32bits(v)
	if bits&infinity == infinity {
		return v
	}
	bits += 0x7fff + (bits>>16)&1
	return math.Float32frombits(bits &^ 0xffff)
}

// The constants of Exp. ln 2 is cut in two so that n·ln2High is exact.
const (
	expLow   = -104 // e^-104 rounds to 0
	expHigh  = 89   // e^89 is past the largest float32
	log2E    = 1.44269504088896340736
	ln2High  = 0.693359375
	ln2Low   = -2.12194440054690583e-4
	roundBig = 12582912 // 1.5·2^23: adding it rounds to an integer, ties to even
)

// Exp returns e^x: range reduction by ln 2, a Taylor polynomial of degree 7 on
// |r| ≤ ln 2 / 2, and two multiplications by powers of two, so that results
// below 2^-126 round once.
func Exp(x float32) float32 {
	if x > expHigh {
		x = expHigh
	}
	if x < expLow {
		x = expLow
	}
	shifted := float32(x*log2E) + roundBig
	n := shifted - roundBig
	r := x - float32(n*ln2High)
	r -= float32(n * ln2Low)
	p := float32(r*(1.0/5040)) + 1.0/720
	p = float32(p*r) + 1.0/120
	p = float32(p*r) + 1.0/24
	p = float32(p*r) + 1.0/6
	p = float32(p*r) + 0.5
	p = float32(p*r) + 1
	p = float32(p*r) + 1
	exponent := int32(math.Float32bits(shifted)) - int32(math.Float32bits(roundBig))
	half := exponent >> 1
	return float32(float32(p*powerOfTwo(half)) * powerOfTwo(exponent-half))
}

// powerOfTwo returns 2^n for n in [-126, 127].
func powerOfTwo(n int32) float32 {
	return math.Float32frombits(uint32(n+127) << 23)
}

// Sigmoid returns σ(a) = 1/(1+e^-a).
func Sigmoid(a float32) float32 {
	return 1 / (1 + Exp(-a))
}

// Log returns the natural logarithm of a positive, normal x; it serves reported
// log-probabilities. Zero and what lies below 2^-126 return -infinity.
func Log(x float32) float32 {
	const smallestNormal = 1.1754944e-38
	if x < smallestNormal {
		return float32(math.Inf(-1))
	}
	bits := math.Float32bits(x)
	exponent := int32(bits>>23) - 127
	m := math.Float32frombits(bits&0x7fffff | 127<<23) // in [1, 2)
	if m > 1.41421356 {
		m *= 0.5
		exponent++
	}
	s := (m - 1) / (m + 1)
	z := float32(s * s)
	p := float32(z*(1.0/9)) + 1.0/7
	p = float32(p*z) + 1.0/5
	p = float32(p*z) + 1.0/3
	p = float32(p*z) + 1
	n := float32(exponent)
	low := float32(n*ln2Low) + float32(2*float32(s*p))
	return float32(n*ln2High) + low
}
