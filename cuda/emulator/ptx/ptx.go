// Package ptx reads PTX, the text in which kernels are handed to a device.
//
// # Laws
//
//  1. What [Parse] returns is resolved: registers are numbers, labels are
//     positions in the code, names are variables. Nobody looks a name up again.
//  2. No text makes Parse panic or take memory out of proportion to its length:
//     see limits.go.
//  3. Every error is a [SyntaxError] with the line it was found in.
//
// # Limits
//
// It reads what NVRTC writes for kernels of one module: no textures, no
// alternate debug sections, no indirect calls. It knows the form of instructions,
// not their names: whether an instruction exists is for who runs it.
package ptx

import "fmt"

// Module is one PTX text.
type Module struct {
	Version   string // of the language, "7.1"
	Target    string // "sm_80"
	Variables []*Variable
	Functions []*Function
}

// Space is where a variable lies.
type Space uint8

// The spaces of variables.
const (
	Global Space = iota
	Const
	Shared
	Local
	Param
)

var spaces = map[string]Space{".global": Global, ".const": Const, ".shared": Shared, ".local": Local, ".param": Param}

// Variable is named memory.
type Variable struct {
	Name  string
	Space Space
	Align int64  // at least 1
	Size  int64  // bytes; 0 for an open array, whose size the launch gives
	Init  []byte // what it holds first, Size bytes at most; zeros follow
	Line  int
}

// Register is a virtual register.
type Register struct {
	Name string
	Type Type
}

// Function is a kernel, or a function that kernels call.
type Function struct {
	Name      string
	Entry     bool // a kernel
	Body      bool // false: declared here, defined nowhere
	Returns   []*Variable
	Params    []*Variable
	Variables []*Variable // declared in the body
	Registers []Register
	Code      []Instruction
	Line      int
}

// Instruction is one statement of a body.
type Instruction struct {
	Line     int
	Guard    int  // register of the guard; -1: none
	GuardNot bool // the guard is negated
	Name     string
	Parts    []string // Name at its dots: "add", "rn", "f32"
	Operands []Operand
}

// Kind is what an operand is.
type Kind uint8

// The kinds of operands.
const (
	None      Kind = iota // "_"
	Reg                   // a register
	Immediate             // a number
	Float32               // 0fXXXXXXXX or a decimal fraction: Value is the bits
	Float64               // 0dXXXXXXXXXXXXXXXX: Value is the bits
	Special               // a special register: Name is "tid.x"
	Symbol                // a variable, plus Offset
	Address               // [...]: List holds the base, or nothing; plus Offset
	Vector                // {...}: List
	Pair                  // d|p: List holds both
	Target                // a label: Value is the position in the code
	Targets               // a table of labels: Table
	Callee                // a function: Name
	List                  // (...): the parameters of a call
)

// Operand is what an instruction works on.
type Operand struct {
	Kind     Kind
	Not      bool // a predicate is negated
	Register int
	Value    uint64 // of an Immediate: two's complement
	Name     string
	Variable *Variable
	Offset   int64
	List     []Operand
	Table    []int
}

// SyntaxError is a text that is not PTX, or not of the part that is read here.
type SyntaxError struct {
	Line int
	Text string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("ptx: line %d: %s", e.Line, e.Text) }
