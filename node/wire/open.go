package wire

import (
	"encoding/binary"
	"fmt"
)

// Open is the payload of a KindOpen frame: what the gateway tells a hop.
type Open struct {
	Model    []byte // CID bytes of the Model
	Soul     []byte // CID bytes of the Soul; empty is none
	Lo, Hi   uint32 // blocks [Lo, Hi) of this hop
	NextHi   uint32 // end of the next hop's blocks [Hi, NextHi), whose history this hop keeps; Hi for the last
	Hops     uint16 // length of the chain
	Window   uint32 // rows in flight at most, 1 to RowsInFlight
	Start    uint64 // position of the first row
	Previous []byte // peer that sends rows
	Next     []byte // peer that gets them: the next hop, or the gateway
}

// Append writes o's encoding behind dst.
func (o *Open) Append(dst []byte) []byte {
	dst = appendBytes(dst, o.Model)
	dst = appendBytes(dst, o.Soul)
	dst = binary.LittleEndian.AppendUint32(dst, o.Lo)
	dst = binary.LittleEndian.AppendUint32(dst, o.Hi)
	dst = binary.LittleEndian.AppendUint32(dst, o.NextHi)
	dst = binary.LittleEndian.AppendUint16(dst, o.Hops)
	dst = binary.LittleEndian.AppendUint32(dst, o.Window)
	dst = binary.LittleEndian.AppendUint64(dst, o.Start)
	dst = appendBytes(dst, o.Previous)
	return appendBytes(dst, o.Next)
}

func appendBytes(dst, b []byte) []byte {
	return append(append(dst, byte(len(b))), b...)
}

// ParseOpen reads an Open and checks every field's bounds. The slices point
// into b. Errors: ErrFrame, ErrTooLarge.
func ParseOpen(b []byte) (Open, error) {
	d := decoder{rest: b}
	o := Open{
		Model:    d.bytes("model", CIDBytes),
		Soul:     d.bytes("soul", CIDBytes),
		Lo:       d.u32(),
		Hi:       d.u32(),
		NextHi:   d.u32(),
		Hops:     d.u16(),
		Window:   d.u32(),
		Start:    d.u64(),
		Previous: d.bytes("previous", peerBytes),
		Next:     d.bytes("next", peerBytes),
	}
	if d.err == nil && len(d.rest) != 0 {
		d.fail(fmt.Errorf("%w: %d bytes behind an open", ErrFrame, len(d.rest)))
	}
	if d.err != nil {
		return Open{}, d.err
	}
	return o, o.check()
}

func (o *Open) check() error {
	switch {
	case len(o.Model) == 0:
		return fmt.Errorf("%w: open names no model", ErrFrame)
	case len(o.Previous) == 0 || len(o.Next) == 0:
		return fmt.Errorf("%w: open names no previous or no next peer", ErrFrame)
	case o.Lo >= o.Hi || o.NextHi < o.Hi:
		return fmt.Errorf("%w: open of blocks %d-%d before %d", ErrFrame, o.Lo, o.Hi, o.NextHi)
	case o.Hops == 0 || o.Hops > HopsPerChain:
		return fmt.Errorf("%w: chain of %d hops, limit %d", ErrTooLarge, o.Hops, HopsPerChain)
	case o.Window == 0 || o.Window > RowsInFlight:
		return fmt.Errorf("%w: window of %d rows, limit %d", ErrTooLarge, o.Window, RowsInFlight)
	case o.Start > Position:
		return fmt.Errorf("%w: start at %d, limit %d", ErrTooLarge, o.Start, uint64(Position))
	}
	return nil
}

// decoder reads fields off the front of a payload and keeps the first error.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

func (d *decoder) take(n int) []byte {
	if len(d.rest) < n {
		d.fail(fmt.Errorf("%w: open cut short", ErrFrame))
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u16() uint16 { return binary.LittleEndian.Uint16(d.take(2)) }
func (d *decoder) u32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }

func (d *decoder) bytes(what string, limit int) []byte {
	n := int(d.take(1)[0])
	if n > limit {
		d.fail(fmt.Errorf("%w: %s of %d bytes, limit %d", ErrTooLarge, what, n, limit))
		return nil
	}
	return d.take(n)
}
