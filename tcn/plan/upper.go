package plan

import "fmt"

// Constants of the scaling report's tables.
const (
	// KVBytesPerToken is the state that the report sets aside for each byte of
	// context, as if it were a transformer's cache. (Its formula, 36 layers of 8
	// heads of 64 keys and values of 2 bytes, gives 73,728 bytes, 72 KiB; its sizes
	// are those of 72,000.) RTH-LM's own state does not grow; see [Needs].
	KVBytesPerToken = 72_000
	// OverheadLow and OverheadHigh are what the report adds for all else.
	OverheadLow, OverheadHigh = 6_000_000_000, 12_000_000_000
)

// Span is a range of bytes from a low to a high estimate, both included.
type Span struct {
	Low  int64 `json:"low"`
	High int64 `json:"high"`
}

// Contexts are the lengths at which the report gives the state.
var Contexts = []int64{8_192, 32_768, 131_072}

// StateAt is the report's state at a length of context.
type StateAt struct {
	Context int64 `json:"context"` // tokens, that is bytes of text
	Bytes   int64 `json:"bytes"`
}

// Bound is the report's upper bound on the memory of a model, in bytes.
type Bound struct {
	Parameters int64     `json:"parameters"`
	Bits       int       `json:"bits"`
	Raw        int64     `json:"raw_bytes"`
	Effective  Span      `json:"effective_bytes"` // with scales and padding: 1 to 1.2 times raw
	States     []StateAt `json:"states"`          // at Contexts
	State      StateAt   `json:"state"`           // at the context asked for
	Overhead   Span      `json:"overhead_bytes"`
	Total      Span      `json:"total_bytes"` // each rounded up to 0.1 GB
	GPU        GPU       `json:"gpu"`
	FitsOne    bool      `json:"fits_one"`   // Total.High in one GPU
	Left       int64     `json:"left_bytes"` // of one GPU; negative: missing
	Count      GPUCount  `json:"gpus"`
}

// GPUCount is how many GPUs the report says a model takes. 0 means that no
// number is enough: overhead and one session's state alone fill a GPU.
type GPUCount struct {
	Least          int64 `json:"least"`           // that hold the effective weights (high)
	Baseline       int64 `json:"baseline"`        // that also carry overhead and a session's state each
	ProductionLow  int64 `json:"production_low"`  // a third more
	ProductionHigh int64 `json:"production_high"` // half more
}

// Upper is the report's bound for a number of parameters of so many bits, one
// session of so many bytes of context, and a kind of GPU. Errors: [ErrArgument].
func Upper(parameters int64, bits int, context int64, gpu GPU) (Bound, error) {
	switch {
	case parameters < 1 || parameters > MaxParameters:
		return Bound{}, fmt.Errorf("%w: %d parameters are not in 1…%d", ErrArgument, parameters, int64(MaxParameters))
	case bits < 1 || bits > MaxBits:
		return Bound{}, fmt.Errorf("%w: %d bits a weight are not in 1…%d", ErrArgument, bits, MaxBits)
	case context < 1 || context > MaxContext:
		return Bound{}, fmt.Errorf("%w: a context of %d is not in 1…%d", ErrArgument, context, int64(MaxContext))
	}
	if err := gpu.validate(); err != nil {
		return Bound{}, err
	}
	b := Bound{
		Parameters: parameters, Bits: bits, GPU: gpu,
		Raw:      ceil(parameters*int64(bits), 8),
		State:    StateAt{context, context * KVBytesPerToken},
		Overhead: Span{OverheadLow, OverheadHigh},
	}
	b.Effective = Span{b.Raw, ceil(b.Raw*6, 5)}
	for _, tokens := range Contexts {
		b.States = append(b.States, StateAt{tokens, tokens * KVBytesPerToken})
	}
	b.Total = Span{
		tenthUp(b.Effective.Low + b.State.Bytes + b.Overhead.Low),
		tenthUp(b.Effective.High + b.State.Bytes + b.Overhead.High),
	}
	b.FitsOne, b.Left = b.Total.High <= gpu.Memory, gpu.Memory-b.Total.High
	b.Count.Least = ceil(b.Effective.High, gpu.Memory)
	if room := gpu.Memory - b.Overhead.High - b.State.Bytes; room > 0 {
		n := ceil(b.Effective.High, room)
		b.Count.Baseline, b.Count.ProductionLow, b.Count.ProductionHigh = n, ceil(4*n, 3), ceil(3*n, 2)
	}
	return b, nil
}

// ceil is a/b rounded up; a is not negative, b is positive.
func ceil(a, b int64) int64 { return (a + b - 1) / b }

// tenthUp rounds up to a whole 0.1 GB.
func tenthUp(bytes int64) int64 {
	const tenth = 100_000_000
	return ceil(bytes, tenth) * tenth
}
