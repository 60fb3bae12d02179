package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/kernels"
	"github.com/zetagrid/zetagrid/tcn"
)

// Errors that callers may test for, beside those of packages tcn and device.
var (
	// ErrOptions: an option is outside its limits.
	ErrOptions = errors.New("cuda: bad option")
	// ErrForm: a matrix is stored in a form that the stage has no kernel for.
	ErrForm = errors.New("cuda: no kernel for this form of matrix")
)

// Options are what a [Backend] may be told. The zero value is ready.
type Options struct {
	// MaxRows is the rows of a pass at most, 1 to [MaxRows]; 0 means MaxRows.
	// Room for them is part of what a stage needs.
	MaxRows int
	// StateBytes is the memory each stage takes for the states of sequences; 0
	// means what the weights leave, less an eighth of the device's memory for
	// Souls. Where one device holds several stages it must be given.
	StateBytes int64
	// Watchdog is how long the device may take for one pass or copy before it
	// counts as hung; 0 means [DefaultWatchdog].
	Watchdog time.Duration
	// Progress, if set, is told how many of a stage's bytes of weights Load has
	// copied. It is called by the goroutine that calls Load.
	Progress func(done, total int64)

	staging int // bytes of each pinned buffer of a stager; 0 means stagingBytes
}

// complete fills in what an absent option means. Errors: [ErrOptions].
func (o Options) complete() (Options, error) {
	if o.MaxRows == 0 {
		o.MaxRows = MaxRows
	}
	if o.Watchdog == 0 {
		o.Watchdog = DefaultWatchdog
	}
	if o.staging == 0 {
		o.staging = stagingBytes
	}
	if o.MaxRows < 1 || o.MaxRows > MaxRows || o.StateBytes < 0 || o.Watchdog < 0 {
		return o, fmt.Errorf("%w: %d rows of a pass, of 1 to %d; %d bytes of states; watchdog of %v",
			ErrOptions, o.MaxRows, MaxRows, o.StateBytes, o.Watchdog)
	}
	return o, nil
}

// Backend is the [tcn.Backend] of one device. Its stages may be used by different
// goroutines: the device works for one of them at a time.
type Backend struct {
	device  device.Device
	options Options
	name    string
	kernels *kernels.Set
	hands   *hands
	stream  device.Stream // of all that is computed
	in, out device.Stream // of copies beside it, see lanes
	loading sync.Mutex    // one Load at a time; before mu
	loader  *stager       // of Load
	dresser *stager       // of Step, for what sequences wear
	mu      sync.Mutex    // the device, and what follows
	stages  map[*stage]struct{}
	closed  bool
	failure failure // of the device, for good
}

// New readies the kernels on d, which from then on is the Backend's: Close closes
// it. Up to three goroutines help to move the rows of large passes until then.
// Errors: [ErrOptions], those of the device; d is then still the caller's.
func New(d device.Device, o Options) (*Backend, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	b := &Backend{device: d, options: o, name: "cuda/" + d.Info().Name, stages: map[*stage]struct{}{}}
	if err := b.open(); err != nil {
		err = b.typed(err, "opening")
		_ = b.giveBack() // the first error says more
		return nil, err
	}
	return b, nil
}

// open takes what every stage uses.
func (b *Backend) open() (err error) {
	b.hands = newHands(min(copyHelpers, runtime.GOMAXPROCS(0)-1))
	if b.kernels, err = kernels.Load(b.device); err != nil {
		return err
	}
	for _, s := range []*device.Stream{&b.stream, &b.in, &b.out} {
		if *s, err = b.device.NewStream(); err != nil {
			return err
		}
	}
	if b.loader, err = newStager(b.device, &b.mu, b.options); err != nil {
		return err
	}
	b.dresser, err = newStager(b.device, unguarded{}, b.options)
	return err
}

// giveBack is the end of open.
func (b *Backend) giveBack() error {
	b.hands.close()
	var errs []error
	for _, s := range []*stager{b.loader, b.dresser} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	for _, s := range []device.Stream{b.stream, b.in, b.out} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// Name implements [tcn.Backend]: "cuda/" and what the driver calls the device.
func (b *Backend) Name() string { return b.name }

// Memory is the bytes the device has, and those of them that nobody has taken.
func (b *Backend) Memory() (total, free int64) {
	info := b.device.Info()
	return info.Memory, info.Free
}

// Err is why the device computes nothing any more; nil while it does. Errors: those
// that wrap [tcn.ErrDevice].
func (b *Backend) Err() error { return b.failure.err() }

// Close closes every stage and the device. No Load or Step may run. A second Close
// does nothing.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	for s := range b.stages {
		errs = append(errs, s.end())
	}
	errs = append(errs, b.giveBack())
	if b.Err() != nil {
		errs = nil // what a lost device says to this is no news
	}
	return errors.Join(append(errs, b.device.Close())...)
}

// typed adds to an error of the device what tcn calls it, and where it was: the
// first one that is fatal is what everything returns from then on.
func (b *Backend) typed(err error, where string) error {
	switch {
	case err == nil:
		return nil
	case device.Fatal(err):
		err = fmt.Errorf("%w: %s, %s: %w", tcn.ErrDevice, b.name, where, err)
		b.failure.note(err)
		return err
	case errors.Is(err, device.ErrOutOfMemory):
		return fmt.Errorf("%w: %s, %s: %w", tcn.ErrNoRoom, b.name, where, err)
	default:
		return fmt.Errorf("%s, %s: %w", b.name, where, err)
	}
}

// allocate takes memory, at the cost of what no sequence wears any more. The caller
// holds b.mu.
func (b *Backend) allocate(bytes int64) (device.Pointer, error) {
	for {
		p, err := b.device.Allocate(bytes)
		if !errors.Is(err, device.ErrOutOfMemory) || !b.dropIdle() {
			return p, err
		}
	}
}

// dropIdle gives back everything that no state wears and reports whether that was
// anything. The caller holds b.mu.
func (b *Backend) dropIdle() bool {
	dropped := false
	for s := range b.stages {
		if s.wardrobe.dropIdle(0) {
			dropped = true
		}
	}
	return dropped
}

// failure is the first error that ended something. It may be noted and asked for at
// any time.
type failure struct{ first atomic.Pointer[error] }

func (f *failure) note(err error) { f.first.CompareAndSwap(nil, &err) }

func (f *failure) err() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}
