package tcn

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// ErrSampling: an option of [Sampling] is outside its range.
var ErrSampling = errors.New("tcn: bad sampling option")

// Sampling says how the next byte is drawn. The draw depends on (Seed,
// position) alone, so a generation carries no generator state.
type Sampling struct {
	Temperature float32 // 0 takes the largest logit, ties to the lower byte
	TopK        int     // keep the K likeliest bytes; 0: all
	TopP        float32 // keep the likeliest bytes that together reach P; 0 or 1: all
	Seed        uint64
}

// Validate reports an option outside its range as an [ErrSampling]:
// Temperature finite and at least 0, TopK in [0, 256], TopP in [0, 1].
func (s Sampling) Validate() error {
	if !(s.Temperature >= 0 && s.Temperature <= math.MaxFloat32) {
		return fmt.Errorf("%w: temperature %v, want a finite number of at least 0", ErrSampling, s.Temperature)
	}
	if s.TopK < 0 || s.TopK > VocabSize {
		return fmt.Errorf("%w: top-k %d outside [0, %d]", ErrSampling, s.TopK, VocabSize)
	}
	if !(s.TopP >= 0 && s.TopP <= 1) {
		return fmt.Errorf("%w: top-p %v outside [0, 1]", ErrSampling, s.TopP)
	}
	return nil
}

// Next draws the byte at a position of the text from the logits of the position
// before it. s must be valid and the logits finite, as [Ends.Logits] leaves
// them.
//
// At temperature 0 it is the byte of the largest logit, ties to the lower byte.
// Otherwise:
//
//  1. z = logits/T, each rounded. A T so small that the largest z is infinite
//     counts as 0.
//  2. e = exp(z - max z); a byte's probability is e/Σe over the bytes kept so
//     far, summed over the byte axis by the rule for sums, where a dropped byte
//     adds +0.
//  3. The order is by probability over all 256 bytes, descending, then by byte,
//     ascending. It is fixed here.
//  4. Top-k keeps the first K of the order.
//  5. Top-p adds the probabilities, now over what top-k kept, in order, and
//     keeps the bytes up to the one with which the sum reaches P: at least one.
//  6. With u = [Uniform](Seed, position), the byte drawn is the first whose
//     probability, over what is kept, brings the sum in order above u. Should
//     rounding leave the whole sum at or below u, it is the last byte kept
//     whose probability is above zero.
func (s Sampling) Next(position int, logits *[VocabSize]float32) byte {
	var d distribution
	if s.Temperature == 0 || !d.soften(logits, s.Temperature) {
		return largest(logits)
	}
	d.sort()
	if s.TopK > 0 {
		d.keep(s.TopK)
	}
	if s.TopP > 0 && s.TopP < 1 {
		d.keep(d.prefix(s.TopP))
	}
	return d.pick(Uniform(s.Seed, position))
}

// largest is the byte of the largest logit, ties to the lower byte.
func largest(logits *[VocabSize]float32) byte {
	best := 0
	for b, l := range logits {
		if l > logits[best] {
			best = b
		}
	}
	return byte(best)
}

// distribution is the bytes that may still be drawn.
type distribution struct {
	weight [VocabSize]float32 // e by byte; +0 once dropped
	order  [VocabSize]byte    // likeliest first
	kept   int                // bytes of order still in
}

// soften sets the weights. It reports false when dividing by the temperature
// makes the largest logit infinite.
func (d *distribution) soften(logits *[VocabSize]float32, temperature float32) bool {
	for b, l := range logits {
		d.weight[b] = l / temperature
	}
	top := slices.Max(d.weight[:])
	if math.IsInf(float64(top), 0) {
		return false
	}
	for b, z := range d.weight {
		d.weight[b] = kernel.Exp(z - top)
	}
	return true
}

// sort fixes the order and keeps all bytes.
func (d *distribution) sort() {
	// Numbers that are not negative order like their bits, so a key of inverted
	// bits above the byte sorts by probability down, then by byte up.
	var keys [VocabSize]uint64
	sum := kernel.Sum(d.weight[:])
	for b, weight := range d.weight {
		keys[b] = uint64(^math.Float32bits(weight/sum))<<8 | uint64(b)
	}
	slices.Sort(keys[:])
	for i, key := range keys {
		d.order[i] = byte(key)
	}
	d.kept = VocabSize
}

// keep drops all but the first n bytes of the order.
func (d *distribution) keep(n int) {
	for _, b := range d.order[n:d.kept] {
		d.weight[b] = 0
	}
	d.kept = n
}

// prefix is the number of bytes, in order, whose probabilities reach p.
func (d *distribution) prefix(p float32) int {
	sum, reached := kernel.Sum(d.weight[:]), float32(0)
	for i, b := range d.order[:d.kept] {
		reached += d.weight[b] / sum
		if reached >= p {
			return i + 1
		}
	}
	return d.kept
}

// pick is the byte at u of the way through the order, u in [0, 1).
func (d *distribution) pick(u float32) byte {
	sum, reached := kernel.Sum(d.weight[:]), float32(0)
	last := d.order[0]
	for _, b := range d.order[:d.kept] {
		probability := d.weight[b] / sum
		if probability == 0 {
			break
		}
		reached += probability
		last = b
		if u < reached {
			break
		}
	}
	return last
}

// Hash64 is output number i, counted from 0, of the SplitMix64 generator
// started at seed (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014, with the constants of Vigna's public-domain C).
func Hash64(seed, i uint64) uint64 {
	z := seed + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uniform is the number in [0, 1) that decides the draw at a position: the top
// 24 bits of Hash64(seed, position), as a fraction.
func Uniform(seed uint64, position int) float32 {
	return float32(Hash64(seed, uint64(position))>>40) * (1.0 / (1 << 24))
}

// LogProbs is the natural logarithm of every byte's probability at temperature
// 1: (l - max l) - ln Σ exp(l - max l). The logits must be finite.
func LogProbs(logits *[VocabSize]float32) [VocabSize]float32 {
	var shifted, weight [VocabSize]float32
	top := slices.Max(logits[:])
	for b, l := range logits {
		shifted[b] = l - top
		weight[b] = kernel.Exp(shifted[b])
	}
	total := kernel.Log(kernel.Sum(weight[:]))
	for b := range shifted {
		shifted[b] -= total
	}
	return shifted
}
