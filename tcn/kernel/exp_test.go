package kernel

import (
	"math"
	"testing"
)

// ulps is how far got is from want in units of want's last float32 place.
func ulps(got float32, want float64) float64 {
	_, exponent := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(exponent-24, -149))
}

// floats calls visit with numbers from lo to hi, of one sign, about count of
// them, evenly spread over the bit patterns.
func floats(lo, hi float32, count int, visit func(v float32)) {
	a, b := math.Float32bits(lo), math.Float32bits(hi)
	if a > b {
		a, b = b, a
	}
	for bits := uint64(a); bits <= uint64(b); bits += uint64(b-a)/uint64(count) + 1 {
		visit(math.Float32frombits(uint32(bits)))
	}
}

func TestExpAccuracy(t *testing.T) {
	const most = 1.6
	worst, where := 0.0, float32(0)
	check := func(v float32) {
		if e := ulps(Exp(v), math.Exp(float64(v))); e > worst {
			worst, where = e, v
		}
	}
	floats(1e-8, 88.72283, 400_000, check)
	floats(-1e-8, -103.9, 400_000, check)
	for v := float32(-103.9); v < 88.72; v += 0.0007 {
		check(v)
	}
	if worst > most {
		t.Errorf("Exp(%v) is off by %.3f ulp, want at most %v", where, worst, most)
	}
	t.Logf("worst error %.3f ulp at %v", worst, where)
}

func TestExpExactValues(t *testing.T) {
	infinity := float32(math.Inf(1))
	for _, c := range []struct{ x, want float32 }{
		{0, 1}, {float32(math.Copysign(0, -1)), 1}, {1e-10, 1}, {-1e-10, 1},
		{expLow, 0}, {expLow - 1, 0}, {-math.MaxFloat32, 0}, {-infinity, 0},
		{expHigh, infinity}, {expHigh + 1, infinity}, {math.MaxFloat32, infinity}, {infinity, infinity},
		{-103.9, math.SmallestNonzeroFloat32},
	} {
		if got := Exp(c.x); got != c.want {
			t.Errorf("Exp(%v) is %v, want %v", c.x, got, c.want)
		}
	}
	if got := Exp(float32(math.NaN())); finite(got) {
		t.Errorf("Exp of not-a-number is %v", got)
	}
}

func TestExpMonotone(t *testing.T) {
	last := float32(0)
	for v := float32(-104); v < 89; v += 1.0 / 1024 {
		got := Exp(v)
		if got < last {
			t.Fatalf("Exp(%v) is %v, below the %v before it", v, got, last)
		}
		last = got
	}
}

func TestSigmoid(t *testing.T) {
	for _, c := range []struct{ a, want float32 }{
		{0, 0.5}, {math.MaxFloat32, 1}, {-math.MaxFloat32, 0}, {90, 1}, {-104, 0},
	} {
		if got := Sigmoid(c.a); got != c.want {
			t.Errorf("Sigmoid(%v) is %v, want %v", c.a, got, c.want)
		}
	}
	for v := float32(-80); v < 80; v += 0.003 {
		if e := ulps(Sigmoid(v), 1/(1+math.Exp(-float64(v)))); e > 3 {
			t.Fatalf("Sigmoid(%v) is off by %.3f ulp", v, e)
		}
	}
}

func TestLogAccuracy(t *testing.T) {
	const most = 2.5
	worst, where := 0.0, float32(0)
	check := func(v float32) {
		if e := ulps(Log(v), math.Log(float64(v))); e > worst {
			worst, where = e, v
		}
	}
	floats(1.1754944e-38, math.MaxFloat32, 800_000, check)
	floats(0.5, 2, 400_000, check)
	if worst > most {
		t.Errorf("Log(%v) is off by %.3f ulp, want at most %v", where, worst, most)
	}
	t.Logf("worst error %.3f ulp at %v", worst, where)
	if got := Log(1); got != 0 {
		t.Errorf("Log(1) is %v", got)
	}
	for _, v := range []float32{0, 1e-40, 1.1754942e-38} {
		if got := Log(v); !math.IsInf(float64(got), -1) {
			t.Errorf("Log(%v) is %v, want -infinity", v, got)
		}
	}
}
