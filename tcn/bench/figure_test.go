package bench

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 5}, 5}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median is %v, want %v", got, c.want)
		}
	}
}

func TestReached(t *testing.T) {
	for _, c := range []struct {
		f    Figure
		want bool
	}{
		{Figure{}, true},
		{Figure{OfCeiling: 0.5, Goal: Goal{Least: 0.5}}, true},
		{Figure{OfCeiling: 0.49, Goal: Goal{Least: 0.5}}, false},
		{Figure{Value: 1.5, Goal: Goal{Most: 1.5}}, true},
		{Figure{Value: 1.6, Goal: Goal{Most: 1.5}}, false},
	} {
		if got := c.f.Reached(); got != c.want {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
}

// TestBesideAlternates: a round is ceiling, work, ceiling, and its ratio is that
// of the rates.
func TestBesideAlternates(t *testing.T) {
	var calls []byte
	p := pair{
		work:       func() { calls = append(calls, 'w') },
		ceiling:    func() { calls = append(calls, 'c') },
		workAmount: 1, ceilingAmount: 1,
	}
	if _, err := p.beside(t.Context(), LeastRounds); err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^w(wc){3}(c+wc+){15}$`); !want.Match(calls) {
		t.Errorf("calls %s, want %v", calls, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.beside(ended, LeastRounds); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v once cancelled", err)
	}
}

// TestPairFails: the first error of either part ends the rounds, wherever it
// comes.
func TestPairFails(t *testing.T) {
	lost := errors.New("lost")
	for fails := range 12 {
		for _, part := range []string{"work", "ceiling"} {
			calls := map[string]int{}
			call := func(name string) func() (time.Duration, error) {
				return func() (time.Duration, error) {
					calls[name]++
					if name == part && calls[name] == fails+1 {
						return 0, lost
					}
					return time.Millisecond, nil
				}
			}
			p := Pair{Work: call("work"), Ceiling: call("ceiling"), WorkAmount: 1, CeilingAmount: 1}
			if _, err := p.Beside(t.Context(), 1); !errors.Is(err, lost) || calls[part] != fails+1 {
				t.Errorf("%s failing in call %d: error %v after %d calls", part, fails+1, err, calls[part])
			}
		}
	}
}

// TestPairRates: rates are amounts a second, the ratio is that of the rates.
func TestPairRates(t *testing.T) {
	p := Pair{
		Work:       func() (time.Duration, error) { return 4 * time.Millisecond, nil },
		Ceiling:    func() (time.Duration, error) { return time.Millisecond, nil },
		WorkAmount: 1, CeilingAmount: 2,
	}
	f, err := p.Beside(t.Context(), 1)
	if err != nil || f.Rounds != LeastRounds || f.Value != 250 || f.Ceiling != 2000 || f.OfCeiling != 0.125 {
		t.Errorf("%+v, %v, want 250 of 2000 a second in %d rounds", f, err, LeastRounds)
	}
}

func TestCeilingTurns(t *testing.T) {
	for _, c := range []struct {
		work, ceiling float64
		want          int
	}{{1, 1, 1}, {0, 1, 1}, {1, 0.1, 5}, {4, 1, 2}, {1e6, 1, 1024}, {1, 0, 1024}, {0, 0, 1}} {
		if got := ceilingTurns(c.work, c.ceiling); got != c.want {
			t.Errorf("work of %v s beside a ceiling of %v s: %d turns, want %d", c.work, c.ceiling, got, c.want)
		}
	}
}

// TestRunBoundsRounds: fewer than LeastRounds are LeastRounds, more than
// MostRounds are MostRounds.
func TestRunBoundsRounds(t *testing.T) {
	for asked, want := range map[int]int{-1: LeastRounds, LeastRounds + 1: LeastRounds + 1, MostRounds + 1: MostRounds} {
		m := Measurement{measure: func(_ context.Context, rounds int) (Figure, error) {
			if rounds != want {
				t.Errorf("%d rounds, asked %d", rounds, asked)
			}
			return Figure{}, nil
		}}
		if f, err := m.Run(t.Context(), asked); err != nil || f.Rounds != want {
			t.Errorf("asked %d: %d rounds, error %v", asked, f.Rounds, err)
		}
	}
}

// TestLayoutEnds: matrices are laid out as long as there is room, and not past it.
func TestLayoutEnds(t *testing.T) {
	l := NewLab()
	l.arena, l.tail = make([]byte, 4*16*16*64+100), make([]byte, tailBytes)
	all, err := l.matrices(256, 256, 100)
	if err != nil || len(all) != 4 {
		t.Errorf("%d matrices, error %v, want 4", len(all), err)
	}
	if _, err := l.matrices(1<<12, 1<<12, 1); !errors.Is(err, ErrRoom) {
		t.Errorf("a matrix past the end: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestEveryFigureHasItsName: --only can choose each, and no two are the same.
func TestEveryFigureHasItsName(t *testing.T) {
	l := NewLab()
	var names []string
	seen := map[string]bool{}
	for _, m := range l.AllFigures() {
		names = append(names, m.Name)
		if seen[m.String()] {
			t.Errorf("%s twice", m)
		}
		seen[m.String()] = true
		if !slices.Contains(Names(), m.Name) {
			t.Errorf("%s is not among the names", m.Name)
		}
	}
	for _, name := range Names() {
		if !slices.Contains(names, name) && len(levels()) > 1 {
			t.Errorf("no figure is called %s", name)
		}
	}
	if len(l.Figures()) > len(names) {
		t.Error("the fastest level alone has more figures")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
