package tcn

import (
	"fmt"
	"math"
)

// batchRows is how many rows go through the blocks together at most. Weights
// are read from memory once per batch; more rows would only push the batch
// itself out of the caches.
const batchRows = 64

// share is the rows of one Work in one batch. They are computed in place.
type share struct {
	state    *cpuState
	variant  *Variant
	position int       // of the first row
	count    int       // rows
	x        []float32 // [count, d_model]
	packed   int       // index of the first row in the workspace of the present block
}

// row is row i of the share in a workspace buffer whose rows are width wide.
func (h *share) row(buffer []float32, i, width int) []float32 {
	at := (h.packed + i) * width
	return buffer[at : at+width]
}

// Step implements [Stage]. Rows of all Works are cut into batches of at most
// batchRows, those of one Variant side by side.
//
// A state whose Work ends with [ErrNotFinite] found in its input is as it was.
// When the overflow happens inside, the state keeps its position but its rings
// are spoilt: it refuses every further Work with the same error, which names the
// lowest layer where a number of any row was not finite.
func (s *cpuStage) Step(work []*Work) error {
	if s.closed.Load() {
		return fmt.Errorf("%w: stage", ErrClosed)
	}
	s.compute.Pool.Begin()
	defer s.compute.Pool.End()
	s.steps++
	queue := s.room.queue[:0]
	for _, w := range work {
		if w.Err = s.admit(w); w.Err == nil {
			queue = append(queue, w)
		}
	}
	groupByVariant(queue)
	batch, rows := s.room.batch[:0], 0
	for _, w := range queue {
		for done := 0; done < w.Rows.Count; {
			n := min(w.Rows.Count-done, batchRows-rows)
			batch = append(batch, s.share(w, done, n))
			done, rows = done+n, rows+n
			if rows == batchRows {
				s.runBatch(batch)
				batch, rows = batch[:0], 0
			}
		}
	}
	s.runBatch(batch)
	for _, w := range queue {
		state := w.State.(*cpuState)
		if w.Err = state.failure; w.Err == nil {
			state.advance(w.Rows.Count)
		}
	}
	// Keep the room, not what was in it.
	clear(queue)
	clear(batch[:cap(batch)])
	s.room.queue, s.room.batch, s.batch = queue, batch, nil
	return nil
}

// admit checks a Work before anything of its state is touched.
func (s *cpuStage) admit(w *Work) error {
	state, ok := w.State.(*cpuState)
	switch {
	case !ok || state == nil || state.stage != s:
		return fmt.Errorf("%w: no state of this stage", ErrShape)
	case state.closed:
		return fmt.Errorf("%w: state", ErrClosed)
	case state.failure != nil:
		return state.failure
	case state.step == s.steps:
		return fmt.Errorf("%w: state has a Work in this Step already", ErrPosition)
	}
	if err := w.Check(s.config, state.sub, state.position, state.variant, s.kernels.Finite); err != nil {
		return err
	}
	state.variant, state.step = w.Variant, s.steps
	return nil
}

// Check reports what is wrong with a Work for a state of the range sub that stands
// at position, for backends to call before they touch anything: its rows must
// begin there, have their shape and be finite, its Variant must be valid and cover
// sub. A Variant is immutable, so known, one that passed before, is not looked at
// again. allFinite reports whether no number is an infinity or not a number; nil is
// plain Go. Errors: ErrPosition, ErrShape, ErrNotFinite.
func (w *Work) Check(c Config, sub Range, position int, known *Variant, allFinite func([]float32) bool) error {
	if allFinite == nil {
		allFinite = finite
	}
	rows := &w.Rows
	if rows.Position != position {
		return fmt.Errorf("%w: rows begin at %d, state stands at %d", ErrPosition, rows.Position, position)
	}
	n, ok := length(rows.Count, c.DModel)
	switch {
	case !ok || rows.Count < 1 || len(rows.Data) != n:
		return fmt.Errorf("%w: %d numbers for %d rows of %d", ErrShape, len(rows.Data), rows.Count, c.DModel)
	case rows.Position > math.MaxInt-rows.Count:
		return fmt.Errorf("%w: rows end past the last position", ErrPosition)
	case !allFinite(rows.Data):
		return fmt.Errorf("%w: input rows", ErrNotFinite)
	}
	if w.Variant == known && known != nil {
		return nil
	}
	if err := w.Variant.Validate(c); err != nil {
		return fmt.Errorf("%w: variant: %w", ErrShape, err)
	}
	if !w.Variant.Range.Contains(sub) {
		return fmt.Errorf("%w: variant of [%d, %d) for a state of [%d, %d)",
			ErrShape, w.Variant.Range.Lo, w.Variant.Range.Hi, sub.Lo, sub.Hi)
	}
	return nil
}

// groupByVariant brings Works of one Variant together, otherwise keeping order.
func groupByVariant(queue []*Work) {
	for i := 0; i < len(queue); {
		variant := queue[i].Variant
		for i++; i < len(queue) && queue[i].Variant == variant; i++ {
		}
		for j := i; j < len(queue); j++ {
			if queue[j].Variant == variant {
				found := queue[j]
				copy(queue[i+1:j+1], queue[i:j])
				queue[i] = found
				i++
			}
		}
	}
}

// share is rows [from, from+n) of a Work.
func (s *cpuStage) share(w *Work, from, n int) share {
	d := s.config.DModel
	return share{
		state:    w.State.(*cpuState),
		variant:  w.Variant,
		position: w.Rows.Position + from,
		count:    n,
		x:        w.Rows.Data[from*d : (from+n)*d],
	}
}

// runBatch takes the rows of a batch through every block of the stage that
// their states' ranges hold.
func (s *cpuStage) runBatch(batch []share) {
	for b := s.blocks.Lo; b < s.blocks.Hi; b++ {
		active, rows := s.room.active[:0], 0
		first, _ := s.config.BlockLayers(b)
		for _, h := range batch {
			failed := h.state.failure != nil && h.state.spoilt < first
			if failed || !h.state.sub.Contains(Range{b, b + 1}) || h.small(b).Routing == 0 {
				continue
			}
			h.packed = rows
			rows += h.count
			active = append(active, h)
		}
		s.room.active = active
		if rows > 0 {
			s.batch = active
			s.runBlock(b, rows)
		}
	}
	clear(s.room.active[:cap(s.room.active)])
}

// small is the small parameters the share's sequence has for block b.
func (h *share) small(b int) *Small { return h.variant.Small[b-h.variant.Range.Lo] }

// workspace is the memory a Step computes in. It grows to the largest Step
// seen and is then used again and again.
type workspace struct {
	queue  []*Work
	batch  []share
	active []share

	saved []float32   // [rows, d_model] a block's input, for routing
	u     []float32   // [rows, d_model] what W_in or the conv reads
	c     []float32   // [rows, d_model] the conv's output; paper cell only
	h     []float32   // [rows, 2·d_ff] the two halves of the gate
	y     []float32   // [rows, d_ff] the gated rows
	t     []float32   // [rows, d_model] what the residual adds
	zero  []float32   // [segmentChannels] a row before the start
	wide  []float32   // [kernel_size, conv width] bf16 taps as float32, cut by segment
	taps  [][]float32 // kernel_size for each segment

	products products // a frozen one with those of the Souls that read the same rows
	terms    terms    // what the Souls add to it
}

// grown returns buffer with length n, allocating only when it is too small.
func grown(buffer []float32, n int) []float32 {
	if n > cap(buffer) {
		return make([]float32, n)
	}
	return buffer[:n]
}

// reserve makes room for a block of rows.
func (w *workspace) reserve(c Config, rows int) {
	w.saved = grown(w.saved, rows*c.DModel)
	w.u = grown(w.u, rows*c.DModel)
	w.h = grown(w.h, rows*2*c.DFF)
	w.y = grown(w.y, rows*c.DFF)
	w.t = grown(w.t, rows*c.DModel)
	if c.Cell == CellPaper {
		w.c = grown(w.c, rows*c.DModel)
	}
	w.zero = grown(w.zero, segmentChannels)
	if w.taps == nil {
		width := c.ConvWidth()
		w.taps = make([][]float32, (width+segmentChannels-1)/segmentChannels*c.KernelSize)
		if c.State == BF16 {
			w.wide = make([]float32, c.KernelSize*width)
		}
	}
}
