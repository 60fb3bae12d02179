package bench

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/kernel"
	"github.com/zetagrid/zetagrid/tcn/quant"
)

// Errors of measurements.
var (
	// ErrUnsupported: this machine or system lacks what the figure needs.
	ErrUnsupported = errors.New("bench: not measurable here")
	// ErrRoom: matrices do not fit the memory that they are laid out in.
	ErrRoom = errors.New("bench: matrices are too large")
)

// Lab is the memory and the workers of measurements, which are taken one at a
// time. Close frees them.
type Lab struct {
	pool  *kernel.Pool
	arena []byte // arenaBytes of any codes; nil until a measurement needs it
	tail  []byte // tailBytes for scales and signs
	unmap func() error
}

// NewLab makes a Lab with a worker for each processor but one.
func NewLab() *Lab { return &Lab{pool: kernel.NewPool(0), unmap: func() error { return nil }} }

// Close ends the workers and unmaps the memory.
func (l *Lab) Close() error {
	l.pool.Close()
	l.arena, l.tail = nil, nil
	unmap := l.unmap
	l.unmap = func() error { return nil }
	return unmap()
}

// reserve maps the memory and fills it with codes.
func (l *Lab) reserve() error {
	if l.arena != nil {
		return nil
	}
	const hugePage = 2 << 20
	memory, unmap, err := mapMemory(arenaBytes + tailBytes + hugePage)
	if err != nil {
		return err
	}
	l.unmap = unmap
	skip := -uintptr(unsafe.Pointer(&memory[0])) % hugePage
	memory = memory[skip:]
	l.arena, l.tail = memory[:arenaBytes], memory[arenaBytes:][:tailBytes]
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&l.arena[0])), arenaBytes/8)
	bits := uint64(1)
	for i := range words { // xorshift: any codes will do, but all kinds of them
		bits ^= bits << 13
		bits ^= bits >> 7
		bits ^= bits << 17
		words[i] = bits
	}
	return nil
}

// layout hands out the memory to matrices, from the start.
type layout struct {
	lab         *Lab
	codes, tail int
}

// matrix makes the next matrix, whose results are of unit size: denormal
// numbers would take long.
func (o *layout) matrix(rows, cols int) (*quant.Q2, error) {
	if err := o.lab.reserve(); err != nil {
		return nil, err
	}
	size, err := quant.SizeQ2(rows, cols)
	if err != nil {
		return nil, err
	}
	const line = 64
	signs := o.tail + int(size.Scale)
	end := (signs + int(size.Signs) + line - 1) / line * line
	if o.codes+int(size.Codes) > len(o.lab.arena) || end > len(o.lab.tail) {
		return nil, fmt.Errorf("%w: [%d, %d]", ErrRoom, rows, cols)
	}
	scale := unsafe.Slice((*float32)(unsafe.Pointer(&o.lab.tail[o.tail])), rows)
	for r := range scale {
		scale[r] = float32(1 / math.Sqrt(5*float64(kernel.HadamardBlock(cols))*float64(cols)))
	}
	bits := o.lab.tail[signs:][:size.Signs]
	clear(bits)
	m, err := quant.NewQ2(rows, cols, o.lab.arena[o.codes:][:size.Codes], scale, bits)
	o.codes, o.tail = o.codes+int(size.Codes), end
	return m, err
}

// matrices makes as many matrices as the memory holds, at most most.
func (l *Lab) matrices(rows, cols, most int) ([]*quant.Q2, error) {
	o := layout{lab: l}
	var all []*quant.Q2
	for len(all) < most {
		m, err := o.matrix(rows, cols)
		if errors.Is(err, ErrRoom) && len(all) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// readPiece is how much one worker reads at a time of what it has to read.
const readPiece = 256 << 10

// read reads memory with all workers, each its own stretch from one end to the
// other, as products do.
func (l *Lab) read(memory []byte) {
	pieces := (len(memory) + readPiece - 1) / readPiece
	lanes := min(l.pool.Width(), pieces)
	l.pool.Run(pieces, func(i int) {
		region, whole, longer := i%lanes, pieces/lanes, pieces%lanes
		lo := (region*whole + min(region, longer) + i/lanes) * readPiece
		kernel.ReadMemory(memory[lo:min(lo+readPiece, len(memory))])
	})
}

// numbers is n activations.
func numbers(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 2*tcn.Uniform(1, i) - 1
	}
	return x
}
