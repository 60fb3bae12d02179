package train

// Limits on what options and a checkpoint can ask for.
const (
	// MaxBatchBytes bounds the bytes of one pass, sequences times their length:
	// what the passes keep is some ten kilobytes a byte and layer of a small
	// model.
	MaxBatchBytes = 1 << 20
	// MaxSteps bounds the optimizer's steps.
	MaxSteps = 1 << 30
	// MaxAccumulate bounds the passes of a step.
	MaxAccumulate = 1 << 16
	// StateBytes bounds the description in a checkpoint: options and the corpus's
	// files.
	StateBytes = 1 << 20
)
