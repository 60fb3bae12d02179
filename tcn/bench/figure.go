package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// Figure is what was found. Rates and the ratio are medians over the rounds.
type Figure struct {
	Name       string  `json:"figure"`
	Kernels    string  `json:"kernels"`              // instruction level
	Shape      string  `json:"shape,omitempty"`      // what was multiplied
	Processors int     `json:"processors"`           // that took part
	Rounds     int     `json:"rounds"`               // measured
	Unit       string  `json:"unit"`                 // of Value and Ceiling
	Value      float64 `json:"value"`                // the work's rate, or a time
	Beside     string  `json:"beside,omitempty"`     // what the ceiling is; "" if there is none
	Ceiling    float64 `json:"ceiling,omitempty"`    // its rate
	OfCeiling  float64 `json:"of_ceiling,omitempty"` // median of the rounds' ratios
	Goal       Goal    `json:"goal,omitzero"`
}

// Goal is what is asked of a figure; a zero field asks nothing.
type Goal struct {
	Least float64 `json:"least,omitempty"` // of OfCeiling
	Aim   float64 `json:"aim,omitempty"`   // of OfCeiling
	Most  float64 `json:"most,omitempty"`  // of Value, for times
}

// Reached reports whether f is what its goal asks at least.
func (f Figure) Reached() bool {
	return f.OfCeiling >= f.Goal.Least && (f.Goal.Most == 0 || f.Value <= f.Goal.Most)
}

// Measurement is a figure that can be taken.
type Measurement struct {
	Name    string // of the group it belongs to: "decode", "prefill", …
	Kernels string
	Shape   string
	measure func(ctx context.Context, rounds int) (Figure, error)
}

// String names the measurement: "decode/avx512/k=4096,n=32768".
func (m Measurement) String() string {
	s := m.Name + "/" + m.Kernels
	if m.Shape != "" {
		s += "/" + m.Shape
	}
	return s
}

// Run measures in at least [LeastRounds] rounds and at most [MostRounds]. Errors:
// the context's, those of making weights, [ErrUnsupported].
func (m Measurement) Run(ctx context.Context, rounds int) (Figure, error) {
	rounds = min(max(rounds, LeastRounds), MostRounds)
	f, err := m.measure(ctx, rounds)
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", m, err)
	}
	f.Name, f.Kernels, f.Shape, f.Rounds = m.Name, m.Kernels, m.Shape, rounds
	return f, nil
}

// Pair is work and the ceiling it is measured beside, when either can fail or
// times itself, as on a device.
type Pair struct {
	Work, Ceiling func() (time.Duration, error) // one call, and how long it took
	// Amounts are what one call does, in the unit that rates count a second.
	WorkAmount, CeilingAmount float64
}

// Beside takes the rounds, at least [LeastRounds] and at most [MostRounds], and
// sets Value, Ceiling, OfCeiling and Rounds. Errors: the context's cause, the
// first of Work or Ceiling.
func (p Pair) Beside(ctx context.Context, rounds int) (Figure, error) {
	rounds = min(max(rounds, LeastRounds), MostRounds)
	if _, err := p.Work(); err != nil { // what grows, grows now
		return Figure{}, err
	}
	turns, err := p.turns()
	if err != nil {
		return Figure{}, err
	}
	var ratios, rates, ceilings []float64
	for range rounds {
		if err := ctx.Err(); err != nil {
			return Figure{}, context.Cause(ctx)
		}
		before, err := repeated(p.Ceiling, turns)
		if err != nil {
			return Figure{}, err
		}
		worked, err := repeated(p.Work, 1)
		if err != nil {
			return Figure{}, err
		}
		after, err := repeated(p.Ceiling, turns)
		if err != nil {
			return Figure{}, err
		}
		rate, beside := p.WorkAmount/worked, 2*float64(turns)*p.CeilingAmount/(before+after)
		rates, ceilings, ratios = append(rates, rate), append(ceilings, beside), append(ratios, rate/beside)
	}
	return Figure{Rounds: rounds, Value: Median(rates), Ceiling: Median(ceilings), OfCeiling: Median(ratios)}, nil
}

// turns is how often the ceiling is repeated on either side of the work.
func (p Pair) turns() (int, error) {
	work, ceiling := math.Inf(1), math.Inf(1)
	for range 3 { // the shortest, as far as others leave the machine alone
		worked, err := repeated(p.Work, 1)
		if err != nil {
			return 0, err
		}
		took, err := repeated(p.Ceiling, 1)
		if err != nil {
			return 0, err
		}
		work, ceiling = min(work, worked), min(ceiling, took)
	}
	return ceilingTurns(work, ceiling), nil
}

// repeated is the seconds that some calls take together.
func repeated(f func() (time.Duration, error), turns int) (float64, error) {
	total := time.Duration(0)
	for range turns {
		took, err := f()
		if err != nil {
			return 0, err
		}
		total += took
	}
	return total.Seconds(), nil
}

// pair is a [Pair] of calls that the processor's clock times and that do not fail.
type pair struct {
	work, ceiling             func()
	workAmount, ceilingAmount float64
}

// beside takes the rounds.
func (p pair) beside(ctx context.Context, rounds int) (Figure, error) {
	return Pair{
		Work: clocked(p.work), Ceiling: clocked(p.ceiling),
		WorkAmount: p.workAmount, CeilingAmount: p.ceilingAmount,
	}.Beside(ctx, rounds)
}

// clocked times calls of f.
func clocked(f func()) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		began := time.Now()
		f()
		return time.Since(began), nil
	}
}

// ceilingTurns is how often a ceiling of some seconds is repeated before and after
// work of others, so that both together last as long as the work: what is short
// is seldom interrupted, and would look better on a machine that has other work.
func ceilingTurns(work, ceiling float64) int {
	const most = 1 << 10
	turns := math.Round(work / (2 * ceiling))
	if !(turns > 1) { // or no number, of two times too short to tell
		return 1
	}
	return int(min(turns, most))
}

// seconds is how long f takes.
func seconds(f func()) float64 {
	began := time.Now()
	f()
	return time.Since(began).Seconds()
}

// Median is the middle of values, of which there must be one; it sorts them.
func Median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// levels is the instruction levels of this machine, the fastest first.
func levels() []*kernel.Set { return kernel.Available() }
