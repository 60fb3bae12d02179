package plan

import (
	"cmp"
	"math"
	"slices"
)

// hopShare is the part of a lap that one more hop may cost when a GPU that is
// left over joins a chain; otherwise it stays a spare.
const hopShare = 0.05

// rack is GPUs and what they hold so far.
type rack struct {
	s       *sizes
	link    Link
	holders []*holder
	chains  [][]*holder
	courses []*course // of the chains, once they are split
}

// build makes chains that each hold all blocks, at most so many (0: as many as
// can be), of as few GPUs as can be: the largest first, and last the smallest that
// is enough. It gives the furthest that the last attempt got.
func (r *rack) build(most int) (reached int) {
	rest := slices.Clone(r.holders)
	slices.SortStableFunc(rest, func(a, b *holder) int {
		return cmp.Or(cmp.Compare(b.room, a.room), cmp.Compare(b.gpu.Bandwidth, a.gpu.Bandwidth))
	})
	for most == 0 || len(r.chains) < most {
		chain, left, at := r.chainOf(rest)
		if at < r.s.blocks() {
			return at
		}
		r.chains, rest = append(r.chains, chain), left
	}
	return r.s.blocks()
}

// chainOf is a chain of some of rest, sorted by room, and those that are left.
// at is how many blocks it holds: with fewer than all there is no chain.
func (r *rack) chainOf(rest []*holder) (chain, left []*holder, at int) {
	n := r.s.blocks()
	rest = slices.Clone(rest)
	for at < n && len(rest) > 0 {
		to := rest[0].reach(at, math.Inf(1))
		if to == at {
			break
		}
		pick := 0
		if to == n { // the last one: a smaller one may do
			for pick = len(rest) - 1; rest[pick].reach(at, math.Inf(1)) < n; pick-- {
			}
			for ; pick > 0 && rest[pick-1].gpu == rest[pick].gpu; pick-- { // the first of its like
			}
		}
		chain, at = append(chain, rest[pick]), to
		rest = slices.Delete(rest, pick, pick+1)
	}
	return chain, rest, at
}

// join gives GPUs that are left to the chains with the longest stages, where
// another hop costs little of a lap.
func (r *rack) join() {
	used := map[*holder]bool{}
	for _, chain := range r.chains {
		for _, h := range chain {
			used[h] = true
		}
	}
	for _, h := range r.holders {
		if used[h] || h.reach(0, math.Inf(1)) == 0 {
			continue
		}
		longest, at := 0.0, -1
		for i, chain := range r.chains {
			lap := 0.0
			for b := range r.s.blocks() {
				lap += chain[0].times[b]
			}
			stage := lap / float64(len(chain))
			if len(chain) < r.s.blocks() && r.hopSeconds(1) <= hopShare*lap && stage > longest {
				longest, at = stage, i
			}
		}
		if at >= 0 {
			r.chains[at] = append(r.chains[at], h)
		}
	}
}

// split gives every GPU of a chain its stage: the longest stage as short as can
// be, and none empty. The chain holds all blocks; GPUs that would stay empty all
// the same leave it.
func (r *rack) split(index int) {
	chain := r.chains[index]
	inOrder := slices.Clone(chain)
	slices.SortFunc(inOrder, func(a, b *holder) int { return slices.Index(r.holders, a) - slices.Index(r.holders, b) })
	if r.first(inOrder, math.Inf(1))[0] == 0 {
		chain = inOrder
	}
	low, high := 0.0, 0.0
	for _, h := range chain {
		total := 0.0
		for _, t := range h.times {
			total += t
		}
		high = max(high, total)
	}
	for range 60 {
		middle := (low + high) / 2
		if r.first(chain, middle)[0] == 0 {
			high = middle
		} else {
			low = middle
		}
	}
	if r.first(chain, high)[0] != 0 {
		high = math.Inf(1)
	}
	r.chains[index] = r.assign(index, chain, high)
}

// first is, for each GPU of a chain, the first block from which it and those
// after it can hold all the rest in stages of at most limit.
func (r *rack) first(chain []*holder, limit float64) []int {
	first := make([]int, len(chain)+1)
	first[len(chain)] = r.s.blocks()
	for i := len(chain) - 1; i >= 0; i-- {
		first[i] = chain[i].reachBack(first[i+1], limit)
	}
	return first
}

// assign sets stages of at most limit, near each GPU's share of what is left.
func (r *rack) assign(index int, chain []*holder, limit float64) []*holder {
	n, at := r.s.blocks(), 0
	first := r.first(chain, limit)
	var kept []*holder
	for i, h := range chain {
		most := h.reach(at, limit)
		if first[i+1] > most { // tiles that blocks share made a difference
			most = h.reach(at, math.Inf(1))
		}
		speed, rest := 1/h.times[0], 0.0
		for _, other := range chain[i:] {
			rest += 1 / other.times[0]
		}
		want := at + int(math.Ceil(float64(n-at)*speed/rest-1e-9))
		want = min(want, n-(len(chain)-1-i)) // one block at least for each after it
		want = min(max(want, first[i+1]), most)
		if want <= at {
			continue
		}
		h.chain, h.stage = index, Blocks{Lo: at, Hi: want}
		for b := at; b < want; b++ {
			h.hold(b)
		}
		at, kept = want, append(kept, h)
	}
	return kept
}

// copies counts the GPUs that hold each block.
func (r *rack) copies() []int {
	count := make([]int, r.s.blocks())
	for _, h := range r.holders {
		for b, held := range h.held {
			if held {
				count[b]++
			}
		}
	}
	return count
}

// replicate lets GPUs with room hold copies of blocks that fewer than target hold,
// each from the end of its stage on, so that copies lie beside what they follow.
func (r *rack) replicate(target int, who func(*holder) bool) {
	count := r.copies()
	n := len(count)
	for changed := true; changed; {
		changed = false
		for _, h := range r.holders {
			if !who(h) {
				continue
			}
			wanted := func(b int) bool { return count[b] < target && !h.held[b] }
			start := -1
			for i := range n {
				if b := (h.stage.Hi + i) % n; wanted(b) && h.cost(b, h.tiles) <= h.room {
					start = b
					break
				}
			}
			if start < 0 {
				continue
			}
			for b := start; b < n && wanted(b) && h.hold(b); b++ {
				count[b]++
				changed = true
			}
		}
	}
}

// fill makes the copies that the demand asks for, or that there is room for.
func (r *rack) fill(replicas int) {
	everyone := func(*holder) bool { return true }
	if replicas > 0 {
		r.replicate(replicas, everyone)
		return
	}
	r.replicate(2, everyone)
	for target := 3; target <= len(r.holders); target++ {
		r.replicate(target, func(h *holder) bool { return h.chain == spare })
	}
}
