package quantize

// Limits on what is sensible.
const (
	// LeastCalibration is the fewest bytes of calibration: a Hessian of fewer
	// rows says nothing about the directions it has not seen.
	LeastCalibration = 4096
	// MaxSweeps bounds the rounds of coordinate descent; they stop by themselves
	// long before.
	MaxSweeps = 100
)
