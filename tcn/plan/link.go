package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/tcn"
)

// Link is what lies between the GPUs of a chain.
type Link struct {
	Bits float64 `json:"bits_per_second"`
	RTT  float64 `json:"rtt_seconds"` // there and back
}

// DefaultLink is a rack's: 100 Gb/s, 50 µs.
var DefaultLink = Link{Bits: 100e9, RTT: 50e-6}

// Bounds of a link: a modem's to a switch's of the day after tomorrow; a round
// trip of at most the distance of the moon, and then some.
const (
	minLinkBits, maxLinkBits = 1e3, 1e14
	maxRTT                   = 10
)

func (l Link) validate() error {
	if !(l.Bits >= minLinkBits && l.Bits <= maxLinkBits) {
		return fmt.Errorf("%w: a link of %g bits a second is not in %g…%g", ErrArgument, l.Bits, minLinkBits, maxLinkBits)
	}
	if !(l.RTT >= 0 && l.RTT <= maxRTT) {
		return fmt.Errorf("%w: a round trip of %g s is not in 0…%d", ErrArgument, l.RTT, maxRTT)
	}
	return nil
}

// ParseBits reads a rate such as 100Gb, 1Gb or 20Mb, in bits a second. Errors:
// [ErrArgument].
func ParseBits(text string) (float64, error) {
	number, unit := strings.TrimSuffix(strings.TrimSuffix(text, "/s"), "b"), 1.0
	for suffix, times := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} {
		if cut, found := strings.CutSuffix(number, suffix); found {
			number, unit = cut, times
			break
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	rate := Link{Bits: value * unit}
	if err != nil || rate.validate() != nil {
		return 0, fmt.Errorf("%w: %s is no rate of a link such as 100Gb or 20Mb", ErrArgument, clip(text))
	}
	return rate.Bits, nil
}

// HopBytes is what a hop sends on for one byte of text: a row and a header.
func HopBytes(c tcn.Config) int64 {
	size := int64(4)
	if c.Boundary == tcn.BF16 {
		size = 2
	}
	return FrameHeaderBytes + size*int64(c.DModel)
}

// hopSeconds is the time of one hop of so many rows in one frame.
func (r *rack) hopSeconds(rows int) float64 {
	return r.link.RTT/2 + r.link.wireSeconds(r.s.config, rows) + cmp.Or(r.s.measured.Hop, HopSeconds)
}

// wireSeconds is how long a frame of so many rows occupies the link.
func (l Link) wireSeconds(c tcn.Config, rows int) float64 {
	bytes := FrameHeaderBytes + int64(rows)*(HopBytes(c)-FrameHeaderBytes)
	return 8 * float64(bytes) / l.Bits
}
