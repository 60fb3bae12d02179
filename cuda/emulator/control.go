package emulator

import (
	"slices"

	"github.com/zetagrid/zetagrid/cuda/device"
	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// control is instructions that say where to go on.
func (d *decoder) control(in *instruction) error {
	ops := d.in.Operands
	switch d.in.Parts[0] {
	case "bra":
		if len(ops) != 1 || ops[0].Kind != ptx.Target {
			return d.notKnown("a target that is no label")
		}
		in.form, in.target = branchForm, unresolved(ops[0].Value)
	case "brx":
		if len(ops) != 2 || ops[1].Kind != ptx.Targets {
			return d.notKnown("no table of targets")
		}
		in.form = indexForm
		for _, at := range ops[1].Table {
			in.table = append(in.table, unresolved(uint64(at)))
		}
		var err error
		in.a, err = d.source(ops[0], ptx.U32)
		return err
	case "ret", "exit":
		in.form = exitForm
		if d.in.Parts[0] == "ret" && d.depth > 1 {
			in.form, in.target = branchForm, unresolved(uint64(len(d.fn.Code)))
		}
	case "trap":
		in.form = runForm
		in.run = func(w *warp, in *instruction, active uint32) {
			w.fail(in, firstLane(active), device.ErrIllegalAccess, "trap")
		}
	case "call":
		in.form = calledForm
		return d.call(in)
	}
	return nil
}

// call puts the function's code here: its parameters lie where the caller's do.
func (d *decoder) call(in *instruction) error {
	var returns, passed []ptx.Operand
	var fn *ptx.Function
	for _, op := range d.in.Operands {
		switch {
		case op.Kind == ptx.List && fn == nil:
			returns = op.List
		case op.Kind == ptx.List:
			passed = op.List
		case op.Kind == ptx.Callee:
			fn = d.callee(op.Name)
		}
	}
	if fn == nil || !fn.Body {
		return d.notKnown("a function that is not in the text")
	}
	if in.guard >= 0 || len(returns) != len(fn.Returns) || len(passed) != len(fn.Params) {
		return d.notKnown("a call of a form not known here")
	}
	arguments := map[*ptx.Variable]uint64{}
	for i, v := range append(fn.Returns[:len(fn.Returns):len(fn.Returns)], fn.Params...) {
		op := append(returns[:len(returns):len(returns)], passed...)[i]
		if op.Kind != ptx.Symbol || op.Variable.Size < v.Size {
			return d.notKnown("an argument that does not fit")
		}
		at, err := d.symbol(op.Variable)
		if err != nil {
			return err
		}
		arguments[v] = at
	}
	return d.function(fn, arguments)
}

func runSync(w *warp, _ *instruction, _ uint32) {
	w.syncs++
	w.tick()
}

// What kind is for barriers.
const (
	syncBarrier   = iota
	arriveBarrier // does not wait
	popcBarrier   // and counts predicates
	andBarrier
	orBarrier
)

// barrier is bar and barrier.
func (d *decoder) barrier(in *instruction) error {
	parts := d.in.Parts[1:]
	if len(parts) > 0 && parts[0] == "warp" {
		in.form, in.run = syncForm, runSync
		if err := d.operands(1, 1); err != nil {
			return err
		}
		var err error
		in.c, err = d.source(d.in.Operands[0], ptx.U32)
		in.uniform = d.in.Operands[0].Kind == ptx.Immediate
		return err
	}
	if len(parts) > 0 && parts[0] == "cta" {
		parts = parts[1:]
	}
	in.form = barrierForm
	in.aligned = d.in.Parts[0] == "bar" || slices.Contains(parts, "aligned")
	if len(parts) == 0 {
		return d.notKnown("not known here")
	}
	ops := d.in.Operands
	var err error
	switch parts[0] {
	case "sync":
	case "arrive":
		in.kind = arriveBarrier
	case "red":
		return d.barrierOf(in, parts)
	default:
		return d.notKnown("not known here")
	}
	if err := d.operands(1, 2); err != nil {
		return err
	}
	if in.a, err = d.source(ops[0], ptx.U32); err == nil && len(ops) == 2 {
		in.b, err = d.source(ops[1], ptx.U32)
	}
	return err
}

// barrierOf is "bar.red.popc.u32 d, a, b, p".
func (d *decoder) barrierOf(in *instruction, parts []string) error {
	if err := d.operands(3, 4); err != nil {
		return err
	}
	ops := d.in.Operands
	var err error
	switch {
	case len(parts) > 1 && parts[1] == "popc":
		in.kind = popcBarrier
		in.d, err = d.result(ops[0], 32)
	case len(parts) > 1 && parts[1] == "and":
		in.kind = andBarrier
		in.d, _, err = d.predicate(ops[0])
	case len(parts) > 1 && parts[1] == "or":
		in.kind = orBarrier
		in.d, _, err = d.predicate(ops[0])
	default:
		return d.notKnown("not known here")
	}
	if err != nil {
		return err
	}
	if in.a, err = d.source(ops[1], ptx.U32); err != nil {
		return err
	}
	if len(ops) == 4 {
		if in.b, err = d.source(ops[2], ptx.U32); err != nil {
			return err
		}
	}
	in.c, in.not, err = d.predicate(ops[len(ops)-1])
	return err
}
