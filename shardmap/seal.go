package shardmap

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
)

// A sealed claim is, with integers big-endian:
//
//	offset  bytes  field
//	0       1      version, 1
//	1       32     public key
//	33      8      incarnation
//	41      8      sequence
//	49      1      state
//	50      4      block microseconds
//	54      2      free slots
//	56      2      arithmetic version
//	58      64     Souls filter
//	122     4      lease, milliseconds
//	126     1      g, bytes of the Genome CID
//	127     g      Genome CID
//	127+g   1      r, ranges
//	128+g   8r     lo, hi of each range
//	128+g+8r  64   Ed25519 signature of sealDomain and everything before it
const (
	sealVersion = 1
	sealFixed   = 128
	sealDomain  = "zetagrid/shardmap/claim/1\x00"
)

// Seal encodes c and signs it with key, which must be the key inside c.Node. The
// result is at most ClaimBytes long. It fails with ErrClaim when Open would.
func (c Claim) Seal(key ed25519.PrivateKey) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if len(key) != ed25519.PrivateKeySize || NodeOf(ed25519.PublicKey(key[32:])) != c.Node {
		return nil, fmt.Errorf("%w: the key is not that of node %v", ErrClaim, c.Node)
	}
	body := c.encode()
	return append(body, ed25519.Sign(key, signed(body))...), nil
}

// Open decodes a sealed claim and checks its bounds, that it is written the one
// way Seal writes it, and its signature by the key inside Node. It keeps nothing
// of sealed. All errors wrap ErrClaim.
func Open(sealed []byte) (Claim, error) {
	if len(sealed) > ClaimBytes {
		return Claim{}, fmt.Errorf("%w: %d bytes, at most %d", ErrClaim, len(sealed), ClaimBytes)
	}
	if len(sealed) < sealFixed+ed25519.SignatureSize {
		return Claim{}, fmt.Errorf("%w: cut short at %d bytes", ErrClaim, len(sealed))
	}
	body := sealed[:len(sealed)-ed25519.SignatureSize]
	c, err := decode(body)
	if err != nil {
		return Claim{}, err
	}
	key, err := c.Node.PublicKey()
	if err != nil {
		return Claim{}, err
	}
	if !ed25519.Verify(key, signed(body), sealed[len(body):]) {
		return Claim{}, fmt.Errorf("%w: the signature is not node %v's", ErrClaim, c.Node)
	}
	return c, nil
}

// signed is what the signature covers. The domain keeps a signature made for
// another purpose with the same key from passing as a claim.
func signed(body []byte) []byte { return append([]byte(sealDomain), body...) }

func (c *Claim) encode() []byte {
	b := make([]byte, 0, sealFixed+len(c.Genome)+8*len(c.Ranges)+ed25519.SignatureSize)
	b = append(b, sealVersion)
	b = append(b, c.Node[len(identityPrefix):]...)
	b = binary.BigEndian.AppendUint64(b, c.Incarnation)
	b = binary.BigEndian.AppendUint64(b, c.Sequence)
	b = append(b, byte(c.State))
	b = binary.BigEndian.AppendUint32(b, c.BlockMicros)
	b = binary.BigEndian.AppendUint16(b, c.FreeSlots)
	b = binary.BigEndian.AppendUint16(b, c.Arithmetic)
	b = append(b, c.Souls[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Lease))
	b = append(b, byte(len(c.Genome)))
	b = append(b, c.Genome...)
	b = append(b, byte(len(c.Ranges)))
	for _, r := range c.Ranges {
		b = binary.BigEndian.AppendUint32(b, uint32(r.Lo))
		b = binary.BigEndian.AppendUint32(b, uint32(r.Hi))
	}
	return b
}

// decode reads what encode wrote. body has at least sealFixed bytes. Every field
// has a fixed place and one way to be written, so accepted bytes are canonical.
func decode(body []byte) (Claim, error) {
	if body[0] != sealVersion {
		return Claim{}, fmt.Errorf("%w: version %d, want %d", ErrClaim, body[0], sealVersion)
	}
	genome := int(body[126])
	if genome > GenomeBytes || len(body) < sealFixed+genome {
		return Claim{}, fmt.Errorf("%w: genome CID of %d bytes in %d", ErrClaim, genome, len(body))
	}
	ranges := int(body[127+genome])
	if ranges > ClaimRanges || len(body) != sealFixed+genome+8*ranges {
		return Claim{}, fmt.Errorf("%w: %d ranges in %d bytes", ErrClaim, ranges, len(body))
	}
	c := Claim{
		Node:        NodeOf(ed25519.PublicKey(body[1:33])),
		Genome:      string(body[127 : 127+genome]),
		Incarnation: binary.BigEndian.Uint64(body[33:]),
		Sequence:    binary.BigEndian.Uint64(body[41:]),
		State:       State(body[49]),
		BlockMicros: binary.BigEndian.Uint32(body[50:]),
		FreeSlots:   binary.BigEndian.Uint16(body[54:]),
		Arithmetic:  binary.BigEndian.Uint16(body[56:]),
		Souls:       [64]byte(body[58:122]),
		Lease:       Millis(binary.BigEndian.Uint32(body[122:])),
	}
	for i := range ranges {
		at := body[sealFixed+genome+8*i:]
		c.Ranges = append(c.Ranges, Range{int(binary.BigEndian.Uint32(at)), int(binary.BigEndian.Uint32(at[4:]))})
	}
	return c, c.check()
}
