package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/node/p2p"
	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/shardmap"
	"github.com/zetagrid/zetagrid/tcn"
)

// serveAPI starts the HTTP API if one is asked for.
func (n *Node) serveAPI() (err error) {
	if n.options.API == "" {
		return nil
	}
	registry := prometheus.NewRegistry()
	n.registerMetrics(registry)
	n.server, err = api.Listen(n.options.API, grid{n}, api.Options{
		Token: n.options.Token, Registry: registry, Logger: n.log,
	})
	return err
}

// registerMetrics adds what only the node knows to the API's own metrics.
func (n *Node) registerMetrics(registry *prometheus.Registry) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	counter("zetagrid_executor_batches_total", "Batches stepped on the device.", func() float64 { b, _, _ := n.executor.stats(); return float64(b) })
	counter("zetagrid_executor_rows_total", "Rows stepped on the device.", func() float64 { _, r, _ := n.executor.stats(); return float64(r) })
	gauge("zetagrid_executor_waiting", "Jobs waiting for the device.", func() float64 { _, _, w := n.executor.stats(); return float64(w) })
	gauge("zetagrid_sessions", "Sessions open at this hop.", func() float64 { return float64(n.hops.openSessions()) })
	gauge("zetagrid_session_bytes", "Memory reserved for sessions, bytes.", func() float64 { return float64(n.hops.reserved()) })
	gauge("zetagrid_blocks_loaded", "Fractal Blocks resident on this node.", func() float64 {
		blocks := 0
		for _, r := range n.resident.ranges() {
			blocks += r.Len()
		}
		return float64(blocks)
	})
	counter("zetagrid_device_failures_total", "Times the device failed.", func() float64 { return float64(n.device.status().Failures) })
	gauge("zetagrid_device_working", "Whether the device computes: 0 while it is lost.", func() float64 {
		if n.device.status().State == api.DeviceWorking {
			return 1
		}
		return 0
	})
	gauge("zetagrid_blocks_missing", "Fractal Blocks that no node serves.", func() float64 {
		missing := 0
		for _, span := range n.Status().Missing {
			missing += span[1] - span[0]
		}
		return float64(missing)
	})
	gauge("zetagrid_nodes", "Nodes in the shard map, this one included.", func() float64 { return float64(len(n.Status().Nodes)) })
}

// grid is the node as the API sees it.
type grid struct{ *Node }

// Generate implements api.Grid.
func (g grid) Generate(ctx context.Context, r session.Request) (api.Stream, error) {
	generation, err := g.Node.Generate(ctx, r)
	if err != nil {
		return nil, err
	}
	return generation, nil
}

// Models implements api.Grid.
func (g grid) Models() []api.Model {
	m := api.Model{ID: g.ModelCID(), Created: g.began.Unix(), Template: g.Template()}
	if soul := g.library.model.Soul; soul != nil {
		m.Soul = soul.String()
		m.Souls = []string{m.Soul}
	}
	return []api.Model{m}
}

// Status is the grid as this node sees it now.
func (n *Node) Status() api.Status {
	s := api.Status{Self: n.Peer(), Model: n.ModelCID(), Blocks: n.library.config.Blocks(), Device: n.device.status()}
	covered := make([]bool, s.Blocks)
	if n.member == nil {
		loaded := n.resident.ranges()
		state := shardmap.Serving
		if s.Device.State != api.DeviceWorking {
			state = shardmap.Failed
		}
		s.Nodes = []api.Node{describe("", loaded, state.String())}
		mark(covered, loaded)
	} else {
		for _, seen := range n.member.View() {
			ranges := make([]tcn.Range, len(seen.Claim.Ranges))
			for i, r := range seen.Claim.Ranges {
				ranges[i] = tcn.Range(r)
			}
			node := describe(p2p.PeerOf(seen.Claim.Node).String(), ranges, seen.Claim.State.String())
			node.LeaseMS = int64(seen.Left)
			if micros := seen.Claim.BlockMicros; micros > 0 && len(ranges) > 0 {
				node.Speed = 1e6 / (float64(micros) * float64(blocksOf(ranges)))
			}
			if seen.Self {
				node.Addrs = n.Addrs()
			}
			s.Nodes = append(s.Nodes, node)
		}
		for b, servers := range n.member.Coverage() { // as Route sees it
			covered[b] = servers > 0
		}
	}
	s.Missing = gaps(covered)
	s.Covered = len(s.Missing) == 0
	return s
}

func describe(peer string, ranges []tcn.Range, state string) api.Node {
	node := api.Node{Peer: peer, State: state}
	for _, r := range ranges {
		node.Ranges = append(node.Ranges, api.SpanOf(r))
	}
	if len(node.Ranges) > 0 {
		node.Blocks = node.Ranges[0]
	}
	return node
}

func blocksOf(ranges []tcn.Range) (blocks int) {
	for _, r := range ranges {
		blocks += r.Len()
	}
	return blocks
}

func mark(covered []bool, ranges []tcn.Range) {
	for _, r := range ranges {
		for b := max(0, r.Lo); b < min(r.Hi, len(covered)); b++ {
			covered[b] = true
		}
	}
}

// gaps lists the runs of blocks that are not covered.
func gaps(covered []bool) []api.Span {
	var missing []api.Span
	for b := 0; b < len(covered); b++ {
		if covered[b] {
			continue
		}
		lo := b
		for b < len(covered) && !covered[b] {
			b++
		}
		missing = append(missing, api.Span{lo, b})
	}
	return missing
}

// watchers are the callers of Events.
type watchers struct {
	mu     sync.Mutex
	listen map[chan api.Event]struct{}
}

// Events reports changes of the grid until ctx or the node ends.
func (n *Node) Events(ctx context.Context) <-chan api.Event {
	events := make(chan api.Event, eventsQueued)
	n.watchers.mu.Lock()
	if n.watchers.listen == nil {
		n.watchers.listen = map[chan api.Event]struct{}{}
	}
	n.watchers.listen[events] = struct{}{}
	n.watchers.mu.Unlock()
	n.running.Go(func() {
		select {
		case <-ctx.Done():
		case <-n.ctx.Done():
		}
		n.watchers.mu.Lock()
		delete(n.watchers.listen, events)
		close(events)
		n.watchers.mu.Unlock()
	})
	return events
}

func (w *watchers) tell(event api.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for events := range w.listen {
		select {
		case events <- event:
		default: // a caller that does not keep up misses it
		}
	}
}

// watch compares the grid with what it was and tells the differences.
func (n *Node) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var before map[string]map[api.Span]bool
	for {
		after := servedBy(n.Status())
		n.tellChanges(before, after)
		before = after
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		case <-n.member.Changed():
		}
	}
}

// servedBy is every node's serving ranges.
func servedBy(s api.Status) map[string]map[api.Span]bool {
	served := map[string]map[api.Span]bool{}
	for _, node := range s.Nodes {
		served[node.Peer] = map[api.Span]bool{}
		if node.State == shardmap.Serving.String() {
			for _, span := range node.Ranges {
				served[node.Peer][span] = true
			}
		}
	}
	return served
}

func (n *Node) tellChanges(before, after map[string]map[api.Span]bool) {
	now := time.Now().UnixMilli()
	differences := func(a, b map[string]map[api.Span]bool, node, span api.EventKind) {
		for _, peer := range slices.Sorted(maps.Keys(a)) {
			if _, known := b[peer]; !known {
				n.watchers.tell(api.Event{Kind: node, Peer: peer, AtMS: now})
			}
			for r := range a[peer] {
				if !b[peer][r] {
					n.watchers.tell(api.Event{Kind: span, Peer: peer, Blocks: r, AtMS: now})
				}
			}
		}
	}
	differences(before, after, api.NodeLost, api.RangeLost)
	differences(after, before, api.NodeJoined, api.RangeServing)
}
