package rack

// apportion cuts blocks into consecutive parts, one per device, and returns how
// many each gets; they may be 0. No other cut has a lower fill of the fullest
// device: bytes of its blocks in proportion to its memory. Among those cuts every
// device gets its share of the whole, as nearly as blocks go.
//
//	bytes [blocks], each at least 0   memory [devices], each at least 1
func apportion(bytes, memory []int64) []int {
	// The fill of the fullest device is some device's. Between a fill that does
	// and one that does not, halving ends at two neighbouring numbers.
	most, total := 0.0, 0.0
	for _, b := range bytes {
		total += float64(b)
	}
	for _, m := range memory {
		most = max(most, 2*total/float64(m)) // fits, everything on that device
	}
	const halvings = 64
	low := 0.0
	for range halvings {
		if middle := low + (most-low)/2; fits(bytes, memory, middle) {
			most = middle
		} else {
			low = middle
		}
	}
	return share(bytes, memory, most)
}

// room is how many bytes a device may take at a fill.
func room(memory int64, fill float64) float64 { return float64(memory) * fill }

// fits reports whether the blocks can be cut so that no device is fuller. To give
// each device all it can take is then one way.
func fits(bytes, memory []int64, fill float64) bool {
	at := 0
	for _, m := range memory {
		for left := room(m, fill); at < len(bytes) && float64(bytes[at]) <= left; at++ {
			left -= float64(bytes[at])
		}
	}
	return at == len(bytes)
}

// share cuts at a fill that fits. A device stops at its share of the whole if the
// devices after it can hold the rest.
func share(bytes, memory []int64, fill float64) []int {
	var total, capacity float64
	for _, b := range bytes {
		total += float64(b)
	}
	for _, m := range memory {
		capacity += float64(m)
	}
	counts := make([]int, len(memory))
	at := 0
	var taken, before float64 // bytes of blocks; memory of devices
	for d, m := range memory {
		before += float64(m)
		due := total * (before / capacity)
		for left := room(m, fill); at < len(bytes) && float64(bytes[at]) <= left; at++ {
			next := float64(bytes[at])
			if taken+next/2 > due && fits(bytes[at:], memory[d+1:], fill) {
				break // more of the block lies past the share than within
			}
			left, taken = left-next, taken+next
			counts[d]++
		}
	}
	return counts
}
