package cuda

import (
	"math"
	"strings"
	"unsafe"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn/kernel"
)

// portable is any Set: all compute the same bits.
var portable = kernel.Best()

// kernel runs a kernel by name.
func (f *fake) kernel(name string, args []byte) {
	switch {
	case name == "rms_norm":
		f.norm(argsOf[kernels.NormArgs](args))
	case name == "conv_gate", name == "conv":
		f.conv(argsOf[kernels.ConvArgs](args), name == "conv_gate")
	case name == "conv_terms":
		f.convTerms(argsOf[kernels.ConvArgs](args))
	case name == "conv_ring":
		f.convRing(argsOf[kernels.ConvArgs](args))
	case name == "gate":
		f.gate(argsOf[kernels.GateArgs](args))
	case name == "quantize":
		f.quantize(argsOf[kernels.QuantizeArgs](args))
	case strings.HasPrefix(name, "product_f32"):
		a := argsOf[kernels.ProductArgs](args)
		portable.MatMul(f.f32(a.Y, a.Rows*a.Outputs), f.f32(a.X, a.Rows*a.Cols), f.f32(a.Weights, a.Outputs*a.Cols),
			int(a.Rows), int(a.Outputs), int(a.Cols), 0, int(a.Outputs))
	case strings.HasPrefix(name, "product_q2"):
		a := argsOf[kernels.ProductArgs](args)
		q := f.int8Rows(a.Q, a.Cols, a.Stride)
		y := make([]float32, a.Stride*a.Outputs)
		codes := f.at(a.Weights, int64((a.Outputs+15)/16)*int64((a.Cols+15)/16)*64)
		portable.MatMulQ2(y, q, codes, f.f32(a.Scale, a.Outputs), int(a.Outputs), 0, int(a.Outputs))
		copy(f.f32(a.Y, a.Rows*a.Outputs), y)
	case strings.HasPrefix(name, "shrink"):
		f.shrink(argsOf[kernels.ShrinkArgs](args))
	case name == "residual":
		f.residual(argsOf[kernels.ResidualArgs](args))
	case name == "begin_block", name == "end_block":
		f.block(argsOf[kernels.BlockArgs](args), name == "begin_block")
	default:
		panic("no kernel " + name)
	}
}

func argsOf[T any](args []byte) T {
	var v T
	if len(args) != int(unsafe.Sizeof(v)) {
		panic("arguments of another size")
	}
	return *(*T)(unsafe.Pointer(unsafe.SliceData(args)))
}

func (f *fake) f32(p device.Pointer, n int32) []float32 {
	return viewOf[float32](f.at(p, int64(n)*4), int(n))
}
func (f *fake) i32(p device.Pointer, n int32) []int32 {
	return viewOf[int32](f.at(p, int64(n)*4), int(n))
}

func (f *fake) int8Rows(r kernels.Int8Rows, cols, stride int32) *kernel.Int8Rows {
	n := int((cols + 15) / 16 * 16 * stride)
	return &kernel.Int8Rows{
		N: int(stride), Cols: int(cols), Q: viewOf[int8](f.at(r.Q, int64(n)), n),
		Scale: f.f32(r.Scale, stride), Sum: f.i32(r.Sum, stride),
	}
}

// share is the share of a row and what it adds to the layer; nil if it is not active.
func (f *fake) active(b kernels.Batch, at kernels.Place, row int32) *kernels.VariantLayer {
	index := f.i32(b.RowShare, b.Rows)[row]
	if index < 0 {
		return nil
	}
	return f.activeShare(&viewOf[kernels.Share](f.at(b.Shares, int64(b.ShareCount)*shareBytes), int(b.ShareCount))[index], at)
}

func (f *fake) activeShare(s *kernels.Share, at kernels.Place) *kernels.VariantLayer {
	if at.Block < s.Lo || at.Block >= s.Hi {
		return nil
	}
	v := &viewOf[kernels.VariantLayer](f.at(s.Variant+device.Pointer(at.Layer)*40, 40), 1)[0]
	if v.Routing == 0 {
		return nil
	}
	return v
}

func (f *fake) markBad(bad device.Pointer, b kernels.Batch, at kernels.Place, row int32) {
	index := f.i32(b.RowShare, b.Rows)[row]
	p := &f.i32(bad, b.ShareCount)[index]
	*p = min(*p, at.Layer)
}

func (f *fake) norm(a kernels.NormArgs) {
	for row := range a.Batch.Rows {
		at := device.Pointer(row) * device.Pointer(a.Width) * 4
		v := f.active(a.Batch, a.At, row)
		out := f.f32(a.Out+at, a.Width)
		if v == nil {
			if a.Out == a.X {
				continue
			}
			clear(out)
		} else {
			portable.RMSNorm(out, f.f32(a.X+at, a.Width), f.f32(v.Gain, a.Width), a.Eps)
		}
		if a.PlainRows.Q != 0 {
			portable.QuantizeRow(f.int8Rows(a.PlainRows, a.Width, a.Stride), int(row), out)
		}
		if a.RotatedRows.Q != 0 {
			rotated := f.f32(a.Rotated+at, a.Width)
			portable.Hadamard(rotated, out, f.at(a.Signs, int64(a.Width+7)/8))
			portable.QuantizeRow(f.int8Rows(a.RotatedRows, a.Width, a.Stride), int(row), rotated)
		}
	}
}

// add adds terms to a row of sums.
func (f *fake) add(low kernels.Low, terms device.Pointer, count, row int32, sums []float32) {
	n := int32(len(sums))
	for i := range count {
		t := viewOf[kernels.Term](f.at(terms+device.Pointer(i)*48, 48), 1)[0]
		at := device.Pointer(row*low.Terms + i)
		result := make([]float32, n)
		if t.EightBit != 0 {
			padded := (t.Rank + 15) / 16 * 16
			q := &kernel.Int8Rows{
				N: 1, Cols: int(t.Rank), Q: viewOf[int8](f.at(low.Q+at*device.Pointer(low.Rank), int64(padded)), int(padded)),
				Scale: f.f32(low.Scale+at*4, 1), Sum: make([]int32, 1),
			}
			for _, n := range q.Q {
				q.Sum[0] += int32(n)
			}
			codes := f.at(t.B, int64((n+15)/16)*int64((t.Rank+15)/16)*256)
			portable.MatMulQ8(result, q, codes, f.f32(t.BScale, n), int(n), 0, int(n))
		} else {
			portable.MatMul(result, f.f32(low.Value+at*device.Pointer(low.Rank)*4, t.Rank), f.f32(t.B, n*t.Rank), 1, int(n), int(t.Rank), 0, int(n))
		}
		portable.AddScaled(sums, result, t.Weight)
	}
}

// spread leaves a row for quantize.
func (f *fake) spread(to kernels.Spread, row int32, y []float32) {
	width := int32(len(y))
	raise := func(p device.Pointer, x []float32) {
		m := &viewOf[uint32](f.at(p+device.Pointer(row)*4, 4), 1)[0]
		for _, v := range x {
			*m = max(*m, math.Float32bits(v)&0x7fffffff)
		}
	}
	if to.Signs != 0 {
		rotated := f.f32(to.Rotated+device.Pointer(row)*device.Pointer(width)*4, width)
		portable.Hadamard(rotated, y, f.at(to.Signs, int64(width+7)/8))
		raise(to.MaxRotated, rotated)
	}
	if to.MaxPlain != 0 {
		raise(to.MaxPlain, y)
	}
}

func (f *fake) conv(a kernels.ConvArgs, gated bool) {
	out := make([]float32, a.Batch.Rows*a.Width)
	if a.Out != 0 {
		out = f.f32(a.Out, a.Batch.Rows*a.Width)
		clear(out)
	}
	f.eachActive(a.Batch, a.At, func(s *kernels.Share, v *kernels.VariantLayer, n int32) {
		row := s.First + n
		if a.Low.Terms > 0 {
			f.add(a.Low, v.In, v.InCount, row, f.convIn(a, row))
		}
		y := out[row*a.Width : (row+1)*a.Width]
		f.convRow(a, s, n, y, gated)
		f.spread(a.Spread, row, y)
		if s.Count <= a.Segment {
			store(f.slot(a, s, s.Position+int64(n)), f.held(a, row))
		}
	})
}

// eachActive calls do for every row of every share that is active.
func (f *fake) eachActive(b kernels.Batch, at kernels.Place, do func(s *kernels.Share, v *kernels.VariantLayer, n int32)) {
	shares := viewOf[kernels.Share](f.at(b.Shares, int64(b.ShareCount)*shareBytes), int(b.ShareCount))
	for i := range shares {
		s := &shares[i]
		if s.Count == 0 {
			continue
		}
		if v := f.activeShare(s, at); v != nil {
			for n := range s.Count {
				do(s, v, n)
			}
		}
	}
}

// convTerms adds the terms that a convolution of cut shares does not add.
func (f *fake) convTerms(a kernels.ConvArgs) {
	f.eachActive(a.Batch, a.At, func(s *kernels.Share, v *kernels.VariantLayer, n int32) {
		f.add(a.Low, v.In, v.InCount, s.First+n, f.convIn(a, s.First+n))
	})
}

// convRing keeps the rows that it does not keep.
func (f *fake) convRing(a kernels.ConvArgs) {
	f.eachActive(a.Batch, a.At, func(s *kernels.Share, _ *kernels.VariantLayer, n int32) {
		if s.Count > a.Segment && n >= s.Count-a.RingRows {
			store(f.slot(a, s, s.Position+int64(n)), f.held(a, s.First+n))
		}
	})
}

// convIn is a row of what is convolved, with the gate if there is one.
func (f *fake) convIn(a kernels.ConvArgs, row int32) []float32 {
	return f.f32(a.In+device.Pointer(row)*device.Pointer(a.InWidth)*4, a.InWidth)
}

// held is a row as a ring holds it.
func (f *fake) held(a kernels.ConvArgs, row int32) []float32 {
	x := append([]float32(nil), f.convIn(a, row)[:a.Width]...)
	if a.RingBF16 != 0 {
		portable.RoundBF16(x)
	}
	return x
}

// slot is where the ring has a position.
func (f *fake) slot(a kernels.ConvArgs, s *kernels.Share, position int64) []byte {
	bytes := int64(a.Width) * int64(4-2*a.RingBF16)
	at := position % int64(a.RingRows) * bytes
	return f.at(s.Rings+device.Pointer(a.RingOffset)+device.Pointer(at), bytes)
}

// convRow is a row of the convolution. Taps of the pass are read from its rows.
func (f *fake) convRow(a kernels.ConvArgs, s *kernels.Share, n int32, y []float32, gated bool) {
	row := s.First + n
	in := f.convIn(a, row)
	if !portable.Finite(in) {
		f.markBad(a.Bad, a.Batch, a.At, row)
	}
	taps := make([][]float32, a.KernelSize)
	for k := range taps {
		back := (a.KernelSize - 1 - int32(k)) * a.Dilation
		if back <= n {
			taps[k] = f.held(a, row-back)
			continue
		}
		taps[k] = make([]float32, a.Width)
		if at := s.Position + int64(n-back); at >= s.Start {
			load(taps[k], f.slot(a, s, at))
		}
	}
	portable.Conv(y, taps, f.f32(a.Weights, a.KernelSize*a.Width))
	if gated {
		portable.Gate(y, y, in[a.Width:])
	}
}

// store and load are rows of a ring, of float32 or of bfloat16 by their size.
func store(slot []byte, values []float32) {
	if len(slot) == 4*len(values) {
		copy(viewOf[float32](slot, len(values)), values)
		return
	}
	for c, half := range viewOf[uint16](slot, len(values)) {
		_ = half
		viewOf[uint16](slot, len(values))[c] = uint16(math.Float32bits(values[c]) >> 16)
	}
}

func load(values []float32, slot []byte) {
	if len(slot) == 4*len(values) {
		copy(values, viewOf[float32](slot, len(values)))
		return
	}
	for c, half := range viewOf[uint16](slot, len(values)) {
		values[c] = math.Float32frombits(uint32(half) << 16)
	}
}

func (f *fake) gate(a kernels.GateArgs) {
	for row := range a.Batch.Rows {
		y := make([]float32, a.Width)
		if a.Out != 0 {
			y = f.f32(a.Out+device.Pointer(row)*device.Pointer(a.Width)*4, a.Width)
			clear(y)
		}
		v := f.active(a.Batch, a.At, row)
		if v == nil {
			continue
		}
		in := append([]float32(nil), f.f32(a.In+device.Pointer(row)*device.Pointer(a.Width)*8, 2*a.Width)...)
		f.add(a.Low, v.In, v.InCount, row, in)
		if !portable.Finite(in) {
			f.markBad(a.Bad, a.Batch, a.At, row)
		}
		portable.Gate(y, in[a.Width:], in[:a.Width])
		f.spread(a.Spread, row, y)
	}
}

func (f *fake) quantize(a kernels.QuantizeArgs) {
	one := func(to kernels.Int8Rows, from, maxima device.Pointer) {
		if to.Q == 0 {
			return
		}
		rows := f.int8Rows(to, a.Width, a.Stride)
		for row := range a.Rows {
			before := rows.Sum[row]
			x := f.f32(from+device.Pointer(row)*device.Pointer(a.Width)*4, a.Width)
			largest := viewOf[uint32](f.at(maxima+device.Pointer(row)*4, 4), 1)[0]
			if largest == 0 { // also of a row that is not active, which may hold anything
				x = make([]float32, a.Width)
			}
			portable.QuantizeRow(rows, int(row), x)
			rows.Sum[row] += before
			if largest < 0x7f800000 {
				if scale := math.Float32frombits(largest) / 127; scale >= 0x1p-126 {
					rows.Scale[row] = scale
				}
			}
		}
	}
	one(a.RotatedRows, a.Spread.Rotated, a.Spread.MaxRotated)
	one(a.PlainRows, a.Plain, a.Spread.MaxPlain)
}

func (f *fake) shrink(a kernels.ShrinkArgs) {
	for row := range a.Batch.Rows {
		v := f.active(a.Batch, a.At, row)
		if v == nil {
			continue
		}
		terms, count := v.In, v.InCount
		if a.Of != 0 {
			terms, count = v.Out, v.OutCount
		}
		for i := range count {
			t := viewOf[kernels.Term](f.at(terms+device.Pointer(i)*48, 48), 1)[0]
			at := device.Pointer(row*a.Low.Terms + i)
			value := f.f32(a.Low.Value+at*device.Pointer(a.Low.Rank)*4, t.Rank)
			if t.EightBit == 0 {
				portable.MatMul(value, f.f32(a.X+device.Pointer(row)*device.Pointer(a.Cols)*4, a.Cols), f.f32(t.A, t.Rank*a.Cols),
					1, int(t.Rank), int(a.Cols), 0, int(t.Rank))
				continue
			}
			u := f.int8Rows(a.Plain, a.Cols, a.Stride)
			all := make([]float32, a.Stride*t.Rank)
			codes := f.at(t.A, int64((t.Rank+15)/16)*int64((a.Cols+15)/16)*256)
			portable.MatMulQ8(all, u, codes, f.f32(t.AScale, t.Rank), int(t.Rank), 0, int(t.Rank))
			copy(value, all[row*t.Rank:])
			padded := (t.Rank + 15) / 16 * 16
			q := &kernel.Int8Rows{
				N: 1, Cols: int(t.Rank), Q: viewOf[int8](f.at(a.Low.Q+at*device.Pointer(a.Low.Rank), int64(padded)), int(padded)),
				Scale: f.f32(a.Low.Scale+at*4, 1), Sum: make([]int32, 1),
			}
			portable.QuantizeRow(q, 0, value)
		}
	}
}

func (f *fake) residual(a kernels.ResidualArgs) {
	for row := range a.Batch.Rows {
		v := f.active(a.Batch, a.At, row)
		if v == nil {
			continue
		}
		at := device.Pointer(row) * device.Pointer(a.Width) * 4
		t := append([]float32(nil), f.f32(a.T+at, a.Width)...)
		f.add(a.Low, v.Out, v.OutCount, row, t)
		portable.AddScaled(f.f32(a.X+at, a.Width), t, v.Scale)
	}
}

func (f *fake) block(a kernels.BlockArgs, begin bool) {
	for row := range a.Batch.Rows {
		v := f.active(a.Batch, a.At, row)
		if v == nil {
			continue
		}
		at := device.Pointer(row) * device.Pointer(a.Width) * 4
		x, saved := f.f32(a.X+at, a.Width), f.f32(a.Saved+at, a.Width)
		switch {
		case begin:
			if v.Routing != 1 {
				copy(saved, x)
			}
			continue
		case v.Routing != 1:
			for c := range x {
				x[c] -= saved[c]
				x[c] = float32(v.Routing*x[c]) + saved[c]
			}
		}
		if a.BF16 != 0 {
			portable.RoundBF16(x)
		}
		if !portable.Finite(x) {
			f.markBad(a.Bad, a.Batch, a.At, row)
		}
	}
}
