package tcn

import (
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// TestHash64 compares with the outputs that Vigna's splitmix64.c gives from
// seed 1234567.
func TestHash64(t *testing.T) {
	want := []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821}
	for i, w := range want {
		if got := Hash64(1234567, uint64(i)); got != w {
			t.Errorf("output %d: %d, want %d", i, got, w)
		}
	}
}

func TestUniformIsAFraction(t *testing.T) {
	low, high := float32(1), float32(0)
	for p := range 100_000 {
		u := Uniform(5, p)
		low, high = min(low, u), max(high, u)
	}
	if low < 0 || low > 0.001 || high >= 1 || high < 0.999 {
		t.Errorf("100,000 draws lie in [%v, %v]", low, high)
	}
	if got, want := Uniform(0, 0), float32(0.8833108); got != want {
		t.Errorf("Uniform(0, 0) = %v, want %v", got, want)
	}
}

// testLogits is logits that a seed determines, about as spread as a model's.
func testLogits(seed uint64) *[256]float32 {
	return (*[256]float32)(seeded(seed, 99, 0, 256, 0, 3))
}

// TestDrawsArePinned: the bytes of a draw may change only with the version of
// the arithmetic.
func TestDrawsArePinned(t *testing.T) {
	for _, c := range []struct {
		sampling Sampling
		want     string
	}{
		{Sampling{}, "9b82fc00b67e07e1c56528b6d803e1cc"},
		{Sampling{Temperature: 1}, "1f33fc4fbac34229fef6daeb91801be8"},
		{Sampling{Temperature: 0.8, Seed: 1}, "c5edffc68cb469fafee26a60fc96bae6"},
		{Sampling{Temperature: 0.8, TopK: 5, Seed: 1}, "53d63c51baf242b6a255b5b57275b7cc"},
		{Sampling{Temperature: 1.5, TopP: 0.7, Seed: 2}, "c20fdf4059c3c8d8fe02791446e58d01"},
		{Sampling{Temperature: 1, TopK: 40, TopP: 0.9, Seed: math.MaxUint64}, "904c3c11fdd19087c9652878d8a8b5d9"},
	} {
		var got []byte
		for p := range 16 {
			got = append(got, c.sampling.Next(p, testLogits(uint64(p))))
		}
		if text := hex.EncodeToString(got); text != c.want {
			t.Errorf("%+v draws %s, want %s", c.sampling, text, c.want)
		}
	}
}

// naiveNext is the sampler written again, over lists.
func naiveNext(s Sampling, position int, logits *[256]float32) byte {
	type candidate struct {
		b byte
		p float32
	}
	probabilities := func(e [256]float32, keep []candidate) []candidate {
		var kept [256]float32
		for _, c := range keep {
			kept[c.b] = e[c.b]
		}
		total := kernel.Sum(kept[:])
		var out []candidate
		for _, c := range keep {
			out = append(out, candidate{c.b, kept[c.b] / total})
		}
		return out
	}
	var e [256]float32
	var list []candidate
	top := float32(math.Inf(-1))
	for b := range 256 {
		e[b] = logits[b] / s.Temperature
		top = max(top, e[b])
		list = append(list, candidate{b: byte(b)})
	}
	for b := range e {
		e[b] = kernel.Exp(e[b] - top)
	}
	list = probabilities(e, list)
	slices.SortStableFunc(list, func(a, b candidate) int {
		switch {
		case a.p > b.p:
			return -1
		case a.p < b.p:
			return 1
		}
		return 0
	})
	if s.TopK > 0 {
		list = probabilities(e, list[:s.TopK])
	}
	if s.TopP > 0 && s.TopP < 1 {
		sum := float32(0)
		for i, c := range list {
			if sum += c.p; sum >= s.TopP {
				list = probabilities(e, list[:i+1])
				break
			}
		}
	}
	u, sum := Uniform(s.Seed, position), float32(0)
	drawn := list[0].b
	for _, c := range list {
		if c.p > 0 {
			drawn = c.b
		}
		if sum += c.p; u < sum {
			break
		}
	}
	return drawn
}

func TestNextEqualsNaive(t *testing.T) {
	for seed := range uint64(3000) {
		s := Sampling{
			Temperature: 0.05 + 2*Uniform(seed, 1),
			TopK:        int(Hash64(seed, 2) % 257),
			TopP:        Uniform(seed, 3),
			Seed:        seed,
		}
		if seed%3 == 0 {
			s.TopP = 0
		}
		logits := testLogits(seed)
		if seed%5 == 0 { // ties
			for b := range logits {
				logits[b] = float32(int(logits[b]))
			}
		}
		if got, want := s.Next(int(seed), logits), naiveNext(s, int(seed), logits); got != want {
			t.Fatalf("%+v draws %d, want %d", s, got, want)
		}
	}
}

func TestSamplerEdges(t *testing.T) {
	var flat, peaked, steep, low [256]float32
	peaked[65] = 20
	for b := range steep {
		steep[b] = float32(b) * 1e36
		low[b] = -3e38
	}
	low[9], low[4] = -2e38, -2e38
	for _, c := range []struct {
		name     string
		sampling Sampling
		logits   *[256]float32
		want     func(position int) byte
	}{
		{"temperature 0, all equal: byte 0", Sampling{}, &flat, func(int) byte { return 0 }},
		{"temperature 0, two equal: the lower", Sampling{}, &low, func(int) byte { return 4 }},
		{"all equal: u in 256ths", Sampling{Temperature: 1}, &flat, func(p int) byte { return byte(Uniform(0, p) * 256) }},
		{"top-k 1 is the likeliest", Sampling{Temperature: 9, TopK: 1}, &peaked, func(int) byte { return 65 }},
		{"top-k over ties keeps the lower bytes", Sampling{Temperature: 1, TopK: 4}, &flat, func(p int) byte { return byte(Uniform(0, p) * 4) }},
		{"top-p that one byte reaches", Sampling{Temperature: 1, TopP: 0.5}, &peaked, func(int) byte { return 65 }},
		{"tiny top-p keeps one byte", Sampling{Temperature: 1, TopP: math.SmallestNonzeroFloat32}, &flat, func(int) byte { return 0 }},
		{"temperature too small to divide by", Sampling{Temperature: math.SmallestNonzeroFloat32}, &peaked, func(int) byte { return 65 }},
		{"logits too large to divide", Sampling{Temperature: 0.5}, &low, func(int) byte { return 4 }},
		{"huge spread", Sampling{Temperature: 1}, &steep, func(int) byte { return 255 }},
		{"largest temperature is flat", Sampling{Temperature: math.MaxFloat32}, &peaked, func(p int) byte { return naiveNext(Sampling{Temperature: math.MaxFloat32}, p, &peaked) }},
	} {
		for p := range 100 {
			if got, want := c.sampling.Next(p, c.logits), c.want(p); got != want {
				t.Errorf("%s: position %d draws %d, want %d", c.name, p, got, want)
				break
			}
		}
	}
}

// TestSamplerBounds: at the very bound top-p is reached, and the draw is not.
func TestSamplerBounds(t *testing.T) {
	var halves [256]float32 // two bytes of probability 1/2
	for b := range halves {
		halves[b] = -200
	}
	halves[3], halves[7] = 1, 1
	var d distribution
	if !d.soften(&halves, 1) {
		t.Fatal("infinite")
	}
	d.sort()
	if got := d.prefix(0.5); got != 1 {
		t.Errorf("top-p 1/2 keeps %d bytes, want 1", got)
	}
	const below = 0.5 - 1.0/(1<<24)
	for _, c := range []struct {
		u    float32
		want byte
	}{{0, 3}, {below, 3}, {0.5, 7}, {1 - 1.0/(1<<24), 7}} {
		if got := d.pick(c.u); got != c.want {
			t.Errorf("u = %v draws %d, want %d", c.u, got, c.want)
		}
	}
}

// TestDrawsFollowProbabilities: over many positions each byte comes about as
// often as its probability says.
func TestDrawsFollowProbabilities(t *testing.T) {
	logits := testLogits(3)
	logProbs := LogProbs(logits)
	const draws = 20_000
	var count [256]int
	for p := range draws {
		count[Sampling{Temperature: 1, Seed: 8}.Next(p, logits)]++
	}
	for b, n := range count {
		want := math.Exp(float64(logProbs[b])) * draws
		if math.Abs(float64(n)-want) > 5*math.Sqrt(want)+5 {
			t.Errorf("byte %d came %d times, want about %.0f", b, n, want)
		}
	}
}

func TestLogProbs(t *testing.T) {
	logits := testLogits(4)
	total := 0.0
	for _, l := range logits {
		total += math.Exp(float64(l))
	}
	for b, got := range LogProbs(logits) {
		if want := float64(logits[b]) - math.Log(total); math.Abs(float64(got)-want) > 1e-5 {
			t.Errorf("byte %d: %v, want %v", b, got, want)
		}
	}
	for b, got := range LogProbs(new([256]float32)) {
		if want := float32(-5.5451775); got != want {
			t.Fatalf("byte %d of equal logits: %v, want %v", b, got, want)
		}
	}
}

func TestSamplingValidate(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		s  Sampling
		ok bool
	}{
		{Sampling{}, true},
		{Sampling{Temperature: math.MaxFloat32, TopK: 256, TopP: 1}, true},
		{Sampling{Temperature: -1}, false},
		{Sampling{Temperature: inf}, false},
		{Sampling{Temperature: nan}, false},
		{Sampling{TopK: -1}, false},
		{Sampling{TopK: 257}, false},
		{Sampling{TopP: -0.1}, false},
		{Sampling{TopP: 1.01}, false},
		{Sampling{TopP: nan}, false},
	} {
		if err := c.s.Validate(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrSampling) {
			t.Errorf("%+v: error %v", c.s, err)
		}
	}
}
