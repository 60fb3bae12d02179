package emulator

import (
	"math/bits"
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// lane computes one lane of an instruction. Operands and result hold a value of n
// bits in the low n bits; the others are zero.
type lane func(a, b, c uint64) uint64

type unsigned interface {
	uint8 | uint16 | uint32 | uint64
}

type signed interface{ int8 | int16 | int32 | int64 }

// low puts a signed value where registers hold it.
func low[S signed](v S) uint64 {
	return uint64(v) & (1<<(8*unsafe.Sizeof(v)-1)<<1 - 1)
}

// integerLane is the lane of an instruction on integers or bits; nil if there is none.
func integerLane(name string, t ptx.Type) lane {
	switch t {
	case ptx.B16, ptx.U16, ptx.S16:
		return integerOf[uint16, int16](name, t.Signed())
	case ptx.B32, ptx.U32, ptx.S32:
		return integerOf[uint32, int32](name, t.Signed())
	case ptx.B64, ptx.U64, ptx.S64:
		return integerOf[uint64, int64](name, t.Signed())
	}
	return nil
}

func integerOf[U unsigned, S signed](name string, isSigned bool) lane {
	if isSigned {
		if f := signedOf[U, S](name); f != nil {
			return f
		}
	} else if f := unsignedOf[U](name); f != nil {
		return f
	}
	n := uint64(8 * unsafe.Sizeof(U(0)))
	switch name {
	case "add":
		return func(a, b, _ uint64) uint64 { return uint64(U(a + b)) }
	case "sub":
		return func(a, b, _ uint64) uint64 { return uint64(U(a - b)) }
	case "mul.lo":
		return func(a, b, _ uint64) uint64 { return uint64(U(a * b)) }
	case "mad.lo":
		return func(a, b, c uint64) uint64 { return uint64(U(a*b + c)) }
	case "mad.hi":
		hi := integerOf[U, S]("mul.hi", isSigned)
		return func(a, b, c uint64) uint64 { return uint64(U(hi(a, b, 0) + c)) }
	case "and":
		return func(a, b, _ uint64) uint64 { return a & b }
	case "or":
		return func(a, b, _ uint64) uint64 { return a | b }
	case "xor":
		return func(a, b, _ uint64) uint64 { return a ^ b }
	case "not":
		return func(a, _, _ uint64) uint64 { return uint64(^U(a)) }
	case "cnot":
		return func(a, _, _ uint64) uint64 {
			if a == 0 {
				return 1
			}
			return 0
		}
	case "shl":
		return func(a, b, _ uint64) uint64 { return uint64(U(a << min(uint64(uint32(b)), n))) }
	case "popc":
		return func(a, _, _ uint64) uint64 { return uint64(bits.OnesCount64(a)) }
	case "clz":
		return func(a, _, _ uint64) uint64 { return uint64(bits.LeadingZeros64(a)) - (64 - n) }
	case "brev":
		return func(a, _, _ uint64) uint64 { return bits.Reverse64(a) >> (64 - n) }
	case "mov":
		return func(a, _, _ uint64) uint64 { return uint64(U(a)) }
	}
	return nil
}

func unsignedOf[U unsigned](name string) lane {
	n := 8 * unsafe.Sizeof(U(0))
	switch name {
	case "mul.hi":
		return func(a, b, _ uint64) uint64 {
			hi, lo := bits.Mul64(a, b)
			if n == 64 {
				return hi
			}
			return lo >> n
		}
	case "mul.wide":
		return func(a, b, _ uint64) uint64 { return a * b }
	case "mad.wide":
		return func(a, b, c uint64) uint64 { return (a*b + c) & (1<<(2*n-1)<<1 - 1) }
	case "div":
		return func(a, b, _ uint64) uint64 {
			if b == 0 {
				return uint64(^U(0)) // as the hardware does; PTX leaves it open
			}
			return a / b
		}
	case "rem":
		return func(a, b, _ uint64) uint64 {
			if b == 0 {
				return a
			}
			return a % b
		}
	case "min":
		return func(a, b, _ uint64) uint64 { return min(a, b) }
	case "max":
		return func(a, b, _ uint64) uint64 { return max(a, b) }
	case "shr":
		return func(a, b, _ uint64) uint64 { return a >> uint32(b) }
	case "sad":
		return func(a, b, c uint64) uint64 { return uint64(U(max(a, b) - min(a, b) + c)) }
	case "bfind":
		return func(a, _, _ uint64) uint64 { return uint64(uint32(bits.Len64(a) - 1)) }
	case "bfind.shiftamt":
		return func(a, _, _ uint64) uint64 {
			if a == 0 {
				return 0xffffffff
			}
			return uint64(int(n) - bits.Len64(a))
		}
	}
	return nil
}

func signedOf[U unsigned, S signed](name string) lane {
	n := 8 * unsafe.Sizeof(S(0))
	switch name {
	case "mul.hi":
		return func(a, b, _ uint64) uint64 {
			if n == 64 {
				hi, _ := bits.Mul64(a, b)
				return hi - a>>63*b - b>>63*a
			}
			return low(S(int64(S(a)) * int64(S(b)) >> n))
		}
	case "mul.wide":
		return func(a, b, _ uint64) uint64 {
			return uint64(int64(S(a))*int64(S(b))) & (1<<(2*n-1)<<1 - 1)
		}
	case "mad.wide":
		return func(a, b, c uint64) uint64 {
			return (uint64(int64(S(a))*int64(S(b))) + c) & (1<<(2*n-1)<<1 - 1)
		}
	case "div":
		return func(a, b, _ uint64) uint64 {
			if b == 0 {
				return uint64(^U(0))
			}
			return low(S(a) / S(b))
		}
	case "rem":
		return func(a, b, _ uint64) uint64 {
			if b == 0 {
				return a
			}
			return low(S(a) % S(b))
		}
	case "min":
		return func(a, b, _ uint64) uint64 { return low(min(S(a), S(b))) }
	case "max":
		return func(a, b, _ uint64) uint64 { return low(max(S(a), S(b))) }
	case "shr":
		return func(a, b, _ uint64) uint64 { return low(S(a) >> uint32(b)) }
	case "abs":
		return func(a, _, _ uint64) uint64 { return low(max(S(a), -S(a))) }
	case "neg":
		return func(a, _, _ uint64) uint64 { return low(-S(a)) }
	case "sad":
		return func(a, b, c uint64) uint64 {
			x, y := S(a), S(b)
			return uint64(U(low(max(x, y)) - low(min(x, y)) + c))
		}
	case "bfind", "bfind.shiftamt":
		f := unsignedOf[U](name)
		return func(a, _, _ uint64) uint64 {
			if S(a) < 0 {
				a = uint64(^U(a))
			}
			return f(a, 0, 0)
		}
	}
	return nil
}
