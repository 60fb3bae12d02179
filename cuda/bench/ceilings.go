package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
)

// reading is memory to read, as much of it as the stage's weights take.
type reading struct {
	from, out device.Pointer // 0: not taken
	bytes     int64
	blocks    int // of threads
}

// readied takes the memory of the read, once, and lets the timing of kernels begin
// with it.
func (d *loaded) readied() error {
	if d.read.from != 0 {
		return nil
	}
	const vector = 16
	r := reading{bytes: (d.needs.Weights + vector - 1) / vector * vector}
	var err error
	if r.from, err = d.allocate(r.bytes); err != nil {
		return fmt.Errorf("memory to read: %w", err)
	}
	units := d.device.Info().Multiprocessors
	if r.out, err = d.allocate(4 * int64(units) * int64(slices.Max(readBlocks))); err != nil {
		return err
	}
	if err := d.random(r.from, r.bytes); err != nil {
		return err
	}
	d.read = r
	if err := d.fastestRead(units); err != nil {
		d.read = reading{}
		return err
	}
	d.device.plug = func(s device.Stream) error { return d.kernels.Launch(s, d.readCall(plugBytes)) }
	return nil
}

// readBlocks are how many blocks of threads a multiprocessor may get to read with.
var readBlocks = []int{4, 8, 16, 32}

// fastestRead finds out how many blocks read fastest: a ceiling is what the device
// can do at best.
func (d *loaded) fastestRead(units int) error {
	best, shortest := 0, time.Duration(0)
	for _, blocks := range readBlocks {
		d.read.blocks = units * blocks
		for range 4 {
			took, err := d.readAll()
			if err != nil {
				return err
			}
			if best == 0 || took < shortest {
				best, shortest = d.read.blocks, took
			}
		}
	}
	d.read.blocks = best
	return nil
}

// readCall is the read of as many bytes as there are, at most most.
func (d *loaded) readCall(most int64) kernels.Call {
	const vector = 16
	return kernels.ReadBytes(kernels.ReadBytesArgs{
		Bytes: d.read.from, Out: d.read.out, Count: min(d.read.bytes, most) / vector,
	}, d.read.blocks)
}

// readAll reads all of it.
func (d *loaded) readAll() (time.Duration, error) { return d.launch(d.readCall(d.read.bytes)) }

// product is a matrix product of random numbers on the device, with 2-bit weights
// and with int8 weights.
type product struct {
	rows, outputs, cols int
	q2                  kernels.ProductArgs
	s8                  kernels.ProductS8Args
}

// operations is the multiplications and additions of the product.
func (p *product) operations() float64 {
	return 2 * float64(p.rows) * float64(p.outputs) * float64(p.cols)
}

// productUnit is what the columns of a product with int8 weights are a multiple of.
const productUnit = 128

// product makes a product; what it takes is freed with the other ceilings.
func (d *loaded) product(rows, outputs, cols int) (*product, error) {
	if cols%productUnit != 0 {
		return nil, fmt.Errorf("%w: %d columns are no multiple of %d", errMissing, cols, productUnit)
	}
	stride := (rows + 7) / 8 * 8
	p := &product{rows: rows, outputs: outputs, cols: cols}
	var y, q, scale, sum, rowScale, codes, s8 device.Pointer
	for _, part := range []struct {
		to    *device.Pointer
		bytes int64
		fill  bool
	}{
		{&y, 4 * int64(rows) * int64(outputs), false},
		{&q, int64(stride) * int64(cols), true},
		{&scale, 4 * int64(stride), false},
		{&sum, 4 * int64(stride), false},
		{&rowScale, 4 * int64(outputs), false},
		{&codes, int64(outputs) * int64(cols) / 4, true},
		{&s8, int64(outputs) * int64(cols), true},
	} {
		var err error
		if *part.to, err = d.allocate(part.bytes); err != nil {
			return nil, fmt.Errorf("a product of %d rows [%d, %d]: %w", rows, outputs, cols, err)
		}
		if part.fill {
			err = d.random(*part.to, part.bytes)
		} else { // 0x3c3c3c3c is a number near 0.01, and a sum that does not matter
			err = d.stream.Fill(*part.to, 0x3c, part.bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	p.q2 = kernels.ProductArgs{
		Y: y, Q: kernels.Int8Rows{Q: q, Scale: scale, Sum: sum}, Weights: codes, Scale: rowScale,
		Rows: int32(rows), Outputs: int32(outputs), Cols: int32(cols), Stride: int32(stride),
	}
	p.s8 = kernels.ProductS8Args{
		Y: y, Q: q, Weights: s8, Rows: int32(rows), Outputs: int32(outputs), Cols: int32(cols), Stride: int32(stride),
	}
	return p, nil
}
