package vector

import "unsafe"

// portableColumns is the columns of a panel of the portable set.
const portableColumns = 16

// portable is the set in Go, for any machine.
func portable() *Set {
	return &Set{
		Name: "portable", columns: portableColumns,
		tiles: []tile{{1, portableTile}},
	}
}

// portableTile is a [tileFunc] of one row.
func portableTile(c *float32, _ uintptr, a *float32, _, aTerm uintptr, b *float32, terms int, add bool) {
	var sum [portableColumns]float32
	step := int(aTerm / floatBytes)
	left := unsafe.Slice(a, (terms-1)*step+1)
	right := unsafe.Slice(b, terms*portableColumns)
	for k := range terms {
		v := left[k*step]
		row := (*[portableColumns]float32)(right[k*portableColumns:])
		for j := range sum {
			sum[j] += v * row[j]
		}
	}
	to := (*[portableColumns]float32)(unsafe.Slice(c, portableColumns))
	for j := range sum {
		if add {
			sum[j] += to[j]
		}
		to[j] = sum[j]
	}
}
