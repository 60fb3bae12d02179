package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// validOpen is an Open that every check lets pass.
func validOpen() Open {
	return Open{
		Model: []byte("model"), Soul: []byte("soul"),
		Lo: 2, Hi: 4, NextHi: 6, Hops: 3, Window: 64, Start: 9,
		Previous: []byte("peer a"), Next: []byte("peer b"),
	}
}

var openCases = []struct {
	name   string
	change func(o *Open)
	want   error // nil: the open is valid
}{
	{"all fields", func(*Open) {}, nil},
	{"no model", func(o *Open) { o.Model = nil }, ErrFrame},
	{"model at the limit", func(o *Open) { o.Model = make([]byte, CIDBytes) }, nil},
	{"model past the limit", func(o *Open) { o.Model = make([]byte, CIDBytes+1) }, ErrTooLarge},
	{"no Soul", func(o *Open) { o.Soul = nil }, nil},
	{"Soul at the limit", func(o *Open) { o.Soul = make([]byte, CIDBytes) }, nil},
	{"Soul past the limit", func(o *Open) { o.Soul = make([]byte, CIDBytes+1) }, ErrTooLarge},
	{"no blocks", func(o *Open) { o.Lo, o.Hi, o.NextHi = 0, 0, 0 }, ErrFrame},
	{"empty range", func(o *Open) { o.Lo = o.Hi }, ErrFrame},
	{"reversed range", func(o *Open) { o.Lo = o.Hi + 1 }, ErrFrame},
	{"one block", func(o *Open) { o.Lo = o.Hi - 1 }, nil},
	{"last hop", func(o *Open) { o.NextHi = o.Hi }, nil},
	{"next hop before this one", func(o *Open) { o.NextHi = o.Hi - 1 }, ErrFrame},
	{"largest blocks", func(o *Open) { o.Hi, o.NextHi = 1<<32-2, 1<<32-1 }, nil},
	{"no chain", func(o *Open) { o.Hops = 0 }, ErrTooLarge},
	{"shortest chain", func(o *Open) { o.Hops = 1 }, nil},
	{"chain at the limit", func(o *Open) { o.Hops = HopsPerChain }, nil},
	{"chain past the limit", func(o *Open) { o.Hops = HopsPerChain + 1 }, ErrTooLarge},
	{"no window", func(o *Open) { o.Window = 0 }, ErrTooLarge},
	{"smallest window", func(o *Open) { o.Window = 1 }, nil},
	{"window at the limit", func(o *Open) { o.Window = RowsInFlight }, nil},
	{"window past the limit", func(o *Open) { o.Window = RowsInFlight + 1 }, ErrTooLarge},
	{"start at zero", func(o *Open) { o.Start = 0 }, nil},
	{"start at the limit", func(o *Open) { o.Start = Position }, nil},
	{"start past the limit", func(o *Open) { o.Start = Position + 1 }, ErrTooLarge},
	{"no previous peer", func(o *Open) { o.Previous = nil }, ErrFrame},
	{"previous peer at the limit", func(o *Open) { o.Previous = make([]byte, peerBytes) }, nil},
	{"previous peer past the limit", func(o *Open) { o.Previous = make([]byte, peerBytes+1) }, ErrTooLarge},
	{"no next peer", func(o *Open) { o.Next = nil }, ErrFrame},
	{"next peer at the limit", func(o *Open) { o.Next = make([]byte, peerBytes) }, nil},
	{"next peer past the limit", func(o *Open) { o.Next = make([]byte, peerBytes+1) }, ErrTooLarge},
	{"largest peer", func(o *Open) { o.Next = make([]byte, 255) }, ErrTooLarge},
}

func TestOpenFields(t *testing.T) {
	for _, c := range openCases {
		t.Run(c.name, func(t *testing.T) {
			o := validOpen()
			c.change(&o)
			got, err := ParseOpen(o.Append(nil))
			if !errors.Is(err, c.want) {
				t.Fatalf("got error %v, want %v", err, c.want)
			}
			if c.want == nil && !cmp.Equal(o, got, cmp.Transformer("bytes", bytesToString)) {
				t.Errorf("decoded to another open:\n%s", cmp.Diff(o, got))
			}
		})
	}
}

// bytesToString makes nil and empty equal.
func bytesToString(b []byte) string { return string(b) }

// TestOpenCutShort: every byte counts, and none may follow.
func TestOpenCutShort(t *testing.T) {
	o := validOpen()
	encoded := o.Append(nil)
	for n := range len(encoded) {
		if _, err := ParseOpen(encoded[:n]); !errors.Is(err, ErrFrame) {
			t.Errorf("%d of %d bytes: got error %v, want %v", n, len(encoded), err, ErrFrame)
		}
	}
	if _, err := ParseOpen(append(encoded, 0)); !errors.Is(err, ErrFrame) {
		t.Errorf("one byte more: got error %v, want %v", err, ErrFrame)
	}
}

// TestOpenFitsItsLimit: an open with every field at its limit is a frame that a
// hop reads.
func TestOpenFitsItsLimit(t *testing.T) {
	o := validOpen()
	o.Model, o.Soul = make([]byte, CIDBytes), make([]byte, CIDBytes)
	o.Previous, o.Next = make([]byte, peerBytes), make([]byte, peerBytes)
	sent := Frame{Header: bare(KindOpen), Body: o.Append(nil)}
	var got Frame
	if err := got.Read(bytes.NewReader(sent.Append(nil))); err != nil {
		t.Errorf("open of %d bytes: %v", len(sent.Body), err)
	}
}

// TestOpenErrorsNameTheField: the text says what to look at.
func TestOpenErrorsNameTheField(t *testing.T) {
	for name, change := range map[string]func(o *Open){
		"model":  func(o *Open) { o.Model = nil },
		"peer":   func(o *Open) { o.Next = nil },
		"window": func(o *Open) { o.Window = 0 },
		"chain":  func(o *Open) { o.Hops = 0 },
		"start":  func(o *Open) { o.Start = 1 << 63 },
		"blocks": func(o *Open) { o.Lo = 9 },
	} {
		o := validOpen()
		change(&o)
		if _, err := ParseOpen(o.Append(nil)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not name it", name, err)
		}
	}
}
