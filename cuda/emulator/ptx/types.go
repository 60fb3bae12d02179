package ptx

// Type is what an instruction takes the bits of an operand for.
type Type uint8

// The types. B is bits, U unsigned, S signed, F floating point.
const (
	NoType Type = iota
	Pred
	B8
	B16
	B32
	B64
	U8
	U16
	U32
	U64
	S8
	S16
	S32
	S64
	F16
	BF16
	F32
	F64
)

var typeNames = [...]string{"", "pred", "b8", "b16", "b32", "b64", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f16", "bf16", "f32", "f64"}

var typeBits = [...]int{0, 1, 8, 16, 32, 64, 8, 16, 32, 64, 8, 16, 32, 64, 16, 16, 32, 64}

// TypeNamed is the type of a name; NoType if there is none.
func TypeNamed(name string) Type {
	for t, n := range typeNames {
		if n == name && n != "" {
			return Type(t)
		}
	}
	return NoType
}

func (t Type) String() string { return typeNames[t] }

// Bits is how many bits a value of t has.
func (t Type) Bits() int { return typeBits[t] }

// Bytes is how much memory a value of t takes; 0 for a predicate.
func (t Type) Bytes() int { return typeBits[t] / 8 }

// Signed reports whether t is a signed integer.
func (t Type) Signed() bool { return t >= S8 && t <= S64 }

// Float reports whether t is a floating-point number.
func (t Type) Float() bool { return t >= F16 }
