package eval

import "bytes"

// distinctUpTo is the longest n of [Probe.Distinct].
const distinctUpTo = 4

// copyBytes is how long a run must be to count as copied: some five words,
// which two writers rarely share by accident.
const copyBytes = 32

// Probe says whether a model's answers have collapsed or were learnt by heart.
type Probe struct {
	Bytes int // of all answers
	// Distinct[n-1] is how many of the n-byte strings of an answer are different
	// ones, summed over the answers, over all their n-byte strings. One letter
	// over and over is near 0, random bytes near 1. The same figures of as many
	// pieces of held-out text are what to hold them against.
	Distinct [distinctUpTo]float64
	// Repetition is the share of 8-byte strings that stood in the same answer
	// before.
	Repetition float64
	// Looping is how many answers end in a loop: their last half is one string
	// over and over.
	Looping int
	Answers int
	// Copied is the share of 32-byte strings of the answers that stand in the
	// training text word for word; -1 when none was given.
	Copied float64
}

// ProbeAnswers probes answers; training is the text that the model was trained
// on, nil if it is not at hand.
func ProbeAnswers(answers [][]byte, training []byte) Probe {
	p := Probe{Answers: len(answers), Copied: -1}
	const repeated = 8
	var different, all [distinctUpTo + 1]int // [0] is of repeated bytes
	for _, a := range answers {
		p.Bytes += len(a)
		for n := range different {
			length := n
			if n == 0 {
				length = repeated
			}
			d, t := grams(a, length)
			different[n], all[n] = different[n]+d, all[n]+t
		}
		if loops(a) {
			p.Looping++
		}
	}
	p.Repetition = 1 - ratio(different[0], all[0], 1)
	for n := range p.Distinct {
		p.Distinct[n] = ratio(different[n+1], all[n+1], 1)
	}
	if training != nil {
		p.Copied = copied(answers, training)
	}
	return p
}

// ratio is a/b, or none when b is 0.
func ratio(a, b int, none float64) float64 {
	if b == 0 {
		return none
	}
	return float64(a) / float64(b)
}

// grams counts the different and all n-byte strings of text.
func grams(text []byte, n int) (different, all int) {
	seen := map[string]bool{}
	for i := 0; i+n <= len(text); i++ {
		seen[string(text[i:i+n])] = true
		all++
	}
	return len(seen), all
}

// loops reports whether the last half of text is a string of at most a quarter
// of text over and over.
func loops(text []byte) bool {
	half := text[len(text)/2:]
	for period := 1; period <= len(text)/4; period++ {
		if bytes.Equal(half[period:], half[:len(half)-period]) {
			return true
		}
	}
	return false
}

// copied is the share of strings of copyBytes of the answers that stand in text.
func copied(answers [][]byte, text []byte) float64 {
	wanted := map[string]int{} // how often in the answers
	all, found := 0, 0
	for _, a := range answers {
		for i := 0; i+copyBytes <= len(a); i++ {
			wanted[string(a[i:i+copyBytes])]++
			all++
		}
	}
	for i := 0; i+copyBytes <= len(text) && len(wanted) > 0; i++ {
		if n, ok := wanted[string(text[i:i+copyBytes])]; ok {
			found += n
			delete(wanted, string(text[i:i+copyBytes]))
		}
	}
	return ratio(found, all, 0)
}
