package ptx

// How much a text may ask for. Kernels of this repository stay far below.
const (
	MaxText      = 8 << 20 // bytes of a text
	MaxRegisters = 1 << 17 // registers of all functions
	MaxCode      = 1 << 18 // instructions of all functions
	MaxVariable  = 1 << 20 // bytes of a variable
	MaxVariables = 1 << 12 // of a module, and of a function
	MaxOperands  = 256     // of an instruction, or in a list
	MaxFunctions = 1 << 10
	MaxNesting   = 16 // of braces in a body, and of operands
)
