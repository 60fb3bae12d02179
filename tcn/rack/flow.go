package rack

import (
	"sync"

	"github.com/zetagrid/zetagrid/tcn"
)

// groupRows is the fewest rows of a group. A device reads its weights once per
// group: below some tens of rows that is what a group costs, and two of them would
// take longer than one of twice the rows.
const groupRows = 64

// rowsOfGroup is how many rows a group of a Step of rows has at most.
func (s *stage) rowsOfGroup(rows int) int {
	groups := rows / groupRows
	if len(s.parts) == 1 || groups < 2 {
		return max(1, rows)
	}
	return (rows + groups - 1) / groups
}

// piece is consecutive rows of one Work, on their way through the parts.
type piece struct {
	work  tcn.Work  // State is set by each part
	of    *tcn.Work // whose rows they are
	group int
	last  bool // piece of its Work
}

// cut cuts the rows of the queue into groups of rows each, the last of what is
// left, and appends their pieces to pieces, in order.
func cut(pieces []piece, queue []*tcn.Work, width, rows int) []piece {
	group, left := 0, rows
	for _, w := range queue {
		for done := 0; done < w.Rows.Count; {
			if left == 0 {
				group, left = group+1, rows
			}
			n := min(w.Rows.Count-done, left)
			pieces = append(pieces, piece{of: w, group: group, last: done+n == w.Rows.Count, work: tcn.Work{
				Variant: w.Variant,
				Rows:    tcn.Rows{Position: w.Rows.Position + done, Count: n, Data: w.Rows.Data[done*width : (done+n)*width]},
			}})
			done, left = done+n, left-n
		}
	}
	return pieces
}

// flow takes all pieces through all parts, and returns the failure of a device.
func (s *stage) flow(pieces []piece) error {
	if len(pieces) == 0 {
		return nil
	}
	if pieces[len(pieces)-1].group > 0 {
		return s.pipeline(groupsOf(pieces))
	}
	for p := range s.parts {
		if err := s.run(p, pieces); err != nil {
			return s.lose(err)
		}
	}
	return nil
}

// groupsOf is the pieces of each group.
func groupsOf(pieces []piece) [][]piece {
	var groups [][]piece
	for lo := 0; lo < len(pieces); {
		hi := lo
		for hi < len(pieces) && pieces[hi].group == pieces[lo].group {
			hi++
		}
		groups = append(groups, pieces[lo:hi])
		lo = hi
	}
	return groups
}

// pipeline takes groups through the parts: each part at its own pace, the groups
// in their order. What a part computes does not depend on the pace of another.
func (s *stage) pipeline(groups [][]piece) error {
	errs := make([]error, len(s.parts))
	// ready[p] holds the groups that are ready for part p, as many as there are:
	// nobody waits to send, also when the part behind has given up.
	ready := make([]chan []piece, len(s.parts)+1)
	for p := range ready {
		ready[p] = make(chan []piece, len(groups))
	}
	for _, group := range groups {
		ready[0] <- group
	}
	close(ready[0])
	serve := func(p int) {
		defer close(ready[p+1])
		for group := range ready[p] {
			if errs[p] = s.run(p, group); errs[p] != nil {
				return
			}
			ready[p+1] <- group
		}
	}
	var running sync.WaitGroup
	last := len(s.parts) - 1
	for p := range last {
		running.Go(func() { serve(p) })
	}
	serve(last)
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return s.lose(err)
		}
	}
	return nil
}

// run takes a group through part p. A piece that failed before goes no further.
func (s *stage) run(p int, group []piece) error {
	part := s.parts[p]
	batch := part.batch[:0]
	for i := range group {
		piece := &group[i]
		in := piece.of.State.(*state).in(p)
		if in != nil && piece.work.Err == nil {
			piece.work.State = in
			batch = append(batch, &piece.work)
		}
	}
	part.batch = batch
	if len(batch) == 0 {
		return nil
	}
	return part.named(part.stage.Step(batch))
}

// settle gives each Work the first error of its pieces and moves its state.
func settle(pieces []piece) {
	for i := range pieces {
		p := &pieces[i]
		if p.of.Err == nil {
			p.of.Err = p.work.Err
		}
		if p.last {
			p.of.State.(*state).settle(p.of)
		}
	}
}
