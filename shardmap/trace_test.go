package shardmap

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestTraces replays the plays in testdata. After a change, rewrite them with
//
//	go test ./shardmap -run TestTraces -rewrite
//
// and commit the difference only if you can say why each line changed.
func TestTraces(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d traces, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			env := &trace{}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return env.command(t, d) })
		})
	}
}

// trace plays one node against scripted others.
type trace struct {
	t   *testing.T
	m   *Map
	now Millis
	out strings.Builder
}

func (e *trace) command(t *testing.T, d *datadriven.TestData) string {
	e.t = t
	e.out.Reset()
	switch d.Cmd {
	case "new":
		e.create(d)
	case "run":
		for line := range strings.Lines(d.Input) {
			e.line(strings.TrimSpace(line))
		}
	case "route":
		e.route(d)
	case "view":
		for _, s := range e.m.View(e.now) {
			fmt.Fprintf(&e.out, "%s left=%d%s%s%s\n", show(s.Claim), s.Left,
				when(s.Self, " self"), when(s.RoundTripMicros > 0, fmt.Sprintf(" trip=%d", s.RoundTripMicros)), when(s.Suspect, " suspect"))
		}
	case "coverage":
		fmt.Fprintln(&e.out, e.m.Coverage(e.now))
	case "counts":
		fmt.Fprintf(&e.out, "%+v\n", e.m.Counts())
	case "wake":
		fmt.Fprintln(&e.out, e.m.NextWake(e.now))
	case "turn":
		var nodes []NodeID
		for _, name := range strings.Fields(d.Input) {
			nodes = append(nodes, node(name))
		}
		slices.SortFunc(nodes, e.m.turn)
		for _, n := range nodes {
			fmt.Fprintln(&e.out, nameOf(n))
		}
	case "exchange":
		e.exchange(d)
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	if e.out.Len() == 0 {
		return "nothing\n"
	}
	return e.out.String()
}

func (e *trace) create(d *datadriven.TestData) {
	self, blocks, most, incarnation := "a", 6, 0, uint64(1)
	d.MaybeScanArgs(e.t, "self", &self)
	d.MaybeScanArgs(e.t, "blocks", &blocks)
	d.MaybeScanArgs(e.t, "max", &most)
	d.MaybeScanArgs(e.t, "incarnation", &incarnation)
	m, err := New(Options{Self: node(self), Genome: testGenome, Blocks: blocks, Arithmetic: 1, Incarnation: incarnation, MaxNodes: most})
	if err != nil {
		fmt.Fprintln(&e.out, err)
		return
	}
	e.m, e.now = m, 0
}

// line plays "@time event" or "until time", which ticks at every NextWake.
func (e *trace) line(line string) {
	fields := strings.Fields(line)
	if fields[0] == "until" {
		e.until(Millis(e.number(fields[1])))
		return
	}
	e.now = Millis(e.number(strings.TrimPrefix(fields[0], "@")))
	fmt.Fprintln(&e.out, line)
	e.effects(e.m.Step(e.now, e.event(fields[1], fields[2:])))
}

func (e *trace) until(end Millis) {
	for wake := e.m.NextWake(e.now); wake <= end; wake = e.m.NextWake(e.now) {
		e.now = max(e.now, wake)
		if effects := e.m.Step(e.now, Ticked{}); len(effects) > 0 {
			fmt.Fprintf(&e.out, "@%d ticked\n", e.now)
			e.effects(effects)
		}
		if e.m.NextWake(e.now) <= e.now {
			e.t.Fatalf("@%d: a tick leaves the next at %d", e.now, e.m.NextWake(e.now))
		}
	}
	e.now = end
}

func (e *trace) effects(effects []Effect) {
	for _, effect := range effects {
		switch f := effect.(type) {
		case Publish:
			fmt.Fprintf(&e.out, "  publish %s\n", show(f.Claim))
		case Load:
			fmt.Fprintf(&e.out, "  load %v\n", f.Range)
		case Release:
			fmt.Fprintf(&e.out, "  release %v\n", f.Range)
		case Joined:
			fmt.Fprintf(&e.out, "  joined %s\n", nameOf(f.Node))
		case Lost:
			fmt.Fprintf(&e.out, "  lost %s: %v\n", nameOf(f.Node), f.Cause)
		case Refused:
			fmt.Fprintf(&e.out, "  refused: %v\n", f.Err)
		}
	}
}

func (e *trace) event(verb string, args []string) Event {
	switch verb {
	case "heard":
		return e.heard(args)
	case "ticked":
		return Ticked{}
	case "measured":
		return Measured{Node: node(args[0]), RoundTripMicros: int64(e.number(args[1]))}
	case "gone":
		return Gone{Node: node(args[0])}
	case "pin":
		return Pin{Ranges: e.ranges(args)}
	case "seek":
		return Seek{CapacityBlocks: e.number(args[0])}
	case "loaded":
		return Loaded{Ranges: e.ranges(args)}
	case "fail":
		return Fail{Reason: strings.Join(args, " ")}
	case "drain":
		return Drain{}
	case "speed":
		return Speed{BlockMicros: uint32(e.number(args[0])), FreeSlots: uint16(e.number(args[1]))}
	}
	e.t.Fatalf("unknown event %q", verb)
	return nil
}

// heard reads "NODE INCARNATION.SEQUENCE STATE [LO-HI…] [key=value…]".
func (e *trace) heard(args []string) Event {
	c := claimOf(node(args[0]), 1)
	left := Millis(-1)
	if _, err := fmt.Sscanf(args[1], "%d.%d", &c.Incarnation, &c.Sequence); err != nil {
		e.t.Fatal(err)
	}
	for c.State = 1; c.State.String() != args[2]; c.State++ {
		if c.State > Failed {
			e.t.Fatalf("unknown state %q", args[2])
		}
	}
	for _, arg := range args[3:] {
		key, value, pair := strings.Cut(arg, "=")
		switch {
		case !pair:
			c.Ranges = append(c.Ranges, e.ranges([]string{arg})...)
		case key == "left":
			left = Millis(e.number(value))
		case key == "lease":
			c.Lease = Millis(e.number(value))
		case key == "micros":
			c.BlockMicros = uint32(e.number(value))
		case key == "free":
			c.FreeSlots = uint16(e.number(value))
		case key == "genome":
			c.Genome = value
		case key == "arithmetic":
			c.Arithmetic = uint16(e.number(value))
		default:
			e.t.Fatalf("unknown key %q", key)
		}
	}
	if left < 0 {
		left = c.Lease
	}
	sealed, err := c.Seal(letters()[args[0]])
	if err != nil {
		sealed = nil // a claim that breaks the rules: Step must drop it
	}
	return Heard{Claim: c, Sealed: sealed, Left: left}
}

func (e *trace) route(d *datadriven.TestData) {
	var avoid []NodeID
	if arg, found := d.Arg("avoid"); found {
		for _, name := range arg.Vals {
			avoid = append(avoid, node(name))
		}
	}
	hops, err := e.m.Route(e.now, avoid)
	if err != nil {
		var uncovered *Uncovered
		if !errors.Is(err, ErrUncovered) || !errors.As(err, &uncovered) {
			e.t.Fatalf("Route: %v is no *Uncovered", err)
		}
		fmt.Fprintln(&e.out, err)
		return
	}
	for _, h := range hops {
		fmt.Fprintf(&e.out, "%s %v\n", nameOf(h.Node), h.Range)
	}
}

// exchange answers the digest of a node that knows the claims in the input,
// written as for heard, and shows the answer.
func (e *trace) exchange(d *datadriven.TestData) {
	other, err := New(Options{Self: node("z"), Genome: testGenome, Blocks: e.m.options.Blocks, Arithmetic: 1, Incarnation: 1})
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(d.Input) {
		other.Step(e.now, e.heard(strings.Fields(line)))
	}
	digest := other.Digest(e.now)
	answer, err := e.m.Newer(e.now, digest)
	if err != nil {
		e.t.Fatal(err)
	}
	entries, err := ParseEntries(answer)
	if err != nil {
		e.t.Fatal(err)
	}
	fmt.Fprintf(&e.out, "digest of %d\n", (len(digest)-1)/digestRecordBytes)
	for _, entry := range entries {
		c, err := Open(entry.Sealed)
		if err != nil {
			e.t.Fatal(err)
		}
		fmt.Fprintf(&e.out, "%s left=%d\n", show(c), entry.Left)
	}
}

func (e *trace) ranges(args []string) []Range {
	var ranges []Range
	for _, arg := range args {
		var r Range
		if _, err := fmt.Sscanf(arg, "%d-%d", &r.Lo, &r.Hi); err != nil {
			e.t.Fatalf("range %q: %v", arg, err)
		}
		ranges = append(ranges, r)
	}
	return ranges
}

func (e *trace) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

func show(c Claim) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d.%d %v", nameOf(c.Node), c.Incarnation, c.Sequence, c.State)
	for _, r := range c.Ranges {
		fmt.Fprintf(&b, " %v", r)
	}
	if c.Lease != LeaseLeast {
		fmt.Fprintf(&b, " lease=%d", c.Lease)
	}
	return b.String()
}

func when(yes bool, s string) string {
	if yes {
		return s
	}
	return ""
}
