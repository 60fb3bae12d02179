// Package tcn is the model: RTH-LM, a language model over bytes without
// attention, made of gated causal dilated convolutions.
//
// Three structs hold it: [Config] is the blueprint, [Block] the frozen weights
// of one Fractal Block, and a [State] one sequence's memory. [Stage] is the seam
// for hardware: a range of Fractal Blocks loaded on one device.
//
// The package is pure. It has no network, file, clock or random number in it.
//
// # Laws
//
//  1. Chunks do not matter: stepping n rows at once yields the bits of n single
//     rows.
//  2. Batch mates do not matter: a sequence's rows do not depend on the other
//     Work of the same Step.
//  3. Splits do not matter: a chain of stages over any cut of the blocks yields
//     the bits of one stage over all of them.
//  4. Truncate(p), then going on, equals never having been past p.
//  5. HistoryRows(range) input rows rebuild the range's state to the bit.
//
// They hold for a sequence that keeps one Variant and whose input rows are
// finite and rounded to the boundary type, as [Ends.Embed] and Step leave them.
//
// # Limits
//
// limits.go bounds every size a config or a Soul can ask for. How many states
// fit, how long a text may grow and how many rows come at once are the caller's
// to bound; [Config.StateBytes] says what a state takes.
//
// # Reading order
//
// config.go and sizes.go, this file, ends.go, layer.go (the model itself),
// state.go and step.go (what makes it stream), sampling.go. seeded.go and
// selfcheck.go make small models to try a backend with.
package tcn

import "errors"

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrConfig: the blueprint is not one the package can build.
	ErrConfig = errors.New("tcn: bad config")
	// ErrShape: weights or rows do not have the size the config gives them.
	ErrShape = errors.New("tcn: wrong shape")
	// ErrRange: a block range is empty, reversed or outside what is loaded.
	ErrRange = errors.New("tcn: bad block range")
	// ErrPosition: rows do not begin where the state stands, or a truncation
	// asks for more rows than the ring keeps.
	ErrPosition = errors.New("tcn: bad position")
	// ErrNotFinite: rows or weights hold an infinity or not-a-number.
	ErrNotFinite = errors.New("tcn: number is not finite")
	// ErrTooLong: the text is longer than the model has positions for.
	ErrTooLong = errors.New("tcn: text longer than the model's positions")
	// ErrClosed: the stage or state was closed.
	ErrClosed = errors.New("tcn: closed")
	// ErrDevice: the device failed. What was loaded on it computes nothing any
	// more and can only be closed; a Backend opened anew may work again. The
	// backend of the CPU never returns it.
	ErrDevice = errors.New("tcn: device failed")
	// ErrNoRoom: the device has no memory left for what was asked. It goes on
	// with what it has.
	ErrNoRoom = errors.New("tcn: no room on the device")
)

// Block is the frozen weights of one Fractal Block; stored, it is a tile.
type Block struct {
	Layers []Layer // one per layer of the block, in order
}

// Layer is the frozen weights of one layer.
type Layer struct {
	In   Matrix    // W_in [2·d_ff, d_model]; release: a rows first, then g; paper: gate rows g first, then v
	Conv []float32 // [kernel_size, conv width], tap-major; tap kernel_size-1 is the present input
	Out  Matrix    // W_out [d_model, d_ff]
}

// Small is the small parameters of one Fractal Block. They belong to a Model,
// not to the Genome, so several Models may share one loaded stage.
type Small struct {
	Layers  []SmallLayer
	Routing float32 // r: 1 is the block itself F(x), 0 skips it, else x + r·(F(x) - x)
}

// SmallLayer is the small parameters of one layer.
type SmallLayer struct {
	NormGain []float32 // [d_model]
	Scale    float32   // of the residual; 1 in the paper cell
}

// SoulSlice is one Soul's adapter for one Fractal Block.
type SoulSlice struct {
	Layers []SoulLayer
}

// SoulLayer is the low-rank terms of one layer; a nil pair adds nothing.
type SoulLayer struct {
	InA, InB   Matrix // A_in [rank, d_model], B_in [2·d_ff, rank]
	OutA, OutB Matrix // A_out [rank, d_ff], B_out [d_model, rank]
}

// SoulTerm is one Soul of a weighted sum, over the blocks of a [Variant].
type SoulTerm struct {
	Weight float32
	Slices []*SoulSlice // one per block of the variant's range; nil adds nothing
}

// Variant is what a sequence adds to the frozen Genome over one block range:
// its Model's small parameters and the Souls it wears. Immutable; many
// sequences share one. A sequence keeps its Variant: what a state remembers was
// computed with it, and a block that its r = 0 skips remembers nothing.
type Variant struct {
	Range Range
	Small []*Small   // one per block of Range
	Souls []SoulTerm // added in list order
}

// Rows is consecutive rows of the residual stream of one sequence.
type Rows struct {
	Position int       // position of the first row in the text
	Count    int       // number of rows; at least 1
	Data     []float32 // [Count, d_model] row-major
}

// Backend loads stages on one kind of device.
type Backend interface {
	// Name says what computes, for people: "cpu/avx512".
	Name() string
	// Load readies blocks[i] as block r.Lo+i. The blocks' memory must stay
	// valid until Close. Errors: ErrConfig, ErrRange, ErrShape, ErrNoRoom,
	// ErrDevice.
	Load(c Config, r Range, blocks []*Block) (Stage, error)
}

// Memory is what a [Backend] with memory of its own also implements, so that who
// loads stages asks for no more than fits. Both amounts are of the whole device,
// whatever is loaded on it now; together they fit beside what Step needs.
type Memory interface {
	WeightBytes() int64 // of blocks, as [Block.Bytes] counts them
	StateBytes() int64  // of states and their input rows, as [Config.StateBytes] counts them
}

// Stage is a block range loaded on one device. One goroutine at a time calls
// Step (the device's executor); NewState may be called at any time. Close ends
// it once no Step runs: after it Step and NewState return ErrClosed.
type Stage interface {
	Config() Config
	Range() Range
	// NewState readies an empty state for a sub-range, whose first row will be
	// at position start. With start > 0 the outputs are right only from
	// start + HistoryRows(sub) on. Errors: ErrRange, ErrPosition, ErrNoRoom,
	// ErrDevice, ErrClosed.
	NewState(sub Range, start int) (State, error)
	// Step runs every Work's rows through its state's sub-range, in place, and
	// advances the states. What is wrong with one Work is put in its Err and
	// leaves the others alone. The returned error is ErrClosed, or wraps ErrDevice:
	// the device failed, what the Works hold means nothing, and the stage and its
	// states can only be closed.
	//
	// A state whose Work got an Err has not advanced. After ErrPosition,
	// ErrShape or an ErrNotFinite of the input rows it can go on; after an
	// ErrNotFinite that arose inside it refuses every further Work with that
	// error. ErrNoRoom is of a Variant that the device has no memory for. The rows
	// of a Work with an Err mean nothing.
	Step(work []*Work) error
	Close() error
}

// State is one sequence's memory in one stage: a ring of conv inputs per layer,
// of fixed size however long the text. It belongs to the goroutine that steps
// it: no method may run while a Step holds the state.
type State interface {
	Range() Range
	Position() int // of the next row
	// Truncate forgets the rows from position on; position is at most
	// DraftRows below the highest the state ever reached, so that the ring
	// still holds what the next row needs. Errors: ErrPosition, ErrClosed.
	Truncate(position int) error
	Bytes() int64 // memory held
	Close() error
}

// Work is one sequence's share of a Step.
type Work struct {
	State   State    // at most one Work of a State in a Step: a second gets ErrPosition
	Variant *Variant // must cover State.Range()
	Rows    Rows     // in: input of the sub-range's first block; out: of its last
	Err     error    // set by Step: ErrPosition, ErrShape, ErrNotFinite, ErrClosed, ErrNoRoom
}

// DraftRows is S: how many rows beyond its history a ring keeps, and so how far
// a state can be truncated.
const DraftRows = 16
