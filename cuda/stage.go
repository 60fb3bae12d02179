package cuda

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// shareBytes is the size of a [kernels.Share].
const shareBytes = 48

// stage is a [tcn.Stage] on a device. Its files: state.go holds sequences,
// variant.go what they wear, step.go cuts a Step into passes, record.go is the model.
type stage struct {
	backend *Backend
	config  tcn.Config
	blocks  tcn.Range
	layout  *layout
	closed  atomic.Bool
	failure failure // why it computes nothing any more, though the device may

	weights device.Pointer
	room    device.Pointer // where work lies
	work    workspace
	rings   device.Pointer // of all states
	states  *pool

	wardrobe wardrobe
	low      low
	graphs   graphs
	passes   [2]pass
	queue    []*tcn.Work
	steps    uint64
}

// Load implements [tcn.Backend]. What the weights are copied from is not read
// after it returned.
func (b *Backend) Load(c tcn.Config, r tcn.Range, blocks []*tcn.Block) (tcn.Stage, error) {
	if err := check(c, r, blocks); err != nil {
		return nil, err
	}
	l, err := newLayout(c, r, blocks)
	if err != nil {
		return nil, err
	}
	b.loading.Lock()
	defer b.loading.Unlock()
	s := &stage{backend: b, config: c, blocks: r, layout: l}
	s.wardrobe.stage = s
	if err := s.take(); err != nil {
		return nil, err
	}
	if err := s.fill(); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		_ = s.end() // the first error says more
		return nil, err
	}
	return s, nil
}

// take takes all memory of the stage, or none.
func (s *stage) take() error {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fmt.Errorf("%w: %s", tcn.ErrClosed, b.name)
	}
	if err := b.Err(); err != nil {
		return err
	}
	b.stages[s] = struct{}{}
	err := s.allocate()
	if err != nil {
		err = b.typed(err, s.where("memory of weights, work and states"))
		_ = s.end() // the first error says more
	}
	return err
}

// allocate takes the parts of the stage's memory, in order of what they cost.
func (s *stage) allocate() (err error) {
	b, l := s.backend, s.layout
	s.work = newWorkspace(s.config, len(l.layers), b.options.MaxRows)
	if s.weights, err = b.allocate(l.weights.bytes); err != nil {
		return err
	}
	l.settle(s.weights)
	if s.room, err = b.allocate(s.work.bytes); err != nil {
		return err
	}
	for i := range s.passes {
		p := &s.passes[i]
		if p.host, err = b.device.Pinned(int(s.work.passed)); err != nil {
			return err
		}
		p.open(&s.work, s.config.DModel, i)
	}
	bytes := b.options.StateBytes
	if bytes == 0 {
		info := b.device.Info()
		bytes = max(info.Free-info.Memory/reserveShare, l.ring)
	}
	bytes = bytes / alignment * alignment
	if bytes > 0 {
		if s.rings, err = b.allocate(bytes); err != nil {
			return err
		}
	}
	s.states = newPool(bytes)
	return nil
}

// fill copies the weights in. Rows that are no row are read, though nothing comes
// of it, so the room for them begins as zeros.
func (s *stage) fill() error {
	b := s.backend
	total := s.layout.weights.bytes
	var progress func(int64)
	if b.options.Progress != nil {
		progress = func(done int64) { b.options.Progress(done, total) }
	}
	err := s.layout.weights.copyTo(b.loader, s.weights, progress)
	s.layout.weights = arena{bytes: total} // the host's memory is the caller's again
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		err = b.stream.Fill(s.room, 0, s.work.bytes)
	}
	if err == nil {
		err = await(b.stream, b.options.Watchdog)
	}
	return b.typed(err, s.where("copy of weights"))
}

func (s *stage) Config() tcn.Config { return s.config }
func (s *stage) Range() tcn.Range   { return s.blocks }

// where names a part of the stage's work.
func (s *stage) where(what string) string {
	return fmt.Sprintf("blocks [%d, %d): %s", s.blocks.Lo, s.blocks.Hi, what)
}

// Close implements [tcn.Stage].
func (s *stage) Close() error {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	return s.end()
}

// end gives back everything that was taken. The caller holds b.mu.
func (s *stage) end() error {
	if s.closed.Swap(true) {
		return nil
	}
	b := s.backend
	delete(b.stages, s)
	errs := []error{s.graphs.drop(), s.low.give(b), s.wardrobe.end()}
	for _, p := range []device.Pointer{s.weights, s.room, s.rings} {
		if p != 0 {
			errs = append(errs, b.device.Free(p))
		}
	}
	for i := range s.passes {
		if host := s.passes[i].host; host != nil {
			errs = append(errs, b.device.Unpin(host))
			s.passes[i] = pass{}
		}
	}
	if b.Err() != nil {
		return nil // what a lost device says to this is no news
	}
	return b.typed(errors.Join(errs...), s.where("close"))
}

// failed makes an error of the device in a Step what every further Step returns.
// States that it held may hold half a pass, so even an error that the device
// survives ends the stage.
func (s *stage) failed(err error) error {
	b := s.backend
	if errors.Is(err, tcn.ErrDevice) {
		return err // typed where it arose
	}
	if device.Fatal(err) {
		return b.typed(err, s.where("step"))
	}
	s.failure.note(fmt.Errorf("%w: %s, %s: %w", tcn.ErrDevice, b.name, s.where("step"), err))
	// What was asked for before may still read and write the host's memory.
	for _, stream := range []device.Stream{b.in, b.stream, b.out} {
		if err := await(stream, b.options.Watchdog); err != nil {
			_ = b.typed(err, s.where("step")) // noted; the first error says more
		}
	}
	return s.failure.err()
}

// usable reports why the stage computes nothing any more, if so.
func (s *stage) usable() error {
	if s.closed.Load() {
		return fmt.Errorf("%w: stage", tcn.ErrClosed)
	}
	if err := s.failure.err(); err != nil {
		return err
	}
	return s.backend.Err()
}

// batch is the part of every kernel's arguments that says where its rows are.
func (s *stage) batch(k shape) kernels.Batch {
	return kernels.Batch{
		Shares: s.slotAt(k.slot, s.work.shares), RowShare: s.slotAt(k.slot, s.work.rowShare),
		Rows: int32(k.rows), ShareCount: int32(k.shares),
	}
}

// at is an address in the room for a pass, slotAt one of the parts that are copied.
func (s *stage) at(offset int64) device.Pointer { return s.room + device.Pointer(offset) }
func (s *stage) slotAt(slot int, offset int64) device.Pointer {
	return s.at(int64(slot)*s.work.passed + offset)
}
