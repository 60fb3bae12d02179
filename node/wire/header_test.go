package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// bare returns a frame of a kind that carries nothing but its place.
func bare(kind Kind) Header { return Header{Kind: kind, Session: session, Epoch: 1} }

// headerCases change one field of a valid header each.
var headerCases = []struct {
	name   string
	kind   Kind
	change func(h *Header)
	want   error // nil: the header is valid
}{
	{"rows", KindRows, func(*Header) {}, nil},
	{"open", KindOpen, func(*Header) {}, nil},
	{"opened", KindOpened, func(*Header) {}, nil},
	{"refused", KindRefused, func(*Header) {}, nil},
	{"attach", KindAttach, func(*Header) {}, nil},

	{"no kind", KindRows, func(h *Header) { h.Kind = 0 }, ErrFrame},
	{"first kind not known", KindAttach, func(h *Header) { h.Kind = kindEnd }, ErrFrame},
	{"last kind", KindAttach, func(h *Header) { h.Kind = 255 }, ErrFrame},
	{"no session", KindRows, func(h *Header) { h.Session = SessionID{} }, ErrFrame},
	{"one bit of a session", KindRows, func(h *Header) { h.Session = SessionID{15: 1} }, nil},
	{"no epoch", KindRows, func(h *Header) { h.Epoch = 0 }, ErrFrame},
	{"last epoch", KindRows, func(h *Header) { h.Epoch = 1<<32 - 1 }, nil},
	{"hop at the limit", KindRows, func(h *Header) { h.Hop = HopsPerChain }, nil},
	{"hop past the limit", KindRows, func(h *Header) { h.Hop = HopsPerChain + 1 }, ErrTooLarge},
	{"hop past the limit in an attach", KindAttach, func(h *Header) { h.Hop = HopsPerChain + 1 }, ErrTooLarge},
	{"payload at the limit", KindRows, func(h *Header) { h.Payload = PayloadBytes }, nil},
	{"payload past the limit", KindRows, func(h *Header) { h.Payload = PayloadBytes + 1 }, ErrTooLarge},
	{"largest payload", KindRows, func(h *Header) { h.Payload = 1<<32 - 1 }, ErrTooLarge},
	{"open at the limit", KindOpen, func(h *Header) { h.Payload = openBytes }, nil},
	{"open past the limit", KindOpen, func(h *Header) { h.Payload = openBytes + 1 }, ErrTooLarge},
	{"refusal at the limit", KindRefused, func(h *Header) { h.Payload = openBytes }, nil},
	{"refusal past the limit", KindRefused, func(h *Header) { h.Payload = openBytes + 1 }, ErrTooLarge},
	{"opened with a payload", KindOpened, func(h *Header) { h.Payload = 1 }, ErrFrame},
	{"attach with a payload", KindAttach, func(h *Header) { h.Payload = 1 }, ErrFrame},

	{"no rows", KindRows, func(h *Header) { h.Rows = 0 }, ErrFrame},
	{"rows at the limit", KindRows, func(h *Header) { h.Rows = RowsPerFrame }, nil},
	{"rows past the limit", KindRows, func(h *Header) { h.Rows = RowsPerFrame + 1 }, ErrTooLarge},
	{"timings at the limit", KindRows, func(h *Header) { h.Timings = HopsPerChain }, nil},
	{"timings past the limit", KindRows, func(h *Header) { h.Timings = HopsPerChain + 1 }, ErrTooLarge},
	{"position at the limit", KindRows, func(h *Header) { h.Position = Position }, nil},
	{"position past the limit", KindRows, func(h *Header) { h.Position = Position + 1 }, ErrTooLarge},
	{"want at the limit", KindRows, func(h *Header) { h.Want = Position }, nil},
	{"want past the limit", KindRows, func(h *Header) { h.Want = Position + 1 }, ErrTooLarge},
	{"done at the position", KindRows, func(h *Header) { h.Done = h.Position }, nil},
	{"done past the position", KindRows, func(h *Header) { h.Done = h.Position + 1 }, ErrFrame},

	{"rows with a code", KindRows, func(h *Header) { h.Code = CodeStage }, ErrFrame},
	{"refusal without a code", KindRefused, func(h *Header) { h.Code = 0 }, ErrFrame},
	{"refusal of a newer peer", KindRefused, func(h *Header) { h.Code = 1<<32 - 1 }, nil},
	{"open with rows", KindOpen, func(h *Header) { h.Rows = 1 }, ErrFrame},
	{"opened with a position", KindOpened, func(h *Header) { h.Position = 1 }, ErrFrame},
	{"refused with done", KindRefused, func(h *Header) { h.Done = 1 }, ErrFrame},
	{"attach with want", KindAttach, func(h *Header) { h.Want = 1 }, ErrFrame},
	{"open with timings", KindOpen, func(h *Header) { h.Timings = 1 }, ErrFrame},
}

func TestHeaderFields(t *testing.T) {
	for _, c := range headerCases {
		t.Run(c.name, func(t *testing.T) {
			h := bare(c.kind)
			switch c.kind {
			case KindRows:
				h = rowsFrame().Header
			case KindRefused:
				h.Code = CodeIdle
			}
			c.change(&h)
			encoded := h.Append(nil)
			if len(encoded) != HeaderBytes {
				t.Fatalf("header of %d bytes, want %d", len(encoded), HeaderBytes)
			}
			var got Header
			if err := got.parse(encoded); !errors.Is(err, c.want) {
				t.Fatalf("got error %v, want %v", err, c.want)
			}
			if c.want == nil && got != h {
				t.Errorf("decoded to another header:\n%s", cmp.Diff(h, got))
			}
		})
	}
}

func TestMagicAndVersion(t *testing.T) {
	frame := rowsFrame()
	for at, name := range []string{"first byte of the magic", "second byte of the magic", "version"} {
		for _, value := range []byte{0, 255} {
			encoded := frame.Append(nil)
			encoded[at] = value
			if err := new(Frame).Read(bytes.NewReader(encoded)); !errors.Is(err, ErrFrame) {
				t.Errorf("%s %d: got error %v, want %v", name, value, err, ErrFrame)
			}
		}
	}
}

// TestReencode: what decodes encodes to the same bytes (law 4), also when some
// bits of a valid frame were flipped.
func TestReencode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	valid := 0
	for range 20_000 {
		frame := randomFrame(random)
		encoded := frame.Append(nil)
		for range random.IntN(3) {
			encoded[random.IntN(HeaderBytes)] ^= 1 << random.IntN(8)
		}
		valid += reencode(t, encoded)
	}
	if valid < 5_000 {
		t.Errorf("only %d frames were valid", valid)
	}
}

// reencode decodes one frame and requires that it encodes to the same bytes. It
// returns 1 for a valid frame, else 0.
func reencode(t *testing.T, encoded []byte) int {
	t.Helper()
	var frame Frame
	r := bytes.NewReader(encoded)
	err := frame.Read(r)
	switch {
	case err == nil:
		used := encoded[:len(encoded)-r.Len()]
		if again := frame.Append(nil); !bytes.Equal(again, used) {
			t.Fatalf("%x\ndecodes, then encodes to\n%x", used, again)
		}
		return 1
	case errors.Is(err, ErrFrame), errors.Is(err, ErrTooLarge), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0
	}
	t.Fatalf("%x: error %v is none of the documented", encoded, err)
	return 0
}

func randomFrame(random *rand.Rand) Frame {
	h := bare(1 + Kind(random.IntN(int(kindEnd-1))))
	h.Epoch = 1 + random.Uint32N(3)
	h.Hop = uint16(random.IntN(HopsPerChain + 1))
	var body []byte
	switch h.Kind {
	case KindRefused:
		h.Code = 1 + Code(random.IntN(int(codeEnd)))
		body = make([]byte, random.IntN(openBytes+1))
	case KindOpen:
		body = make([]byte, random.IntN(openBytes+1))
	case KindRows:
		h.Rows = 1 + random.Uint32N(RowsPerFrame)
		h.Timings = uint16(random.IntN(HopsPerChain + 1))
		h.Position = random.Uint64N(Position + 1)
		h.Done = random.Uint64N(h.Position + 1)
		h.Want = random.Uint64N(Position + 1)
		body = make([]byte, random.IntN(300))
	}
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	return Frame{Header: h, Body: body}
}

// TestReadCutShort: a frame may end nowhere but at its end.
func TestReadCutShort(t *testing.T) {
	frame := rowsFrame()
	encoded := frame.Append(nil)
	for n := range len(encoded) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if err := new(Frame).Read(bytes.NewReader(encoded[:n])); err != want {
			t.Errorf("%d of %d bytes: got error %v, want %v", n, len(encoded), err, want)
		}
	}
}

// TestReadPiecewise: frames behind one another come apart however a stream
// delivers them.
func TestReadPiecewise(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var frames []Frame
	var stream []byte
	for range 20 {
		frame := randomFrame(random)
		stream = frame.Append(stream)
		frames = append(frames, frame)
	}
	for name, r := range map[string]io.Reader{
		"at once":        bytes.NewReader(stream),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(stream)),
		"data with EOF":  iotest.DataErrReader(bytes.NewReader(stream)),
		"half a request": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			var got Frame
			for i, want := range frames {
				if err := got.Read(r); err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
				if got.Header != want.Header || !bytes.Equal(got.Body, want.Body) {
					t.Fatalf("frame %d:\n%s", i, cmp.Diff(want.Header, got.Header))
				}
			}
			if err := got.Read(r); err != io.EOF {
				t.Errorf("behind the last frame: got error %v, want %v", err, io.EOF)
			}
		})
	}
}

// TestReadFailingStream: an error of the stream is handed on as it is.
func TestReadFailingStream(t *testing.T) {
	broken := errors.New("broken stream")
	frame := rowsFrame()
	encoded := frame.Append(nil)
	for _, n := range []int{0, 10, HeaderBytes, HeaderBytes + 1} {
		r := io.MultiReader(bytes.NewReader(encoded[:n]), iotest.ErrReader(broken))
		if err := new(Frame).Read(r); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: got error %v, want %v", n, err, broken)
		}
	}
}

// TestReadLyingLength: a length over its limit is refused before anything is
// allocated for it or read of it.
func TestReadLyingLength(t *testing.T) {
	h := rowsFrame().Header
	h.Payload = PayloadBytes + 1
	encoded := append(h.Append(nil), 1, 2, 3)
	r := bytes.NewReader(encoded)
	var frame Frame
	if err := frame.Read(r); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got error %v, want %v", err, ErrTooLarge)
	}
	if r.Len() != 3 {
		t.Errorf("%d bytes of the payload were left unread, want 3", r.Len())
	}
	if cap(frame.Body) > HeaderBytes {
		t.Errorf("%d bytes were allocated for a payload that was refused", cap(frame.Body))
	}
}

// TestReadAllocates: a stream's reader allocates once, for its largest frame.
func TestReadAllocates(t *testing.T) {
	sent := rowsFrame()
	sent.Body = make([]byte, 1000)
	encoded := sent.Append(nil)
	r := bytes.NewReader(encoded)
	var frame Frame
	read := func() {
		r.Reset(encoded)
		if err := frame.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	read() // the first grows the body
	if n := testing.AllocsPerRun(100, read); n != 0 {
		t.Errorf("%v allocations a frame, want none", n)
	}
}

// TestAppendAllocates: encoding into a buffer that is large enough allocates
// nothing.
func TestAppendAllocates(t *testing.T) {
	frame := rowsFrame()
	buffer := make([]byte, 0, 2*HeaderBytes)
	rows, timings := make([]float32, 4), make([]Timing, 3)
	if n := testing.AllocsPerRun(100, func() {
		buffer = frame.Append(buffer[:0])
		buffer = AppendRows(buffer[:0], rows, F32)
		buffer = AppendTimings(buffer, timings)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestSessionIDString(t *testing.T) {
	if got, want := fmt.Sprint(session), "a1b2c3d4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
