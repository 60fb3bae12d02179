package emulator

// bitmap is one bit for every byte that has been written.
type bitmap []uint64

func newBitmap(bytes int) bitmap { return make(bitmap, (bytes+63)/64) }

// has reports whether n bytes from at on are set: at most 64, not across a
// multiple of 64.
func (m bitmap) has(at, n uint64) bool {
	mask := maskOf(int(n)) << (at & 63)
	return m[at>>6]&mask == mask
}

// set sets n bytes from at on.
func (m bitmap) set(at, n uint64) {
	for n > 0 {
		k := min(n, 64-at&63)
		m[at>>6] |= maskOf(int(k)) << (at & 63)
		at, n = at+k, n-k
	}
}

// copy makes n bytes from at on what other has from from on. The two may overlap.
func (m bitmap) copy(at uint64, other bitmap, from, n uint64) {
	bits := make([]bool, n)
	for k := range bits {
		bits[k] = other[(from+uint64(k))>>6]>>((from+uint64(k))&63)&1 != 0
	}
	for k, set := range bits {
		bit := uint64(1) << ((at + uint64(k)) & 63)
		if m[(at+uint64(k))>>6] &^= bit; set {
			m[(at+uint64(k))>>6] |= bit
		}
	}
}
