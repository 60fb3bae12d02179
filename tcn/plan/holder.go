package plan

import "github.com/zetagrid/zetagrid/tcn"

// holder is one GPU of the rack while blocks are laid out.
type holder struct {
	gpu   GPU
	s     *sizes
	room  int64 // bytes that are free for blocks
	held  []bool
	tiles map[int]bool // tiles in memory
	chain int          // index of the chain, or spare
	stage Blocks       // what it computes in its chain; empty: nothing
	times []float64    // of a Step of one row through each block, seconds
}

// fresh is the GPU with nothing in it.
func (h *holder) fresh() *holder {
	return &holder{
		gpu: h.gpu, s: h.s, chain: spare, room: usable(h.gpu, h.s.config, h.s.demand.SoulRank),
		held: make([]bool, h.s.blocks()), tiles: map[int]bool{}, times: h.times,
	}
}

// spare is the chain of a GPU that is in none.
const spare = -1

func newHolder(g GPU, s *sizes) *holder {
	h := (&holder{gpu: g, s: s}).fresh()
	for b := range s.blocks() {
		h.times = append(h.times, h.blockSeconds(b, 1))
	}
	return h
}

// cost is what block b takes beside tiles that are there.
func (h *holder) cost(b int, there map[int]bool) int64 {
	if there[h.s.tileID[b]] {
		return h.s.beside(b)
	}
	return h.s.beside(b) + h.s.tile[b]
}

// hold takes block b, if there is room.
func (h *holder) hold(b int) bool {
	cost := h.cost(b, h.tiles)
	if h.held[b] || cost > h.room {
		return false
	}
	h.room -= cost
	h.held[b], h.tiles[h.s.tileID[b]] = true, true
	return true
}

// reach is how far from block lo on an empty GPU can hold, in time at most limit.
func (h *holder) reach(lo int, limit float64) int {
	room, tiles, time := h.room, map[int]bool{}, 0.0
	hi := lo
	for ; hi < h.s.blocks(); hi++ {
		room -= h.cost(hi, tiles)
		time += h.times[hi]
		if room < 0 || time > limit {
			break
		}
		if h.s.shared {
			tiles[h.s.tileID[hi]] = true
		}
	}
	return hi
}

// reachBack is the first block from which an empty GPU can hold all up to hi.
func (h *holder) reachBack(hi int, limit float64) int {
	room, tiles, time := h.room, map[int]bool{}, 0.0
	lo := hi
	for ; lo > 0; lo-- {
		room -= h.cost(lo-1, tiles)
		time += h.times[lo-1]
		if room < 0 || time > limit {
			break
		}
		if h.s.shared {
			tiles[h.s.tileID[lo-1]] = true
		}
	}
	return lo
}

// blockSeconds is the time of a Step of so many rows through block b.
func (h *holder) blockSeconds(b, rows int) float64 {
	if measured := h.s.measured.Block; measured != nil {
		return measured(rows)
	}
	c := h.s.config
	lo, hi := c.BlockLayers(b)
	layers, n := float64(hi-lo), float64(rows)
	number := 4.0
	if c.State == tcn.BF16 {
		number = 2
	}
	bytes := float64(h.s.tile[b]+h.s.small[b]+int64(min(rows, h.s.demand.Souls))*h.s.soul[b]) +
		n*layers*number*float64(c.KernelSize*c.ConvWidth())
	operations := n * layers * 2 * 3 * float64(c.DModel) * float64(c.DFF)
	return max(bytes/(MemoryEfficiency*h.gpu.Bandwidth), operations/(ComputeEfficiency*h.gpu.Int8)) + layers*LayerSeconds
}

// ranges are the blocks that are held, as few ranges as can be.
func (h *holder) ranges() []Blocks { return runs(h.held) }

// runs are the ranges of blocks that are true.
func runs(set []bool) []Blocks {
	var list []Blocks
	for b, in := range set {
		switch {
		case !in:
		case len(list) > 0 && list[len(list)-1].Hi == b:
			list[len(list)-1].Hi++
		default:
			list = append(list, Blocks{Lo: b, Hi: b + 1})
		}
	}
	return list
}
