package bench

// Limits on what can be asked for.
const (
	// MostSequences bounds the rows of a decoding Step, and Souls: the rows of one
	// pass of the stage.
	MostSequences = 256

	// MostPrompt bounds the rows of a Step of one sequence: two gigabytes in the
	// widest model there can be.
	MostPrompt = 1 << 12

	// MostBytes bounds the text that a model reads: some hours.
	MostBytes = 1 << 27

	// group is what widths are multiples of, so that codes of any bits have no
	// filling.
	group = 16

	// plugBytes is what the device reads before the kernels of a Step are timed one
	// by one, so that they wait for the device and not for the host. At most: a
	// millisecond of the fastest memory.
	plugBytes = 4 << 30
)
