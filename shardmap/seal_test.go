package shardmap

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
)

// fullClaim is a claim with every field at its limit.
func fullClaim(key ed25519.PrivateKey) Claim {
	c := Claim{
		Node: nodeOfKey(key), Genome: strings.Repeat("g", GenomeBytes), Incarnation: CounterMost, Sequence: CounterMost,
		State: Failed, BlockMicros: 1<<32 - 1, FreeSlots: 1<<16 - 1, Arithmetic: 1<<16 - 1, Lease: LeaseMost,
	}
	for i := range c.Souls {
		c.Souls[i] = byte(255 - i)
	}
	for i := range ClaimRanges {
		c.Ranges = append(c.Ranges, Range{BlocksMost - 2*ClaimRanges + 2*i + 1, BlocksMost - 2*ClaimRanges + 2*i + 2})
	}
	return c
}

func TestSealOpen(t *testing.T) {
	key := seedKey(7)
	small := claimOf(nodeOfKey(key), 1)
	small.Genome = "g"
	for _, c := range []Claim{small, claimOf(nodeOfKey(key), 9, Range{0, 1}, Range{2, 9}), fullClaim(key)} {
		sealed := seal(t, key, c)
		got, err := Open(sealed)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if !got.equal(&c) {
			t.Errorf("opened %+v, sealed %+v", got, c)
		}
		if len(sealed) > ClaimBytes {
			t.Errorf("%d bytes, at most %d", len(sealed), ClaimBytes)
		}
	}
	if n := len(seal(t, key, fullClaim(key))); n != 320 {
		t.Errorf("the largest claim has %d bytes, want 320 as limits.go says", n)
	}
}

// TestOpenRefusesEveryChange flips each bit, cuts at each byte and adds one.
func TestOpenRefusesEveryChange(t *testing.T) {
	key := seedKey(7)
	sealed := seal(t, key, claimOf(nodeOfKey(key), 9, Range{0, 1}, Range{2, 9}))
	refused := func(what string, b []byte) {
		t.Helper()
		if c, err := Open(b); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: opened %+v, error %v", what, c, err)
		}
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			refused("flipped", changed)
		}
		refused("cut", sealed[:i])
	}
	refused("longer", append(bytes.Clone(sealed), 0))
	refused("at the limit", append(bytes.Clone(sealed), make([]byte, ClaimBytes-len(sealed))...))
	refused("past the limit", append(bytes.Clone(sealed), make([]byte, ClaimBytes-len(sealed)+1)...))
	refused("empty", nil)
}

// TestClaimLimits breaks one rule at a time, one past each limit. Both Seal and
// Open (of bytes signed all the same) must refuse.
func TestClaimLimits(t *testing.T) {
	key := seedKey(7)
	for name, spoil := range map[string]func(*Claim){
		"genome empty":         func(c *Claim) { c.Genome = "" },
		"genome long":          func(c *Claim) { c.Genome += "g" },
		"incarnation zero":     func(c *Claim) { c.Incarnation = 0 },
		"incarnation past":     func(c *Claim) { c.Incarnation++ },
		"sequence zero":        func(c *Claim) { c.Sequence = 0 },
		"sequence past":        func(c *Claim) { c.Sequence++ },
		"state zero":           func(c *Claim) { c.State = 0 },
		"state past":           func(c *Claim) { c.State = Failed + 1 },
		"arithmetic zero":      func(c *Claim) { c.Arithmetic = 0 },
		"lease short":          func(c *Claim) { c.Lease = LeaseLeast - 1 },
		"lease long":           func(c *Claim) { c.Lease = LeaseMost + 1 },
		"ranges too many":      func(c *Claim) { c.Ranges = append([]Range{{0, 1}}, c.Ranges...) },
		"range empty":          func(c *Claim) { c.Ranges[0].Hi = c.Ranges[0].Lo },
		"range backwards":      func(c *Claim) { c.Ranges[0] = Range{9, 8} },
		"range past":           func(c *Claim) { c.Ranges[ClaimRanges-1].Hi++ },
		"ranges touch":         func(c *Claim) { c.Ranges = []Range{{0, 1}, {1, 2}} },
		"ranges overlap":       func(c *Claim) { c.Ranges = []Range{{0, 2}, {1, 3}} },
		"ranges out of order":  func(c *Claim) { slices.Reverse(c.Ranges) },
		"range below the zero": func(c *Claim) { c.Ranges[0].Lo = -1 },
	} {
		c := fullClaim(key)
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if _, err := c.Seal(key); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: Seal: %v", name, err)
		}
		body := c.encode()
		if _, err := Open(append(body, ed25519.Sign(key, signed(body))...)); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
}

func TestSealNeedsTheNodesKey(t *testing.T) {
	c := claimOf(nodeOfKey(seedKey(1)), 1)
	for name, key := range map[string]ed25519.PrivateKey{"other": seedKey(2), "none": nil, "short": seedKey(1)[:63]} {
		if _, err := c.Seal(key); !errors.Is(err, ErrClaim) {
			t.Errorf("%s key: %v", name, err)
		}
	}
	c.Node = "short"
	if _, err := c.Seal(seedKey(1)); !errors.Is(err, ErrClaim) {
		t.Errorf("node that is no peer ID: %v", err)
	}
}

// TestSignatureHasADomain: a signature of the bare bytes is none of a claim.
func TestSignatureHasADomain(t *testing.T) {
	key := seedKey(1)
	c := claimOf(nodeOfKey(key), 1)
	body := c.encode()
	if _, err := Open(append(body, ed25519.Sign(key, body)...)); !errors.Is(err, ErrClaim) {
		t.Errorf("opened a signature without the domain: %v", err)
	}
}

func TestNodeID(t *testing.T) {
	key := seedKey(3)
	n := nodeOfKey(key)
	if got, err := n.PublicKey(); err != nil || !got.Equal(key.Public()) {
		t.Errorf("key %x, %v", got, err)
	}
	for _, bad := range []NodeID{"", n[:37], n + "x", "\x12" + n[1:]} {
		if _, err := bad.PublicKey(); !errors.Is(err, ErrClaim) || bad.String() != "invalid" {
			t.Errorf("%q: %v", string(bad), err)
		}
	}
}

func TestNewLimits(t *testing.T) {
	good := Options{Self: node("a"), Genome: "g", Blocks: 1, Arithmetic: 1, Incarnation: 1}
	for name, o := range map[string]struct {
		spoil func(*Options)
		ok    bool
	}{
		"least":              {func(*Options) {}, true},
		"self":               {func(o *Options) { o.Self = "a" }, false},
		"genome empty":       {func(o *Options) { o.Genome = "" }, false},
		"genome at limit":    {func(o *Options) { o.Genome = strings.Repeat("g", GenomeBytes) }, true},
		"genome past":        {func(o *Options) { o.Genome = strings.Repeat("g", GenomeBytes+1) }, false},
		"blocks zero":        {func(o *Options) { o.Blocks = 0 }, false},
		"blocks at limit":    {func(o *Options) { o.Blocks = BlocksMost }, true},
		"blocks past":        {func(o *Options) { o.Blocks = BlocksMost + 1 }, false},
		"arithmetic zero":    {func(o *Options) { o.Arithmetic = 0 }, false},
		"incarnation zero":   {func(o *Options) { o.Incarnation = 0 }, false},
		"incarnation limit":  {func(o *Options) { o.Incarnation = CounterMost }, true},
		"incarnation past":   {func(o *Options) { o.Incarnation = CounterMost + 1 }, false},
		"nodes negative":     {func(o *Options) { o.MaxNodes = -1 }, false},
		"nodes at the limit": {func(o *Options) { o.MaxNodes = TableNodes }, true},
		"nodes past":         {func(o *Options) { o.MaxNodes = TableNodes + 1 }, false},
	} {
		options := good
		o.spoil(&options)
		if _, err := New(options); (err == nil) != o.ok || err != nil && !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
