package rack

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"github.com/zetagrid/zetagrid/tcn"
)

// MaxDevices bounds the devices of a rack; a machine has 16 at most today.
const MaxDevices = 64

// ErrDevices: no rack can be made of these devices.
var ErrDevices = errors.New("rack: bad devices")

// Device is one device of a rack.
type Device struct {
	Backend tcn.Backend
	// Weights and States are the bytes it has for blocks and for states; 0 is what
	// the backend says as a [tcn.Memory]. One that nobody knows counts as the
	// smallest known.
	Weights, States int64
}

// rack is the backend. It implements [tcn.Memory], [tcn.Composite]
// and [io.Closer].
type rack struct {
	devices []Device // Weights and States as they count; States 0: not known
	known   bool     // somebody said how much memory there is
}

// New makes one backend of devices, in the order rows pass through them. Errors:
// [ErrDevices].
func New(devices []Device) (tcn.Backend, error) {
	if len(devices) < 1 || len(devices) > MaxDevices {
		return nil, fmt.Errorf("%w: %d devices, want 1 to %d", ErrDevices, len(devices), MaxDevices)
	}
	r := &rack{devices: make([]Device, len(devices))}
	least := int64(math.MaxInt64)
	for i, d := range devices {
		if d.Backend == nil || d.Weights < 0 || d.States < 0 {
			return nil, fmt.Errorf("%w: device %d has no backend or less than no memory", ErrDevices, i)
		}
		if m, ok := d.Backend.(tcn.Memory); ok {
			if d.Weights == 0 {
				d.Weights = max(0, m.WeightBytes())
			}
			if d.States == 0 {
				d.States = max(0, m.StateBytes())
			}
		}
		if d.Weights > 0 {
			least, r.known = min(least, d.Weights), true
		}
		r.devices[i] = d
	}
	for i := range r.devices {
		if r.devices[i].Weights == 0 {
			r.devices[i].Weights = least
		}
	}
	return r, nil
}

// Name implements [tcn.Backend].
func (r *rack) Name() string {
	names := make([]string, len(r.devices))
	for i, d := range r.devices {
		names[i] = d.Backend.Name()
	}
	return strings.Join(names, " + ")
}

// Backends implements [tcn.Composite].
func (r *rack) Backends() []tcn.Backend {
	backends := make([]tcn.Backend, len(r.devices))
	for i, d := range r.devices {
		backends[i] = d.Backend
	}
	return backends
}

// Close closes every device that can be closed. Its stages must be closed.
func (r *rack) Close() error {
	var errs []error
	for i, d := range r.devices {
		if err := CloseBackend(d.Backend); err != nil {
			errs = append(errs, fmt.Errorf("device %d (%s): %w", i, d.Backend.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// CloseBackend closes a backend that is an [io.Closer], as those of devices are.
func CloseBackend(b tcn.Backend) error {
	if closer, ok := b.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// WeightBytes implements [tcn.Memory]. Blocks are not cut, so up to a block less
// than this may fit each device.
func (r *rack) WeightBytes() int64 {
	if !r.known {
		return 0
	}
	return int64(min(r.weights(), math.MaxInt64/2))
}

// weights is the memory of all devices.
func (r *rack) weights() (total float64) {
	for _, d := range r.devices {
		total += float64(d.Weights)
	}
	return total
}

// StateBytes implements [tcn.Memory]. A device holds the part of each state that
// belongs to its blocks, so the one with the least room for its part decides.
func (r *rack) StateBytes() int64 {
	least := math.Inf(1)
	for _, d := range r.devices {
		if d.States > 0 {
			least = min(least, float64(d.States)*(r.weights()/float64(d.Weights)))
		}
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return int64(min(least, math.MaxInt64/2))
}

// Load implements [tcn.Backend].
func (r *rack) Load(c tcn.Config, blocks tcn.Range, weights []*tcn.Block) (tcn.Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if all := c.All(); blocks.Lo >= blocks.Hi || !all.Contains(blocks) {
		return nil, fmt.Errorf("%w: [%d, %d) in [%d, %d)", tcn.ErrRange, blocks.Lo, blocks.Hi, all.Lo, all.Hi)
	}
	if len(weights) != blocks.Len() {
		return nil, fmt.Errorf("%w: %d blocks for [%d, %d)", tcn.ErrShape, len(weights), blocks.Lo, blocks.Hi)
	}
	bytes := make([]int64, len(weights))
	for i, block := range weights {
		if err := block.Validate(c, blocks.Lo+i); err != nil {
			return nil, err
		}
		bytes[i] = block.Bytes()
	}
	s := &stage{config: c, blocks: blocks}
	parts, err := r.loadParts(c, blocks.Lo, weights, apportion(bytes, r.memory()))
	for _, p := range parts {
		if p != nil {
			s.parts = append(s.parts, p)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// loadParts loads the parts of all devices at once, since each copies over a bus of
// its own. Those of devices without blocks, or that failed, are nil.
func (r *rack) loadParts(c tcn.Config, lo int, weights []*tcn.Block, counts []int) ([]*part, error) {
	parts, errs := make([]*part, len(counts)), make([]error, len(counts))
	var loading sync.WaitGroup
	for i, n := range counts {
		if n == 0 {
			continue
		}
		sub, own := tcn.Range{Lo: lo, Hi: lo + n}, weights[:n]
		lo, weights = lo+n, weights[n:]
		loading.Go(func() { parts[i], errs[i] = r.load(i, c, sub, own) })
	}
	loading.Wait()
	return parts, errors.Join(errs...)
}

// load loads a part on device i.
func (r *rack) load(i int, c tcn.Config, sub tcn.Range, weights []*tcn.Block) (*part, error) {
	backend := r.devices[i].Backend
	name := fmt.Sprintf("device %d (%s)", i, backend.Name())
	loaded, err := backend.Load(c, sub, weights)
	if err != nil {
		return nil, fmt.Errorf("%s: blocks [%d, %d): %w", name, sub.Lo, sub.Hi, err)
	}
	return &part{name: name, blocks: sub, stage: loaded}, nil
}

func (r *rack) memory() []int64 {
	memory := make([]int64, len(r.devices))
	for i, d := range r.devices {
		memory[i] = d.Weights
	}
	return memory
}
