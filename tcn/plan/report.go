package plan

import (
	"math"
	"slices"

	"github.com/zetagrid/zetagrid/tcn"
)

// report turns a rack with everything in its place into a Layout.
func (r *rack) report() Layout {
	d := r.s.demand
	l := Layout{
		Blocks: r.s.blocks(), Link: r.link, HopBytes: HopBytes(r.s.config),
		Sessions: d.Sessions, Souls: d.Souls, SoulRank: d.SoulRank,
		Copies: slices.Min(r.copies()),
	}
	for _, chain := range r.chains {
		t := routeOf(chain)
		r.courses = append(r.courses, &course{route: t})
		c := Chain{Hops: t.hops(), Single: r.rate(t, 1)}
		c.Lap = 1 / c.Single
		for _, h := range chain {
			c.GPUs = append(c.GPUs, slices.Index(r.holders, h))
		}
		l.Chains = append(l.Chains, c)
	}
	var best route
	l.Single, best = r.single(r.holders)
	l.Batched = r.batched(r.courses, d.Sessions)
	l.SessionsRoom, l.SoulsRoom = MaxSessions, MaxSouls
	for i, h := range r.holders {
		l.GPUs = append(l.GPUs, r.holding(h))
		sessions, souls := h.more()
		l.SessionsRoom = min(l.SessionsRoom, d.Sessions+sessions)
		l.SoulsRoom = min(l.SoulsRoom, d.Souls+souls)
		loss := r.loss(i)
		if len(loss.Lost) == 0 {
			loss.Single = l.Single
			if best.uses(h) {
				loss.Single, _ = r.single(r.others(h))
			}
		}
		// What the others do without it they could do beside it.
		loss.Batched = min(loss.Batched, l.Batched)
		l.Losses = append(l.Losses, loss)
	}
	if d.SoulRank == 0 {
		l.SoulsRoom = 0
	}
	l.RoomRate = r.batched(r.courses, l.SessionsRoom)
	return l
}

// holding is what one GPU holds.
func (r *rack) holding(h *holder) Holding {
	d := r.s.demand
	out := Holding{
		GPU: h.gpu, Chain: h.chain, Stage: h.stage, Blocks: h.ranges(),
		Workspace: Workspace(r.s.config, d.SoulRank), Free: max(0, h.room),
	}
	for id := range h.tiles {
		out.Weights += r.s.tile[id]
	}
	for b, held := range h.held {
		if held {
			out.Weights += r.s.small[b]
			out.Souls += int64(d.Souls) * r.s.soul[b]
			out.State += int64(d.Sessions) * r.s.state[b]
		}
	}
	out.Reserve = h.gpu.Memory - out.Weights - out.Souls - out.State - out.Workspace - out.Free
	for b := h.stage.Lo; b < h.stage.Hi; b++ {
		out.StepSeconds += h.times[b]
	}
	return out
}

// more is how many more sessions, or Souls, the GPU has room for.
func (h *holder) more() (sessions, souls int) {
	state, soul := int64(0), int64(0)
	for b, held := range h.held {
		if held {
			state += h.s.state[b]
			soul += h.s.soul[b]
		}
	}
	sessions, souls = math.MaxInt32, math.MaxInt32
	if state > 0 {
		sessions = int(min(h.room/state, MaxSessions))
	}
	if soul > 0 {
		souls = int(min(h.room/soul, MaxSouls))
	}
	return sessions, souls
}

// loss is what the death of GPU i costs, save the rate of a session alone.
func (r *rack) loss(i int) Loss {
	dead := r.holders[i]
	out := Loss{GPU: i, Lost: []Blocks{}, Alone: []Blocks{}, Reload: true}
	if dead.stage.Len() > 0 {
		out.Alone = []Blocks{dead.stage}
		out.ReplayRows = r.s.config.HistoryRows(tcn.Range(dead.stage))
	}
	lost, count := make([]bool, r.s.blocks()), r.copies()
	tiles := map[int]bool{}
	for b, held := range dead.held {
		lost[b] = held && count[b] == 1
		if lost[b] {
			out.ReloadBytes += r.s.small[b] + int64(r.s.demand.Souls)*r.s.soul[b]
			if id := r.s.tileID[b]; !tiles[id] {
				tiles[id] = true
				out.ReloadBytes += r.s.tile[b]
			}
		}
	}
	if list := runs(lost); list != nil {
		out.Lost = list
		out.Reload = r.fitsWithout(i)
		return out
	}
	out.Batched = r.batched(r.without(dead), r.s.demand.Sessions)
	return out
}

// fitsWithout reports whether the other GPUs could hold all blocks once.
func (r *rack) fitsWithout(i int) bool {
	left := &rack{s: r.s, link: r.link}
	for _, h := range r.others(r.holders[i]) {
		left.holders = append(left.holders, h.fresh())
	}
	left.build(1)
	return len(left.chains) > 0
}
