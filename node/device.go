package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
)

// openDevice opens what computes the blocks. It must compute the golden digests: a
// device that computes anything else must not serve a single row.
func (n *Node) openDevice() (tcn.Backend, error) {
	if n.options.Open == nil {
		return tcn.NewCPU(n.compute), nil // which the caller has checked
	}
	backend, err := n.options.Open()
	if err != nil {
		return nil, err
	}
	if err := tcn.SelfCheck(backend); err != nil {
		what := "does not work"
		if errors.Is(err, tcn.ErrDigest) {
			what = "computes other numbers than it should, so it may not serve"
		}
		return nil, errors.Join(fmt.Errorf("%s %s: %w", backend.Name(), what, err), (&opening{backend: backend}).close())
	}
	return backend, nil
}

// stateBudget is the memory for sessions' states on a device.
func stateBudget(b tcn.Backend) int64 {
	if m, ok := b.(tcn.Memory); ok && m.StateBytes() > 0 {
		return m.StateBytes()
	}
	return stateBytesDefault
}

// deviceLost carries out that the device of an opening failed: nobody is routed
// here any more, every session on it ends, and it is tried again. Who reports it
// again, or reports an opening of before, changes nothing.
func (n *Node) deviceLost(on *opening, err error) {
	if !n.resident.lose(on) {
		return
	}
	n.device.lost(err)
	n.log.Error("the device failed; its blocks are given up", "device", on.backend.Name(), "error", err)
	if n.member != nil {
		n.member.Do(shardmap.Fail{Reason: err.Error()})
	}
	n.hops.fail(on, err)
	n.running.Go(func() { n.readmit(on) })
}

// readmit opens a lost device again, once nothing of before is left on it, and then
// takes up what the node owned.
func (n *Node) readmit(lost *opening) {
	<-lost.gone // sessions have ended, or will
	if err := lost.close(); err != nil {
		n.log.Debug("a lost device was closed", "device", lost.backend.Name(), "error", err)
	}
	for {
		pause, try := n.device.next()
		if try == 0 {
			n.giveUpDevice()
			return
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(pause):
		}
		backend, err := n.openDevice()
		if err != nil {
			n.device.note(err)
			n.log.Warn("the device is not back yet", "try", try, "of", deviceTries, "error", err)
			continue
		}
		n.resident.use(backend)
		n.hops.setBudget(stateBudget(backend))
		n.device.works(backend.Name())
		n.log.Info("the device is back", "device", backend.Name(), "try", try)
		n.claim(backend)
		return
	}
}

// giveUpDevice leaves the node a gateway.
func (n *Node) giveUpDevice() {
	n.device.giveUp()
	n.log.Error("the device stays lost: this node owns no blocks until it is started again", "tries", deviceTries)
	if n.member != nil {
		n.member.Do(shardmap.Pin{})
	}
}

// claim makes the node own what its options say, on a device that has just been
// opened again.
func (n *Node) claim(backend tcn.Backend) {
	if n.member != nil {
		n.member.Do(n.wish(backend))
		return
	}
	if err := n.bring(n.ctx, n.library.config.All()); err != nil && n.ctx.Err() == nil {
		n.device.note(err)
		n.log.Error("blocks not loaded", "error", err)
	}
}

// noRoom carries out that a range does not fit the device: the node owns fewer
// blocks if it may choose, else none. One that was told what to own and never did
// ends.
func (n *Node) noRoom(r tcn.Range, err error) {
	const part = 8
	fewer := r.Len() - (r.Len()+part-1)/part
	err = fmt.Errorf("blocks %d-%d do not fit the device: %w", r.Lo, r.Hi, err)
	switch {
	case len(n.options.Blocks) == 0 && fewer > 0:
		n.log.Warn("the node takes fewer blocks", "blocks", fewer, "error", err)
		n.member.Do(shardmap.Pin{})
		n.member.Do(shardmap.Seek{CapacityBlocks: fewer})
		return
	case !n.isReady() && len(n.options.Blocks) > 0:
		n.fail(fmt.Errorf("%w: %w", ErrOptions, err))
		return
	}
	n.device.note(err)
	n.log.Error("this node owns no blocks", "error", err)
	n.member.Do(shardmap.Pin{})
}

// isReady reports whether Ready is closed.
func (n *Node) isReady() bool {
	select {
	case <-n.ready:
		return true
	default:
		return false
	}
}

// fail ends the node with an error for Close to return; the first counts.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failed = err
		n.cancel()
	})
}

// deviceHealth is how the device is, for people and for readmission.
type deviceHealth struct {
	mu       sync.Mutex
	name     string
	state    api.DeviceState
	reason   string    // why it does not work, or owns nothing
	idle     bool      // the node gave up owning blocks
	failures int       // since the start
	since    time.Time // when it last began to work
	tries    int       // of opening it again, since it last was fine
	pauses   *backoff.ExponentialBackOff
}

func newDeviceHealth(name string) *deviceHealth {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = devicePause, devicePauseMost, 2
	return &deviceHealth{name: name, state: api.DeviceWorking, since: time.Now(), pauses: pauses}
}

// lost notes a failure. A device that has worked for long begins with short pauses
// again; one that fails as soon as it is back uses up its tries.
func (h *deviceHealth) lost(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.since) > deviceProven {
		h.tries = 0
		h.pauses.Reset()
	}
	h.state, h.reason = api.DeviceLost, err.Error()
	h.failures++
}

// next is the number of the next try, from 1, and the pause before it; 0: there is
// none.
func (h *deviceHealth) next() (pause time.Duration, try int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries == deviceTries {
		return 0, 0
	}
	h.tries++
	return h.pauses.NextBackOff(), h.tries
}

// note keeps why the node does not compute what it should.
func (h *deviceHealth) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = err.Error()
	h.idle = h.state == api.DeviceWorking
}

func (h *deviceHealth) works(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.name, h.state, h.reason, h.idle, h.since = name, api.DeviceWorking, "", false, time.Now()
}

func (h *deviceHealth) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.idle = api.DeviceGivenUp, true
}

// ownsNothing reports whether the node gave up owning blocks.
func (h *deviceHealth) ownsNothing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.idle
}

// whyNot is why blocks are not loaded, to end a sentence.
func (h *deviceHealth) whyNot() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason == "" {
		return "are still loading"
	}
	return "are not loaded: " + h.reason
}

// status is the device as the API shows it.
func (h *deviceHealth) status() *api.Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &api.Device{Name: h.name, State: h.state, Error: h.reason, Failures: h.failures}
}
