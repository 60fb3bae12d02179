package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/zetagrid/zetagrid/cuda"
	"github.com/zetagrid/zetagrid/tcn"
)

// duration keeps the signatures of measured calls short.
type duration = time.Duration

// lab is the device and what is loaded on it, one subject at a time.
type lab struct {
	options Options
	facts   Device
	block   subject // one block, for sequences of one row and one of many
	model   subject // a whole model, for a sequence with each Soul
	loaded  *loaded // nil: nothing
	of      *subject
}

// subject is something to measure.
type subject struct {
	config    tcn.Config
	sequences int
	souls     int   // they wear, in turn
	rows      int   // of a Step of one sequence, at most
	refused   error // why it cannot be loaded
}

func newLab(o Options) *lab {
	l := &lab{options: o, model: subject{config: o.Model, sequences: o.Souls, souls: o.Souls, rows: cuda.MaxRows}}
	if len(o.Decode) > 0 && len(o.Prompt) > 0 {
		l.block = subject{config: o.Block, sequences: max(slices.Max(o.Decode), o.Rack.Sessions), rows: slices.Max(o.Prompt)}
	}
	return l
}

// load makes a subject what is loaded. One that could not be is not tried again.
func (l *lab) load(s *subject) (*loaded, error) {
	if l.of == s {
		return l.loaded, nil
	}
	if s.refused != nil {
		return nil, s.refused
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	made, err := l.open(s)
	if err != nil {
		s.refused = err
		return nil, err
	}
	l.loaded, l.of = made, s
	return made, nil
}

// open loads a subject on a device that is opened for it.
func (l *lab) open(s *subject) (*loaded, error) {
	c := s.config
	w, err := newWeights(c, s.souls, soulRank)
	if err != nil {
		return nil, err
	}
	needs, err := cuda.NeedsOf(c, c.All(), w.blocks, cuda.Options{})
	if err != nil {
		return nil, err
	}
	d, err := l.options.Open()
	if err != nil {
		return nil, err
	}
	info := d.Info()
	l.facts = Device{info.Name, info.Memory, fmt.Sprintf("%d.%d", info.Major, info.Minor), info.Multiprocessors, info.Driver}
	made := &loaded{device: observe(d), config: c, needs: needs, input: rowsOf(max(s.rows, s.sequences), c.DModel)}
	if err := made.open(w, s.sequences); err != nil {
		_ = made.close() // the first error says more
		return nil, err
	}
	return made, nil
}

// close gives the device back.
func (l *lab) close() error {
	if l.loaded == nil {
		return nil
	}
	was := l.loaded
	l.loaded, l.of = nil, nil
	return was.close()
}
