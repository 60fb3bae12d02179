package modelfile

// Limits on what a stranger can grow.
const (
	// ManifestBytes bounds a manifest, 1 MiB: one bitswap block, and room for
	// 15,000 tiles.
	ManifestBytes = 1 << 20
	// ConfigBytes bounds a config.json, 1 MiB: it is a handful of numbers.
	ConfigBytes = 1 << 20
	// SumMembers bounds the members of a weighted sum of Souls: every member is
	// computed in every layer of every row.
	SumMembers = 16
	// ProvenanceEntries bounds the facts in a manifest's provenance.
	ProvenanceEntries = 64
	// ProvenanceKeyBytes bounds the name of one such fact.
	ProvenanceKeyBytes = 64
	// ProvenanceValueBytes bounds one such fact.
	ProvenanceValueBytes = 4096
	// TemplateBytes bounds each string of a prompt template.
	TemplateBytes = 4096
	// StopStrings bounds the stop strings of a prompt template: each is searched
	// for at every byte generated.
	StopStrings = 16
)

// LeafBytes is the size of the leaves a file is cut into, 1 MiB: the largest
// that every IPFS implementation takes.
const LeafBytes = 1 << 20
