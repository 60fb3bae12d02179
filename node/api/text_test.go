package api

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/zetagrid/zetagrid/node/session"
)

// TestCutterProperty: whatever the bytes, the chunks join to the whole, in
// bytes and in text; no chunk splits a character; at most three bytes wait.
func TestCutterProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "é", "€", "𝄞", "\xff", "\xc3", "\xe2\x82", "\xf0\x9d", "\x80", "\xed\xa0\x80", "\ufffd"}
	for range 2000 {
		var text bytes.Buffer
		for range random.IntN(20) {
			if random.IntN(2) == 0 {
				text.WriteByte(byte(random.UintN(256)))
			} else {
				text.WriteString(alphabet[random.IntN(len(alphabet))])
			}
		}
		all := text.Bytes()
		checkCut(t, all, random.IntN(len(all)+1))
	}
}

// checkCut sends all through a cutter, the first echoed bytes as a prompt.
func checkCut(t *testing.T, all []byte, echoed int) {
	t.Helper()
	var c cutter
	var exact []byte
	var text strings.Builder
	take := func(p part, last bool) {
		if p.offset+len(p.pieces) != len(exact)+len(p.bytes) && len(p.pieces) > 0 {
			t.Fatalf("%q: part at %d with %d pieces after %d bytes", all, p.offset, len(p.pieces), len(exact))
		}
		for i, piece := range p.pieces {
			if all[p.offset+i] != piece.Byte {
				t.Fatalf("%q: piece %d is not byte %d of the answer", all, i, p.offset+i)
			}
		}
		exact = append(exact, p.bytes...)
		text.WriteString(textOf(p.bytes))
		if len(c.held) > 3 || len(c.bytes) > 3 {
			t.Fatalf("%q: %d bytes held back", all, len(c.bytes))
		}
		if !last && len(c.bytes) > 0 && utf8.FullRune(c.bytes) {
			t.Fatalf("%q: %q is held back although it is whole", all, c.bytes)
		}
	}
	take(c.echo(all[:echoed]), false)
	for i, b := range all[echoed:] {
		take(c.next(session.Piece{Byte: b, Position: i}), false)
	}
	take(c.rest(), true)
	if !bytes.Equal(exact, all) {
		t.Fatalf("%q came out as %q", all, exact)
	}
	// The naive version: the text of the whole, byte by byte.
	if want := strings.Join(runes(all), ""); text.String() != want {
		t.Fatalf("%q came out as text %q, want %q", all, text.String(), want)
	}
	if utf8.Valid(all) && text.String() != string(all) {
		t.Fatalf("valid text %q came out as %q", all, text.String())
	}
}

// runes is b in characters, each wrong byte as U+FFFD: what a range over a
// string yields.
func runes(b []byte) []string {
	var out []string
	for _, r := range string(b) {
		out = append(out, string(r))
	}
	return out
}

func TestEveryByteHasATokenName(t *testing.T) {
	seen := map[string]bool{}
	for b := range 256 {
		name := tokenOf(byte(b))
		if back, ok := byteOf(name); !ok || int(back) != b || seen[name] || !utf8.ValidString(name) {
			t.Errorf("byte %d is named %q, which means %d", b, name, back)
		}
		seen[name] = true
	}
	for _, bad := range []string{"", "é", "ab", `bytes:\x`, `bytes:\xg0`, `bytes:\x41`, `bytes:\x-1`, `bytes:\x100`, "\xff"} {
		if b, ok := byteOf(bad); ok {
			t.Errorf("%q is taken for byte %d", bad, b)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Fuzz(func(t *testing.T, all []byte, echoed uint8) {
		checkCut(t, all, min(int(echoed), len(all)))
	})
}
