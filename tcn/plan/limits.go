package plan

import "errors"

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrArgument: a number asked for is not one that can be planned with.
	ErrArgument = errors.New("plan: cannot plan that")
	// ErrGPU: a GPU is in no table.
	ErrGPU = errors.New("plan: unknown GPU")
	// ErrTable: a GPU table is not one that can be read.
	ErrTable = errors.New("plan: bad GPU table")
	// ErrFit: the rack cannot hold the model.
	ErrFit = errors.New("plan: does not fit")
)

// Limits on what a command line or a table, which may come from a stranger, can
// ask for.
const (
	// MaxGPUs bounds a rack: as many as a chain may have hops.
	MaxGPUs = 256
	// MaxBlocks bounds the blocks that are laid out: the work grows with GPUs
	// times blocks. The widest preset has 39.
	MaxBlocks = 4_096
	// TableBytes bounds the text of a GPU table, 1 MiB: 100 bytes a kind.
	TableBytes = 1 << 20
	// MaxKinds bounds the kinds in a table.
	MaxKinds = 1_024
	// NameBytes bounds a kind's name, which is printed and drawn.
	NameBytes = 48

	// MinParameters and MaxParameters bound the number of parameters that a config
	// is made for: below is no block of a sensible width, above are more layers
	// than a config can have.
	MinParameters = 100_000
	MaxParameters = 50_000_000_000_000
	// MaxBits bounds the bits of a weight: a float32.
	MaxBits = 32
	// MaxContext bounds the context of the tables: it is multiplied by a few
	// tens of thousands.
	MaxContext = 1 << 40
	// MaxSessions and MaxSouls bound what a GPU is to hold; a node refuses more
	// sessions than 512.
	MaxSessions = 512
	MaxSouls    = 10_000
)

// What predictions assume. None of it was measured on the GPUs of the table.
const (
	// MemoryEfficiency is the part of a GPU's memory bandwidth that reading 2-bit
	// weights for one row reaches: the aim of the kernels.
	MemoryEfficiency = 0.7
	// ComputeEfficiency is the part of a GPU's int8 rate that many rows reach.
	ComputeEfficiency = 0.4
	// LayerSeconds is what a layer costs beside its weights: four launches of two
	// microseconds.
	LayerSeconds = 8e-6
	// HopSeconds is the software of a hop, beside the wire.
	HopSeconds = 100e-6
	// FrameHeaderBytes goes before every frame of rows.
	FrameHeaderBytes = 64
	// Reserve is the memory of a GPU that is left to its driver and to
	// fragmentation, but no more than ReserveShare of it.
	Reserve      = 2_000_000_000
	ReserveShare = 0.1
	// StepRows is the most rows that go through a block together.
	StepRows = 64
)
