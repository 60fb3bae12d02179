package quantize

import (
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrOptions: an option is outside its limits.
	ErrOptions = errors.New("quantize: bad options")
	// ErrSource: the model is not one that can be quantized.
	ErrSource = errors.New("quantize: cannot quantize this model")
	// ErrInUse: another process is quantizing into the same folder.
	ErrInUse = errors.New("quantize: folder in use")
)

// Method is how codes are chosen.
type Method string

const (
	// LDLQ rounds with error compensation under the Hessian and refines.
	LDLQ Method = "ldlq"
	// RTN rounds to nearest under error-optimal row scales: what LDLQ is to beat.
	RTN Method = "rtn"
)

// Defaults of Options.
const (
	// DefaultDamping is what GPTQ and its kin use.
	DefaultDamping = 0.01
	// DefaultRowBytes is a gigabyte of rows: half a million positions of a model
	// of width 512.
	DefaultRowBytes = 1 << 30
)

// Options say what is quantized and how.
type Options struct {
	Model       string             // model folder of float32 weights; its files are hashed before use
	Out         string             // model folder to make; absent or empty
	Calibration []byte             // text; at least LeastCalibration bytes
	HeldOut     []byte             // text that the outcome is compared on; at least 2 bytes, or none: no comparison
	Method      Method             // LDLQ or RTN
	Seed        uint64             // of the signs; see quant.Signs
	Damping     float64            // in [0, 1]: fraction of the Hessian's mean diagonal that is added to it
	Sweeps      int                // most rounds of coordinate descent, 0 to MaxSweeps
	RepairRank  int                // rank added to the Soul to make up for the largest errors; 0: none
	SoulWeights modelfile.SoulForm // of the outcome's Soul; "": modelfile.SoulF32
	RowBytes    int64              // of rows in memory before they go to a file; at least 0

	Compute  *tcn.Compute
	Progress modelfile.Progress // counts work, not bytes; called by one goroutine at a time; may be nil
}

func (o *Options) validate() error {
	switch {
	case o.Method != LDLQ && o.Method != RTN:
		return fmt.Errorf("%w: method %q, want %q or %q", ErrOptions, o.Method, LDLQ, RTN)
	case len(o.Calibration) < LeastCalibration:
		return fmt.Errorf("%w: %d bytes of calibration text, want at least %d", ErrOptions, len(o.Calibration), LeastCalibration)
	case len(o.HeldOut) == 1:
		return fmt.Errorf("%w: a held-out text of one byte has nothing to predict", ErrOptions)
	case !(o.Damping >= 0 && o.Damping <= 1):
		return fmt.Errorf("%w: damping %v is not in 0 to 1", ErrOptions, o.Damping)
	case o.Sweeps < 0 || o.Sweeps > MaxSweeps:
		return fmt.Errorf("%w: %d sweeps are not in 0 to %d", ErrOptions, o.Sweeps, MaxSweeps)
	case o.RepairRank < 0 || o.RepairRank > tcn.MaxRank:
		return fmt.Errorf("%w: repair rank %d is not in 0 to %d", ErrOptions, o.RepairRank, tcn.MaxRank)
	case o.RowBytes < 0:
		return fmt.Errorf("%w: %d bytes of rows", ErrOptions, o.RowBytes)
	case o.Compute == nil || o.Compute.Kernels == nil:
		return fmt.Errorf("%w: nothing to compute with", ErrOptions)
	}
	if err := o.SoulWeights.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}
