package tcn

import (
	"fmt"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// cpu is the [Backend] of this machine's processor.
type cpu struct {
	compute *Compute
}

// NewCPU returns the CPU backend. It computes with c; nil means the portable
// kernels without helpers.
func NewCPU(c *Compute) Backend {
	if c == nil {
		c = &Compute{Kernels: kernel.Portable()}
	}
	return cpu{c}
}

func (b cpu) Name() string { return "cpu/" + b.compute.Kernels.Name }

// Load implements [Backend]. The matrices are used where they lie.
func (b cpu) Load(c Config, r Range, blocks []*Block) (Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkRange(r, c.All()); err != nil {
		return nil, err
	}
	if len(blocks) != r.Len() {
		return nil, fmt.Errorf("%w: %d blocks for [%d, %d)", ErrShape, len(blocks), r.Lo, r.Hi)
	}
	s := &cpuStage{config: c, blocks: r, kernels: b.compute.Kernels, compute: b.compute}
	for i, block := range blocks {
		if err := block.Validate(c, r.Lo+i); err != nil {
			return nil, err
		}
		for _, layer := range block.Layers {
			s.layers = append(s.layers, cpuLayer{
				in:   layer.In,
				out:  layer.Out,
				conv: segments(layer.Conv, c.KernelSize, c.ConvWidth()),
			})
		}
	}
	s.runConv = s.convSegment
	s.runGate = s.gateSegment
	s.runResidual = s.residualSegment
	return s, nil
}

// cpuStage is a [Stage] on the CPU. Its files: state.go holds sequences, step.go
// cuts a Step into batches, layer.go is the model.
type cpuStage struct {
	config  Config
	blocks  Range
	kernels *kernel.Set
	compute *Compute
	layers  []cpuLayer // of every layer of blocks, in order
	closed  atomic.Bool
	steps   uint64
	room    workspace

	// What the pieces of the job now shared out read.
	batch        []share
	layer        int // counted from the start of the model
	block        int // the same layer is layer layerOfBlock of this block
	layerOfBlock int
	runConv      func(i int)
	runGate      func(i int)
	runResidual  func(i int)
}

// cpuLayer is the frozen weights of one layer as the CPU uses them.
type cpuLayer struct {
	in, out Matrix
	conv    [][]float32 // per segment of channels: [kernel_size, channels of the segment]
}

// segmentChannels is the channels of one piece of a convolution or gate.
const segmentChannels = 1024

// segments cuts the taps of a convolution into runs of channels, each laid out
// like a small convolution. One run is used in place.
//
//	conv [taps, width]
func segments(conv []float32, taps, width int) [][]float32 {
	if width <= segmentChannels {
		return [][]float32{conv}
	}
	var cut [][]float32
	for lo := 0; lo < width; lo += segmentChannels {
		hi := min(lo+segmentChannels, width)
		segment := make([]float32, 0, taps*(hi-lo))
		for k := range taps {
			segment = append(segment, conv[k*width+lo:k*width+hi]...)
		}
		cut = append(cut, segment)
	}
	return cut
}

func (s *cpuStage) Config() Config { return s.config }
func (s *cpuStage) Range() Range   { return s.blocks }

// Close implements [Stage].
func (s *cpuStage) Close() error {
	s.closed.Store(true)
	return nil
}
