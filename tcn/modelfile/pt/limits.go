package pt

// Limits on what a stranger can grow.
const (
	// PickleBytes bounds the pickle, 16 MiB: about 100 bytes describe a tensor,
	// so the largest model the importer accepts takes 10 MiB.
	PickleBytes = 16 << 20
	// Opcodes bounds the pickle's instructions, and with them the values it can
	// make: about 25 describe a tensor, and one byte can make a dict.
	Opcodes = 4 << 20
	// Entries bounds the archive's entries, one per storage: 6 for each layer of
	// the largest model the package above accepts, and room to spare.
	Entries = 262_144
	// StorageBytes bounds one storage, 8 GiB: all tensors of a large Soul may
	// share one.
	StorageBytes = 8 << 30
	// DeflatedBytes bounds a compressed entry, 512 MiB unpacked, because it can
	// be a thousand times larger than its bytes. PyTorch compresses none.
	DeflatedBytes = 512 << 20
	// Dimensions bounds a tensor's shape, as PyTorch does.
	Dimensions = 64
)
