package safetensors

// Limits on what a stranger can grow.
const (
	// HeaderBytes bounds the JSON header, 16 MiB: 100 bytes for each of 65,536
	// tensors, twice over.
	HeaderBytes = 16 << 20
	// Tensors bounds the tensors of one file: 12 for each layer of the largest
	// model many times over.
	Tensors = 65_536
	// Dimensions bounds a tensor's shape.
	Dimensions = 8
	// NameBytes bounds a tensor's name.
	NameBytes = 256
)
