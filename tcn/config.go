package tcn

// Cell names the order of operations in a layer.
type Cell string

const (
	// CellRelease is the published inference code: norm, W_in, conv, gate, W_out.
	CellRelease Cell = "release"
	// CellPaper is §3.2 of the paper: conv, W, gate, W_o, norm after the residual.
	CellPaper Cell = "paper"
)

// Number names how numbers are rounded at a seam of the model.
type Number string

const (
	F32  Number = "f32"
	BF16 Number = "bf16"
)

// Weights names how a Genome's matrices are stored. It is part of the arithmetic:
// products with quantized matrices follow rules of their own.
type Weights string

const (
	// WeightsF32 is float32 numbers. A complete config says it by leaving the
	// field empty, so that a Genome has one encoding.
	WeightsF32 Weights = "f32"
	// WeightsQ2 is the 2-bit form of package quant.
	WeightsQ2 Weights = "q2"
)

// Config is the blueprint of the network; every size derives from it. It is the
// "config" of a Genome manifest, field for field.
type Config struct {
	Cell           Cell    `json:"cell"`
	VocabSize      int     `json:"vocab_size"` // always 256: a token is a byte
	DModel         int     `json:"d_model"`    // d, width of the residual stream
	DFF            int     `json:"d_ff"`       // f, width of the gate
	Layers         int     `json:"n_layers"`
	LayersPerBlock int     `json:"layers_per_block"` // 0 in an input config: one dilation cycle
	KernelSize     int     `json:"kernel_size"`      // K, taps of the convolution
	Dilations      []int   `json:"dilations"`        // layer i has Dilations[i mod len]
	MaxPositions   int     `json:"max_positions"`    // learned positions; 0: none, text is unbounded
	RMSEps         float32 `json:"rms_eps"`
	State          Number  `json:"state"`    // rounding of conv inputs; "" in an input config: f32
	Boundary       Number  `json:"boundary"` // rounding at block boundaries; "" in an input config: f32

	// Weights is how the matrices are stored: "" for float32, or WeightsQ2. In
	// an input config WeightsF32 is the same as "".
	Weights Weights `json:"weights,omitempty"`
}

// Range is a half-open range of Fractal Blocks [Lo, Hi).
type Range struct {
	Lo int `json:"lo"`
	Hi int `json:"hi"`
}

// Len is the number of blocks in r.
func (r Range) Len() int { return r.Hi - r.Lo }

// Contains reports whether all of s lies in r.
func (r Range) Contains(s Range) bool { return r.Lo <= s.Lo && s.Hi <= r.Hi }
