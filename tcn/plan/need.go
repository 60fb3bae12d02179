package plan

import (
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// Model is what is to be laid out.
type Model struct {
	Config tcn.Config // complete and valid
	// Tiles names the tile of each block; blocks whose names are equal share one
	// tile on disk and in memory. nil: all differ.
	Tiles []string
	// Small names the file of small parameters of each block likewise; equal ones
	// are one file, though each block has its own in memory.
	Small []string
}

// Demand is what the model is to serve.
type Demand struct {
	Sessions int // at once; 1…MaxSessions
	Souls    int // held ready beside the model, 0…MaxSouls
	SoulRank int // of each; 1…tcn.MaxRank, 0 if there are none
	// SoulForm is how they are stored; "": modelfile.SoulF32.
	SoulForm modelfile.SoulForm
	// Replicas is the copies of every block that are wanted; 0: as many chains
	// as there is room for, and a second copy of what only one GPU holds.
	Replicas int
}

func (d Demand) validate() error {
	switch {
	case d.Sessions < 1 || d.Sessions > MaxSessions:
		return fmt.Errorf("%w: %d sessions are not in 1…%d", ErrArgument, d.Sessions, MaxSessions)
	case d.Souls < 0 || d.Souls > MaxSouls:
		return fmt.Errorf("%w: %d Souls are not in 0…%d", ErrArgument, d.Souls, MaxSouls)
	case d.SoulRank < 0 || d.SoulRank > tcn.MaxRank || d.Souls > 0 && d.SoulRank == 0:
		return fmt.Errorf("%w: Soul rank %d is not in 1…%d", ErrArgument, d.SoulRank, tcn.MaxRank)
	case d.Replicas < 0 || d.Replicas > MaxGPUs:
		return fmt.Errorf("%w: %d replicas are not in 0…%d", ErrArgument, d.Replicas, MaxGPUs)
	}
	if err := d.SoulForm.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrArgument, err)
	}
	return nil
}

// sizes are the bytes of each block of a model.
type sizes struct {
	config  tcn.Config
	demand  Demand
	tile    []int64
	tileID  []int // blocks of one tile have one number
	shared  bool  // some block's tile is another's too
	small   []int64
	smallID []int   // as tileID
	soul    []int64 // one Soul's slice
	state   []int64 // one session's rings
	history []int   // HistoryRows

	measured Measured
}

func measure(m Model, d Demand) (*sizes, error) {
	c := m.Config
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	n := c.Blocks()
	if n > MaxBlocks {
		return nil, fmt.Errorf("%w: %d blocks, at most %d", ErrArgument, n, MaxBlocks)
	}
	s := &sizes{config: c, demand: d}
	var err error
	if s.tileID, err = numbers("tiles", m.Tiles, n); err != nil {
		return nil, err
	}
	if s.smallID, err = numbers("files of small parameters", m.Small, n); err != nil {
		return nil, err
	}
	for b := range n {
		tile, err := modelfile.TileBytes(c, b)
		if err != nil {
			return nil, err
		}
		small, err := modelfile.SmallBytes(c, b)
		if err != nil {
			return nil, err
		}
		soul := int64(0)
		if d.SoulRank > 0 {
			if soul, err = d.soulBytes(c, b); err != nil {
				return nil, err
			}
		}
		s.shared = s.shared || s.tileID[b] != b
		one := tcn.Range{Lo: b, Hi: b + 1}
		s.tile, s.small, s.soul = append(s.tile, tile), append(s.small, small), append(s.soul, soul)
		s.state, s.history = append(s.state, c.StateBytes(one)), append(s.history, c.HistoryRows(one))
	}
	return s, nil
}

// soulBytes is one Soul's slice for block b.
func (d Demand) soulBytes(c tcn.Config, b int) (int64, error) {
	if d.soulForm() == modelfile.SoulQ8 {
		return modelfile.SoulBytesQ8(c, b, d.SoulRank)
	}
	return modelfile.SoulBytes(c, b, d.SoulRank)
}

func (d Demand) soulForm() modelfile.SoulForm {
	if d.SoulForm == "" {
		return modelfile.SoulF32
	}
	return d.SoulForm
}

// numbers gives blocks of one name the number of the first of them. nil: every
// block has a name of its own.
func numbers(what string, names []string, blocks int) ([]int, error) {
	if names != nil && len(names) != blocks {
		return nil, fmt.Errorf("%w: %d %s for %d blocks", ErrArgument, len(names), what, blocks)
	}
	list, first := make([]int, blocks), map[string]int{}
	for b := range list {
		list[b] = b
		if names == nil {
			continue
		}
		if earlier, known := first[names[b]]; known {
			list[b] = earlier
		} else {
			first[names[b]] = b
		}
	}
	return list, nil
}

func (s *sizes) blocks() int { return len(s.tile) }

// beside is what holding block b takes beside its tile.
func (s *sizes) beside(b int) int64 {
	return s.small[b] + int64(s.demand.Souls)*s.soul[b] + int64(s.demand.Sessions)*s.state[b]
}

// Need is what this implementation takes, in bytes.
type Need struct {
	Parameters    int64              `json:"parameters"` // what the config makes
	Blocks        int                `json:"blocks"`
	TileBytes     int64              `json:"tile_bytes"`  // files of W_in, W_dw, W_out: each tile once
	SmallBytes    int64              `json:"small_bytes"` // files of norm gains, scales, routing: each once
	EndsBytes     int64              `json:"ends_bytes"`  // file of embedding, positions, final norm
	FileBytes     int64              `json:"file_bytes"`  // all of the above
	BitsPerWeight float64            `json:"bits_per_weight"`
	StateBytes    int64              `json:"state_bytes"` // rings of one session, however long its text
	Sessions      int                `json:"sessions"`
	SoulBytes     int64              `json:"soul_bytes"` // one Soul of SoulRank
	Souls         int                `json:"souls"`
	SoulRank      int                `json:"soul_rank"`
	SoulForm      modelfile.SoulForm `json:"soul_weights,omitempty"` // of those Souls; absent without
	Workspace     int64              `json:"workspace_bytes"`        // of one Step
	Total         int64              `json:"total_bytes"`            // files, Souls, state of all sessions, workspace
	GPU           GPU                `json:"gpu"`
	FitsOne       bool               `json:"fits_one"`
	Left          int64              `json:"left_bytes"` // of one GPU; negative: missing
}

// Needs is what m takes on one GPU. Errors: [ErrArgument], tcn.ErrConfig,
// modelfile.ErrTensor.
func Needs(m Model, d Demand, gpu GPU) (Need, error) {
	s, err := measure(m, d)
	if err != nil {
		return Need{}, err
	}
	if err := gpu.validate(); err != nil {
		return Need{}, err
	}
	p := m.Config.Parameters()
	n := Need{
		Parameters: p.Total, Blocks: s.blocks(), GPU: gpu,
		Sessions: d.Sessions, Souls: d.Souls, SoulRank: d.SoulRank,
		StateBytes: m.Config.StateBytes(m.Config.All()),
		Workspace:  Workspace(m.Config, d.SoulRank),
	}
	if d.SoulRank > 0 {
		n.SoulForm = d.soulForm()
	}
	if n.EndsBytes, err = modelfile.EndsBytes(m.Config); err != nil {
		return Need{}, err
	}
	tileBits := int64(0)
	for b := range s.blocks() {
		tileBits += 8 * s.tile[b]
		if s.tileID[b] == b {
			n.TileBytes += s.tile[b]
		}
		if s.smallID[b] == b {
			n.SmallBytes += s.small[b]
		}
		n.SoulBytes += s.soul[b]
	}
	n.BitsPerWeight = float64(tileBits) / float64(p.Matrices)
	n.FileBytes = n.TileBytes + n.SmallBytes + n.EndsBytes
	n.Total = n.FileBytes + int64(d.Souls)*n.SoulBytes + int64(d.Sessions)*n.StateBytes + n.Workspace
	n.FitsOne, n.Left = n.Total <= gpu.Memory, gpu.Memory-n.Total
	return n, nil
}

// Workspace is the memory that a Step of StepRows rows computes in: the rows, the
// halves of the gate, int8 rows, and a Soul's terms if its rank is not 0.
func Workspace(c tcn.Config, rank int) int64 {
	d, f := int64(c.DModel), int64(c.DFF)
	numbers := 4*d + 3*f // x, its copy, what W_in reads, what W_out gives; a, g, y
	if c.Cell == tcn.CellPaper {
		numbers += d // what the convolution gives
	}
	if rank > 0 {
		numbers += int64(rank) + max(2*f, d)
	}
	return StepRows * (4*numbers + max(d, f))
}

// usable is the memory of a GPU that may hold blocks.
func usable(g GPU, c tcn.Config, rank int) int64 {
	return g.Memory - min(Reserve, int64(ReserveShare*float64(g.Memory))) - Workspace(c, rank)
}
