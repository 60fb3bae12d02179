package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// pushAll feeds text byte by byte. It returns what was emitted after each byte,
// all of it, and whether a stop sequence ended the text.
func pushAll(stops []string, text string) (after []string, all string, stopped bool) {
	f := newFilter(stops)
	for i := range len(text) {
		var emit []Piece
		emit, stopped = f.push(Piece{Byte: text[i], Position: i})
		all += bytesOf(emit)
		after = append(after, all)
		if stopped {
			return after, all, true
		}
	}
	return after, all + bytesOf(f.flush()), false
}

func newFilter(stops []string) *stopFilter {
	f := new(stopFilter)
	for _, stop := range stops {
		f.stops = append(f.stops, []byte(stop))
	}
	return f
}

func bytesOf(pieces []Piece) string {
	var text []byte
	for _, p := range pieces {
		text = append(text, p.Byte)
	}
	return string(text)
}

func TestStopFilter(t *testing.T) {
	for _, c := range []struct {
		stops   string // separated by commas
		text    string
		want    string
		stopped bool
	}{
		{"", "abc", "abc", false},
		{"x", "abc", "abc", false},
		{"b", "abc", "a", true},
		{"abc", "abc", "", true},
		{"abc", "ab", "ab", false},
		{"aab", "aaaab", "aa", true},
		{"abab", "aabaabab", "aaba", true},
		{"ab,b", "ab", "", true},       // both end here: the one that began first
		{"b,ab", "ab", "", true},       // whatever their order
		{"abcd,bc", "abcd", "a", true}, // the one that is complete first
		{"a,aa", "aa", "", true},
		{"\x00\xff", "x\x00\xffy", "x", true},
	} {
		t.Run(c.stops+" in "+c.text, func(t *testing.T) {
			_, got, stopped := pushAll(splitStops(c.stops), c.text)
			if got != c.want || stopped != c.stopped {
				t.Errorf("got %q, %v, want %q, %v", got, stopped, c.want, c.stopped)
			}
		})
	}
}

func splitStops(stops string) []string {
	if stops == "" {
		return nil
	}
	return strings.Split(stops, ",")
}

// cut is the text up to the stop sequence that is complete first, or all of it.
func cut(stops []string, text string) (string, bool) {
	for end := range len(text) + 1 {
		first := -1
		for _, stop := range stops {
			if at := strings.Index(text[:end], stop); at >= 0 && (first < 0 || at < first) {
				first = at
			}
		}
		if first >= 0 {
			return text[:first], true
		}
	}
	return text, false
}

// holds reports whether nothing but a possible beginning of a stop sequence may
// be held back behind emitted.
func holds(stops []string, held string) bool {
	for _, stop := range stops {
		if len(held) < len(stop) && strings.HasPrefix(stop, held) {
			return true
		}
	}
	return held == ""
}

// TestStopFilterAgainstIndex: few letters, so that stop sequences overlap in
// every way, compared with a search of the whole text.
func TestStopFilterAgainstIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	word := func(longest int) string {
		b := make([]byte, 1+random.IntN(longest))
		for i := range b {
			b[i] = 'a' + byte(random.IntN(2))
		}
		return string(b)
	}
	for range 20_000 {
		var stops []string
		for range random.IntN(4) {
			stops = append(stops, word(5))
		}
		if err := compareWithIndex(stops, word(20)); err != nil {
			t.Fatal(err)
		}
	}
}

func compareWithIndex(stops []string, text string) error {
	after, got, stopped := pushAll(stops, text)
	want, wantStopped := cut(stops, text)
	if got != want || stopped != wantStopped {
		return fmt.Errorf("stops %q in %q: got %q, %v, want %q, %v", stops, text, got, stopped, want, wantStopped)
	}
	for i, emitted := range after {
		if !strings.HasPrefix(want, emitted) {
			return fmt.Errorf("stops %q in %q: emitted %q, the answer is %q", stops, text, emitted, want)
		}
		if last := stopped && i == len(after)-1; !last && !holds(stops, text[len(emitted):i+1]) {
			return fmt.Errorf("stops %q in %q: held back %q", stops, text[:i+1], text[len(emitted):i+1])
		}
	}
	return nil
}

// FuzzStop is compareWithIndex over any bytes; stops are separated by line
// breaks.
func FuzzStop(f *testing.F) {
	f.Fuzz(func(t *testing.T, stops, text string) {
		if len(stops) > StopBytes || len(text) > StopBytes {
			return
		}
		words := strings.FieldsFunc(stops, func(r rune) bool { return r == '\n' })
		if err := compareWithIndex(words, text); err != nil {
			t.Error(err)
		}
	})
}
