package bench

// Limits on what a measurement takes.
const (
	// LeastRounds is the fewest rounds of a figure: fewer have no steady median
	// on a machine with neighbours.
	LeastRounds = 15

	// MostRounds bounds what can be asked for: minutes for the slowest figure.
	MostRounds = 10_000

	// arenaBytes is the memory that weights are laid out in, 1 GiB: more than
	// the caches of the machines of 2026 hold, so that going around it reads
	// memory.
	arenaBytes = 1 << 30

	// tailBytes lies behind it for the scales and signs of its matrices.
	tailBytes = 32 << 20
)
