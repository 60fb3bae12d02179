package plan

import (
	"math"
	"slices"
)

// segment is a hop of a route: a range of blocks at a GPU.
type segment struct {
	on     *holder
	blocks Blocks
}

// route is hops that cover all blocks, in order.
type route []segment

// routeOf is a chain's route.
func routeOf(chain []*holder) route {
	var list route
	for _, h := range chain {
		list = append(list, segment{h, h.stage})
	}
	return list
}

// uses reports whether a GPU is on the route.
func (t route) uses(h *holder) bool {
	return slices.ContainsFunc(t, func(s segment) bool { return s.on == h })
}

// hops is how often rows cross the link in a lap: between GPUs, and back to the
// first, where the gateway is. One GPU alone has none.
func (t route) hops() int {
	hops := 0
	for i, s := range t {
		if s.on != t[(i+1)%len(t)].on {
			hops++
		}
	}
	return hops
}

// rate is the bytes a second of n sessions together on a route. They go round in
// groups: a group's lap is the sum of its hops, and no GPU serves two at once.
func (r *rack) rate(t route, n int) float64 {
	best, before := 0.0, 0
	for groups := 1; groups <= min(n, 2*len(t)+1); groups++ {
		rows := (n + groups - 1) / groups
		if rows == before { // more groups of as many rows are no faster
			continue
		}
		before = rows
		load := map[*holder]float64{}
		lap := float64(t.hops()) * r.hopSeconds(rows)
		busiest := 0.0
		if t.hops() > 0 {
			busiest = r.link.wireSeconds(r.s.config, rows)
		}
		for _, s := range t {
			for b := s.blocks.Lo; b < s.blocks.Hi; b++ {
				time := s.on.blockSeconds(b, rows)
				lap += time
				load[s.on] += time
			}
			busiest = max(busiest, load[s.on])
		}
		best = max(best, float64(n)/max(lap, float64(groups)*busiest))
	}
	return best
}

// course is a route and its rates so far: rates[i] is that of i+1 sessions.
type course struct {
	route
	rates []float64
}

// rateOf is rate, computed once.
func (r *rack) rateOf(c *course, n int) float64 {
	for len(c.rates) < n {
		c.rates = append(c.rates, r.rate(c.route, len(c.rates)+1))
	}
	return c.rates[n-1]
}

// single is the bytes a second of one session alone on these GPUs; 0: they do not
// hold all blocks. through is its route.
func (r *rack) single(over []*holder) (rate float64, through route) {
	if through = r.shortest(over); through != nil {
		rate = r.rate(through, 1)
	}
	return rate, through
}

// batched is the bytes a second of n sessions on these routes: each goes where it
// adds most.
func (r *rack) batched(routes []*course, n int) (total float64) {
	now := make([]float64, len(routes))  // rate of a route's sessions
	next := make([]float64, len(routes)) // and with one more
	count := make([]int, len(routes))
	for i, t := range routes {
		next[i] = r.rateOf(t, 1)
	}
	for range n {
		best := 0
		for i := range routes {
			if next[i]-now[i] > next[best]-now[best] {
				best = i
			}
		}
		count[best]++
		now[best], next[best] = next[best], max(next[best], r.rateOf(routes[best], count[best]+1))
	}
	for _, rate := range now {
		total += rate
	}
	return total
}

// shortest is the route over GPUs whose lap of one row is shortest; nil: they do
// not hold all blocks.
func (r *rack) shortest(over []*holder) route {
	n, hop := r.s.blocks(), r.hopSeconds(1)
	lap := make([]float64, len(over)) // to the end of the block before, on each GPU
	from := make([][]int32, n)        // on which GPU the block before was
	best := -1                        // GPU of the shortest lap so far
	for b := range n {
		next := make([]float64, len(over))
		from[b] = make([]int32, len(over))
		at := -1
		for i, h := range over {
			next[i] = math.Inf(1)
			if !h.held[b] {
				continue
			}
			from[b][i], next[i] = int32(i), lap[i]
			if best >= 0 && lap[best]+hop < lap[i] {
				from[b][i], next[i] = int32(best), lap[best]+hop
			}
			next[i] += h.times[b]
			if at < 0 || next[i] < next[at] {
				at = i
			}
		}
		if at < 0 {
			return nil
		}
		lap, best = next, at
	}
	var list route
	for b, i := n-1, int32(best); b >= 0; b-- {
		if len(list) > 0 && list[len(list)-1].on == over[i] {
			list[len(list)-1].blocks.Lo = b
		} else {
			list = append(list, segment{over[i], Blocks{Lo: b, Hi: b + 1}})
		}
		i = from[b][i]
	}
	slices.Reverse(list)
	return list
}

// without is the routes that are left when a GPU dies: the chains it was not in,
// and the best of what those leave over. None: blocks are lost.
func (r *rack) without(dead *holder) []*course {
	var routes []*course
	free := r.others(dead)
	for i := range r.chains {
		if dead.chain == i {
			continue
		}
		routes = append(routes, r.courses[i])
		if dead.chain != spare {
			free = slices.DeleteFunc(free, func(h *holder) bool { return h.chain == i })
		}
	}
	if dead.chain == spare {
		return routes
	}
	if t := r.shortest(free); t != nil {
		routes = append(routes, &course{route: t})
	}
	return routes
}

// others is all GPUs but one.
func (r *rack) others(dead *holder) []*holder {
	return slices.DeleteFunc(slices.Clone(r.holders), func(h *holder) bool { return h == dead })
}
