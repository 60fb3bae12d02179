// Package wire says what bytes cross the network between the peers of a
// session: one frame layout, a fixed header and a payload.
//
// # Laws
//
//  1. No address, offset, stride or program crosses the wire, only (session,
//     epoch, hop, position, rows) and numbers.
//  2. Absent is not valid: kind 0, version 0 and code 0 where a code is due are
//     refused.
//  3. A length is checked against its limit before a byte is allocated for it.
//  4. A frame has one encoding: what decodes encodes to the same bytes.
//
// # Header (64 bytes, little-endian)
//
//	0  magic "ZG"          8  session [16]       32  rows u32
//	2  version u8         24  epoch u32          36  code u32
//	3  kind u8            28  hop u16            40  position u64
//	4  payload u32        30  timings u16        48  done u64
//	                                             56  want u64
//
// A Rows payload is rows × d_model numbers of the model's boundary type, then
// one 8-byte timing for each hop passed. Limits are in limits.go.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Protocol is the libp2p protocol that carries frames; its last part is the
// generation of this layout, so that peers of another one refuse by name.
const Protocol = "/zetagrid/stage/1.0.0"

const version = 1

// Errors of decoding; each comes wrapped with the offending value.
var (
	// ErrFrame: bytes that are not a frame, or a field out of its bounds.
	ErrFrame = errors.New("wire: bad frame")
	// ErrTooLarge: a payload over PayloadBytes, or rows over their limit.
	ErrTooLarge = errors.New("wire: frame too large")
	// ErrNotFinite: a row holds an infinity or not-a-number.
	ErrNotFinite = errors.New("wire: row is not finite")
)

// Kind says what a frame is.
type Kind uint8

const (
	// KindOpen (gateway to hop, on the control stream) opens a session; its
	// payload is an [Open].
	KindOpen Kind = 1 + iota
	// KindOpened (hop to gateway) answers an Open.
	KindOpened
	// KindRefused (hop to gateway) ends the session at that hop; Code says why,
	// the payload is a text for people.
	KindRefused
	// KindAttach (sender to next hop) is the first frame of a rows stream and
	// names the session it belongs to.
	KindAttach
	// KindRows carries rows to the next hop, or from the last to the gateway.
	KindRows
	kindEnd
)

// SessionID is 128 random bits drawn by the gateway.
type SessionID [16]byte

func (id SessionID) String() string { return fmt.Sprintf("%x", id[:4]) }

// Header is the fixed part of a frame.
type Header struct {
	Kind     Kind
	Session  SessionID
	Epoch    uint32 // from 1; frames of an older one are dropped
	Hop      uint16 // whom the frame is for: the hop's place in the chain; the chain's length is the gateway
	Timings  uint16 // timings behind the rows: one for each hop passed
	Rows     uint32 // rows the frame stands for
	Code     Code   // of a refusal, else 0
	Position uint64 // of the first row
	Done     uint64 // first position whose output has not reached the gateway
	Want     uint64 // first position whose output the gateway wants back
	Payload  uint32 // bytes that follow
}

// Append writes h's encoding behind dst.
func (h *Header) Append(dst []byte) []byte {
	dst = append(dst, 'Z', 'G', version, byte(h.Kind))
	dst = binary.LittleEndian.AppendUint32(dst, h.Payload)
	dst = append(dst, h.Session[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, h.Epoch)
	dst = binary.LittleEndian.AppendUint16(dst, h.Hop)
	dst = binary.LittleEndian.AppendUint16(dst, h.Timings)
	dst = binary.LittleEndian.AppendUint32(dst, h.Rows)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Code))
	dst = binary.LittleEndian.AppendUint64(dst, h.Position)
	dst = binary.LittleEndian.AppendUint64(dst, h.Done)
	return binary.LittleEndian.AppendUint64(dst, h.Want)
}

// parse reads a header of HeaderBytes bytes and checks every field's bounds.
func (h *Header) parse(b []byte) error {
	if b[0] != 'Z' || b[1] != 'G' {
		return fmt.Errorf("%w: magic %x", ErrFrame, b[:2])
	}
	if b[2] != version {
		return fmt.Errorf("%w: version %d, this node speaks %d", ErrFrame, b[2], version)
	}
	*h = Header{
		Kind:     Kind(b[3]),
		Payload:  binary.LittleEndian.Uint32(b[4:]),
		Session:  SessionID(b[8:24]),
		Epoch:    binary.LittleEndian.Uint32(b[24:]),
		Hop:      binary.LittleEndian.Uint16(b[28:]),
		Timings:  binary.LittleEndian.Uint16(b[30:]),
		Rows:     binary.LittleEndian.Uint32(b[32:]),
		Code:     Code(binary.LittleEndian.Uint32(b[36:])),
		Position: binary.LittleEndian.Uint64(b[40:]),
		Done:     binary.LittleEndian.Uint64(b[48:]),
		Want:     binary.LittleEndian.Uint64(b[56:]),
	}
	return h.check()
}

func (h *Header) check() error {
	switch {
	case h.Kind == 0 || h.Kind >= kindEnd:
		return fmt.Errorf("%w: kind %d", ErrFrame, h.Kind)
	case h.Session == SessionID{}:
		return fmt.Errorf("%w: no session", ErrFrame)
	case h.Epoch == 0:
		return fmt.Errorf("%w: no epoch", ErrFrame)
	case h.Payload > PayloadBytes:
		return fmt.Errorf("%w: payload of %d bytes, limit %d", ErrTooLarge, h.Payload, PayloadBytes)
	case h.Hop > HopsPerChain:
		return fmt.Errorf("%w: hop %d, limit %d", ErrTooLarge, h.Hop, HopsPerChain)
	case (h.Code != 0) != (h.Kind == KindRefused):
		return fmt.Errorf("%w: code %d in a frame of kind %d", ErrFrame, h.Code, h.Kind)
	case (h.Kind == KindOpen || h.Kind == KindRefused) && h.Payload > openBytes:
		return fmt.Errorf("%w: %d bytes in a frame of kind %d, limit %d", ErrTooLarge, h.Payload, h.Kind, openBytes)
	case h.Kind == KindRows:
		return h.checkRows()
	}
	// What only a Rows frame has is refused elsewhere, so that a frame has one
	// encoding.
	if h.Rows != 0 || h.Position != 0 || h.Done != 0 || h.Want != 0 || h.Timings != 0 {
		return fmt.Errorf("%w: rows in a frame of kind %d", ErrFrame, h.Kind)
	}
	if (h.Kind == KindOpened || h.Kind == KindAttach) && h.Payload != 0 {
		return fmt.Errorf("%w: payload in a frame of kind %d", ErrFrame, h.Kind)
	}
	return nil
}

func (h *Header) checkRows() error {
	switch {
	case h.Rows == 0:
		return fmt.Errorf("%w: no rows", ErrFrame)
	case h.Rows > RowsPerFrame:
		return fmt.Errorf("%w: %d rows, limit %d", ErrTooLarge, h.Rows, RowsPerFrame)
	case h.Position > Position || h.Want > Position:
		return fmt.Errorf("%w: position %d, want %d, limit %d", ErrTooLarge, h.Position, h.Want, uint64(Position))
	case h.Done > h.Position:
		return fmt.Errorf("%w: done %d is past position %d", ErrFrame, h.Done, h.Position)
	case h.Timings > HopsPerChain:
		return fmt.Errorf("%w: %d timings, limit %d", ErrTooLarge, h.Timings, HopsPerChain)
	}
	return nil
}

// Frame is a header and its payload.
type Frame struct {
	Header
	Body []byte
}

// Append writes f's encoding behind dst and sets Header.Payload.
func (f *Frame) Append(dst []byte) []byte {
	f.Payload = uint32(len(f.Body))
	return append(f.Header.Append(dst), f.Body...)
}

// Read reads the next frame of r into f, whose Body is reused when it is large
// enough; then Read allocates nothing. It returns io.EOF only where a frame could
// have begun; a frame cut short is io.ErrUnexpectedEOF. Other errors: ErrFrame,
// ErrTooLarge. After an error f holds nothing of use.
func (f *Frame) Read(r io.Reader) error {
	// The header passes through Body: an array here would move to the heap,
	// since r may keep it.
	f.resize(HeaderBytes)
	if _, err := io.ReadFull(r, f.Body); err != nil {
		return err
	}
	if err := f.parse(f.Body); err != nil {
		return err
	}
	f.resize(int(f.Payload))
	if _, err := io.ReadFull(r, f.Body); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

func (f *Frame) resize(n int) {
	if cap(f.Body) < n {
		f.Body = make([]byte, n)
	}
	f.Body = f.Body[:n]
}
