package plan

import (
	"encoding/json"
	"fmt"
)

// Blocks is a half-open range of Fractal Blocks; its JSON is [lo, hi].
type Blocks struct{ Lo, Hi int }

// Len is the number of blocks.
func (b Blocks) Len() int { return b.Hi - b.Lo }

// MarshalJSON implements json.Marshaler.
func (b Blocks) MarshalJSON() ([]byte, error) { return json.Marshal([2]int{b.Lo, b.Hi}) }

// Layout is a model on a rack.
type Layout struct {
	Blocks   int       `json:"blocks"`
	GPUs     []Holding `json:"gpus"`   // in the rack's order
	Chains   []Chain   `json:"chains"` // each holds all blocks
	Copies   int       `json:"copies"` // of the block that has the fewest
	Link     Link      `json:"link"`
	HopBytes int64     `json:"hop_bytes"` // sent on at a hop for one byte of text
	Sessions int       `json:"sessions"`
	Souls    int       `json:"souls"`
	SoulRank int       `json:"soul_rank"`

	Single  float64 `json:"single_bytes_per_second"`  // of one session alone, predicted
	Batched float64 `json:"batched_bytes_per_second"` // of Sessions together, predicted

	// SessionsRoom and SoulsRoom are how many there would be room for, each while
	// the other stays; RoomRate is the rate of so many sessions.
	SessionsRoom int     `json:"sessions_room"`
	RoomRate     float64 `json:"room_bytes_per_second"`
	SoulsRoom    int     `json:"souls_room"`

	Losses []Loss `json:"losses"` // by GPU: what its death costs
}

// Holding is a GPU and what lies in its memory.
type Holding struct {
	GPU    GPU      `json:"gpu"`
	Chain  int      `json:"chain"`  // index in Chains; -1: a spare
	Stage  Blocks   `json:"stage"`  // blocks it computes in its chain; empty of a spare
	Blocks []Blocks `json:"blocks"` // all that it holds

	// The parts of its memory, which they fill.
	Weights   int64 `json:"weights_bytes"` // tiles and small parameters
	Souls     int64 `json:"souls_bytes"`
	State     int64 `json:"state_bytes"` // rings of all sessions
	Workspace int64 `json:"workspace_bytes"`
	Reserve   int64 `json:"reserve_bytes"` // left to the driver
	Free      int64 `json:"free_bytes"`

	StepSeconds float64 `json:"step_seconds"` // of one row through its stage, predicted
}

// Chain is GPUs that answer together.
type Chain struct {
	GPUs   []int   `json:"gpus"` // indices in Layout.GPUs, in the order of their stages
	Hops   int     `json:"hops"` // crossings of the link in a lap
	Lap    float64 `json:"lap_seconds"`
	Single float64 `json:"single_bytes_per_second"`
}

// Loss is what the death of one GPU costs. Nothing that was answered is lost:
// blocks without another copy mean no answers until they are loaded again.
type Loss struct {
	GPU     int      `json:"gpu"`   // index in Layout.GPUs
	Lost    []Blocks `json:"lost"`  // blocks that no other GPU holds
	Alone   []Blocks `json:"alone"` // blocks that would be lost if there were no replicas
	Single  float64  `json:"single_bytes_per_second"`
	Batched float64  `json:"batched_bytes_per_second"`

	// ReplayRows are the input rows that rebuild a session's state of its stage.
	ReplayRows int `json:"replay_rows"`
	// Reload says whether the GPUs that are left have room for all blocks, and
	// ReloadBytes what they would read to hold the lost ones. 0: nothing is lost.
	Reload      bool  `json:"reload"`
	ReloadBytes int64 `json:"reload_bytes"`
}

// Lay lays m over GPUs. Errors: [ErrFit] when they cannot hold it once,
// [ErrArgument], [ErrTable], tcn.ErrConfig, modelfile.ErrTensor.
func Lay(m Model, d Demand, gpus []GPU, link Link) (Layout, error) {
	return Measured{}.Lay(m, d, gpus, link)
}

// Measured is times that take the place of predicted ones, the same for every GPU
// and block. What is nil or zero is predicted.
type Measured struct {
	// Block is the seconds of a Step of so many rows, one of each session, through
	// one block. They do not fall with the rows.
	Block func(rows int) float64
	// Hop is the seconds of a hop's software, in place of HopSeconds; at least 0.
	Hop float64
}

// Lay is [Lay] with what was measured: as far as it goes, the rates are no
// predictions.
func (x Measured) Lay(m Model, d Demand, gpus []GPU, link Link) (Layout, error) {
	s, err := measure(m, d)
	if err != nil {
		return Layout{}, err
	}
	s.measured = x
	if len(gpus) < 1 || len(gpus) > MaxGPUs {
		return Layout{}, fmt.Errorf("%w: %d GPUs are not in 1…%d", ErrArgument, len(gpus), MaxGPUs)
	}
	if err := link.validate(); err != nil {
		return Layout{}, err
	}
	r := &rack{s: s, link: link}
	for _, g := range gpus {
		if err := g.validate(); err != nil {
			return Layout{}, err
		}
		r.holders = append(r.holders, newHolder(g, s))
	}
	reached := r.build(d.Replicas)
	if len(r.chains) == 0 {
		return Layout{}, r.misfit(reached)
	}
	r.join()
	for i := range r.chains {
		r.split(i)
	}
	r.fill(d.Replicas)
	return r.report(), nil
}

// misfit says why the rack does not hold the model.
func (r *rack) misfit(reached int) error {
	block := r.s.beside(0) + r.s.tile[0]
	most := r.holders[0].room
	for _, h := range r.holders {
		most = max(most, h.room)
	}
	if reached == 0 {
		return fmt.Errorf("%w: a block takes %.2f GB with its Souls and states, the largest GPU has room for %.2f GB",
			ErrFit, float64(block)/1e9, float64(max(0, most))/1e9)
	}
	return fmt.Errorf("%w: %d GPUs hold %d of %d blocks of %.2f GB with their Souls and states",
		ErrFit, len(r.holders), reached, r.s.blocks(), float64(block)/1e9)
}

// Least is how many GPUs of a kind hold m once; 0: not even MaxGPUs do. Errors as
// [Lay], save [ErrFit].
func Least(m Model, d Demand, gpu GPU) (int, error) {
	s, err := measure(m, d)
	if err != nil {
		return 0, err
	}
	if err := gpu.validate(); err != nil {
		return 0, err
	}
	r := &rack{s: s}
	one := newHolder(gpu, s)
	for range MaxGPUs {
		r.holders = append(r.holders, one.fresh())
	}
	if r.build(1); len(r.chains) == 0 {
		return 0, nil
	}
	return len(r.chains[0]), nil
}
