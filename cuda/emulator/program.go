package emulator

import (
	"sync/atomic"

	"github.com/zetagrid/zetagrid/cuda/emulator/ptx"
)

// lanes is one register of a warp.
type lanes [32]uint64

// allLanes is the mask of a whole warp.
const allLanes = 0xffffffff

// form is what the loop over instructions does with one.
type form uint8

const (
	plainForm   form = iota // lane by lane, registers to a register
	runForm                 // run does it
	branchForm              // to target
	indexForm               // to one of table
	exitForm                // the thread ends
	barrierForm             // waits for the block
	syncForm                // waits for the members of the warp, then run does it
	calledForm              // nothing: the code of the function called is there already
)

// instruction is one instruction, decoded: numbers of registers and functions. What
// every one needs comes first, in one line of the processor's cache.
type instruction struct {
	form       form
	guardNot   uint8 // 1: it is negated
	aligned    bool  // a barrier that all lanes of a warp reach together
	lays       bool  // run reads and writes registers as they lie
	guard      int32 // register of predicates; -1: none
	d, a, b, c int32 // registers; of predicates where run says so; -1: none
	target     int32
	lane       lane
	wide       func(d, a, b, c *lanes) // the same for a whole warp; nil: lane does it
	run        func(w *warp, in *instruction, active uint32)
	reads      []int32 // registers that run takes lane by lane, if it does not lay them
	writes     []int32
	many       []int32 // registers of a vector
	more       []int32 // of a second
	rest       []int32 // of a third
	table      []int32 // targets
	offset     uint64
	access     int32 // number of the access, for what each warp remembers of it
	size       uint8 // bytes of an element
	not        uint8 // bit i: predicate operand i is negated
	kind       uint8 // what run tells apart
	space      ptx.Space
	generic    bool // an address of any space
	uniform    bool // the address, or the members, are the same for all lanes
	negative   uint // bits to extend a loaded sign from; 0: none
	all        uint64
	test       func(a, b uint64) bool
	line       int32
	name       string
}

// constant is a register that every lane of every warp finds filled.
type constant struct {
	register int32
	value    uint64
}

// special is a register that is filled when a block begins.
type special struct {
	register int32
	fixed    bool // launches of one shape find the same
	flat     bool // and all lanes
	value    func(w *warp, lane int) uint64
}

// program is one kernel, decoded.
type program struct {
	name       string
	code       []instruction
	registers  int // of numbers
	predicates int
	constants  []constant
	specials   []special
	static     int64                    // bytes of shared memory that the kernel declares
	aligned    int64                    // of its dynamic shared memory
	local      int64                    // bytes of local memory of a thread
	fixed      []constant               // predicates that are constant
	params     int64                    // bytes of its parameters
	accesses   int                      // instructions that reach global memory
	parts      []straight               // the code, and which registers are alive where
	alive      []atomic.Pointer[bitset] // before each instruction, once somebody asked
	// The smallest piece of shared and of global memory that an instruction touches
	// at once, as a power of two.
	grain, globalGrain uint8
}

// Name is the kernel's.
func (p *program) Name() string { return p.name }
