package shardmap

import (
	"cmp"
	"fmt"
	"slices"
)

// The sets below are canonical: ascending ranges with a gap between any two.

// canonical sorts ranges and joins those that touch or overlap. The result does
// not share memory with ranges. It fails with ErrClaim when a range is empty or
// not within [0, blocks).
func canonical(ranges []Range, blocks int) ([]Range, error) {
	for _, r := range ranges {
		if r.Lo < 0 || r.Lo >= r.Hi || r.Hi > blocks {
			return nil, fmt.Errorf("%w: range %v is not within blocks 0-%d", ErrClaim, r, blocks)
		}
	}
	return join(slices.Clone(ranges)), nil
}

// normalize is canonical for ranges that must fit a claim.
func normalize(ranges []Range, blocks int) ([]Range, error) {
	set, err := canonical(ranges, blocks)
	if err != nil {
		return nil, err
	}
	return set, checkRanges(set, blocks)
}

// join makes the non-empty ranges canonical in place.
func join(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi)) })
	joined := ranges[:0]
	for _, r := range ranges {
		if last := len(joined) - 1; last >= 0 && r.Lo <= joined[last].Hi {
			joined[last].Hi = max(joined[last].Hi, r.Hi)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

func union(a, b []Range) []Range { return join(slices.Concat(a, b)) }

func intersect(a, b []Range) []Range {
	var both []Range
	for _, x := range a {
		for _, y := range b {
			if r := (Range{max(x.Lo, y.Lo), min(x.Hi, y.Hi)}); r.Lo < r.Hi {
				both = append(both, r)
			}
		}
	}
	return both
}

func subtract(a, b []Range) []Range {
	var left []Range
	for _, x := range a {
		for _, y := range b {
			if y.Hi <= x.Lo || y.Lo >= x.Hi {
				continue
			}
			if x.Lo < y.Lo {
				left = append(left, Range{x.Lo, y.Lo})
			}
			x.Lo = min(y.Hi, x.Hi)
		}
		if x.Lo < x.Hi {
			left = append(left, x)
		}
	}
	return left
}

// count adds one for each block of ranges to counts, which has room for them.
func count(counts []int, ranges []Range) {
	for _, r := range ranges {
		for b := r.Lo; b < r.Hi; b++ {
			counts[b]++
		}
	}
}

// gaps are the ranges of zeros in counts.
func gaps(counts []int) []Range {
	var holes []Range
	for b, n := range counts {
		switch last := len(holes) - 1; {
		case n != 0:
		case last >= 0 && holes[last].Hi == b:
			holes[last].Hi++
		default:
			holes = append(holes, Range{b, b + 1})
		}
	}
	return holes
}
