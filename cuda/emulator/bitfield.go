package emulator

import "github.com/zetagrid/zetagrid/cuda/emulator/ptx"

// funnel is shf: 32 bits out of the 64 of b:a.
func funnel(left, clamp bool) lane {
	return func(a, b, c uint64) uint64 {
		both, n := b<<32|a, uint64(uint32(c))
		if clamp {
			n = min(n, 32)
		} else {
			n &= 31
		}
		if left {
			return both << n >> 32
		}
		return uint64(uint32(both >> n))
	}
}

// permute is prmt in its default mode.
func permute(a, b, c uint64) uint64 {
	from := b<<32 | a
	var out uint64
	for i := range 4 {
		selector := c >> (4 * i) & 0xf
		v := from >> (8 * (selector & 7)) & 0xff
		if selector&8 != 0 {
			v = uint64(uint8(int8(v) >> 7))
		}
		out |= v << (8 * i)
	}
	return out
}

// permuteMode is prmt in one of its other modes; nil if there is no such mode.
func permuteMode(mode string) lane {
	var selectors [4]uint64
	switch mode {
	case "f4e":
		selectors = [4]uint64{0x3210, 0x4321, 0x5432, 0x6543}
	case "b4e":
		selectors = [4]uint64{0x5670, 0x6701, 0x7012, 0x0123}
	case "rc8":
		selectors = [4]uint64{0x0000, 0x1111, 0x2222, 0x3333}
	case "ecl":
		selectors = [4]uint64{0x3210, 0x3211, 0x3222, 0x3333}
	case "ecr":
		selectors = [4]uint64{0x0000, 0x1110, 0x2210, 0x3210}
	case "rc16":
		selectors = [4]uint64{0x1010, 0x3232, 0x1010, 0x3232}
	default:
		return nil
	}
	return func(a, b, c uint64) uint64 { return permute(a, b, selectors[c&3]) }
}

// logic3 is lop3 of a table.
func logic3(table uint64) lane {
	return func(a, b, c uint64) uint64 {
		var out uint64
		for i := range 8 {
			if table>>i&1 == 0 {
				continue
			}
			x, y, z := a, b, c
			if i&4 == 0 {
				x = ^x
			}
			if i&2 == 0 {
				y = ^y
			}
			if i&1 == 0 {
				z = ^z
			}
			out |= x & y & z
		}
		return out & 0xffffffff
	}
}

// extract is bfe: c bits of a from bit b on. The length is the third operand.
func extract(t ptx.Type) lane {
	n, isSigned := uint64(t.Bits()), t.Signed()
	return func(a, b, c uint64) uint64 {
		from, length := b&0xff, c&0xff
		if length == 0 {
			return 0
		}
		sign := uint64(0)
		if isSigned {
			sign = a >> min(from+length-1, n-1) & 1
		}
		var out uint64
		for i := range n {
			bit := sign
			if i < length && from+i < n {
				bit = a >> (from + i) & 1
			}
			out |= bit << i
		}
		return out
	}
}

// insert is bfi: b with c's field (position in the low byte, length in the next)
// taken from a.
func insert(a, b, position, length, n uint64) uint64 {
	position, length = position&0xff, length&0xff
	if position >= n || length == 0 {
		return b
	}
	field := maskOf(int(min(length, n-position))) << position
	return b&^field | a<<position&field
}

// dot4 is dp4a: c plus the products of four bytes.
func dot4(a, b ptx.Type) lane {
	return func(x, y, c uint64) uint64 {
		sum := uint32(c)
		for i := range 4 {
			sum += uint32(byteOf(x, i, a.Signed()) * byteOf(y, i, b.Signed()))
		}
		return uint64(sum)
	}
}

// byteOf is byte i of v as an integer.
func byteOf(v uint64, i int, isSigned bool) int32 {
	b := uint8(v >> (8 * i))
	if isSigned {
		return int32(int8(b))
	}
	return int32(b)
}
