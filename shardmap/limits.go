package shardmap

// Limits on what strangers can make this package hold or do. Each is tested at
// the limit and one past it.
const (
	// ClaimBytes is the most a sealed claim may measure. The largest that can be
	// encoded today is 320 bytes; the rest is room for promises.
	ClaimBytes = 512

	// ClaimRanges is how many separate ranges one claim may hold: a node that
	// grew by filling holes holds a few, a claim with many is a mistake.
	ClaimRanges = 8

	// GenomeBytes bounds a Genome CID. A CIDv1 over SHA-256 has 36 bytes; 64
	// leaves room for the longest codec prefix with a 32-byte digest.
	GenomeBytes = 64

	// BlocksMost is how many Fractal Blocks a Genome may have. Coverage and
	// routing allocate a few words per block; a trillion weights are about a
	// thousand blocks.
	BlocksMost = 1 << 16

	// CounterMost bounds incarnation and sequence, so that "one more" cannot
	// wrap around.
	CounterMost = 1<<63 - 1

	// TableNodes is how many nodes the map remembers, itself and tombstones
	// included: about 10 MiB. A full digest of them still fits a 1 MiB frame.
	TableNodes = 16384

	// DigestBytes is a digest of a full table: a version byte, then per node a
	// public key, an incarnation and a sequence.
	DigestBytes = 1 + TableNodes*digestRecordBytes

	// EntriesBytes bounds one answer to a digest, so that it fits a 1 MiB frame
	// with its header. What did not fit goes with the next exchange.
	EntriesBytes = 1<<20 - 4096

	// RouteServers is how many servers of one block Route weighs, the cheapest
	// first. It bounds the work and memory of a route (6 MiB for 1,000 blocks)
	// whatever the table holds; no honest grid needs so many replicas.
	RouteServers = 256

	// RoundTripMost is the largest round trip believed, in microseconds.
	RoundTripMost = 60_000_000
)

// Times. All in the caller's monotonic milliseconds.
const (
	// LeaseLeast and LeaseMost bound the lease of a claim: 3 s notices a silent
	// death soon, 60 s keeps gossip in a large grid small.
	LeaseLeast Millis = 3_000
	LeaseMost  Millis = 60_000

	// LeasePerNode makes the lease grow with the grid. Every node publishes three
	// times a lease, so 30 ms a node keeps what each node hears near 100 claims
	// a second from 100 nodes on, up to 2,000 nodes where the lease is longest.
	LeasePerNode Millis = 30

	// TombstoneLeases is how long an expired claim is remembered, so that a copy
	// still under way cannot bring it back.
	TombstoneLeases = 10

	// PublishGap is the least time between claims that say nothing about ranges
	// or state, heartbeats apart.
	PublishGap Millis = 1_000

	// SettleHeard is how long a seeking node listens after the first claim it
	// hears before it chooses: a digest exchange takes a few round trips.
	SettleHeard Millis = 300

	// SettleAlone is how long a seeking node that could own every block waits to
	// hear anyone at all.
	SettleAlone Millis = 1_000

	// SettlePartial is the same for a node that cannot own every block: alone it
	// can serve nobody, so it does better to wait for company.
	SettlePartial Millis = 3_000

	// RankDelay is δ: the seeking node of rank k lets k·δ pass, so that those
	// before it move first and it sees them move.
	RankDelay Millis = 100

	// RankWait bounds k·δ; past it a node assumes that those before it move now.
	RankWait Millis = 1_000

	// Notice is how long a chosen range stands as a joining claim, at least,
	// before it is served: two nodes that chose alike see it, and one moves.
	Notice Millis = 200

	// MovesMost is how often a joining node gives way before it stays put.
	MovesMost = 4
)

// Costs that routing assumes for what nobody measured, in microseconds. They
// only order candidates; a measured node beats an unmeasured one of its kind.
const (
	unmeasuredRoundTrip = 100_000   // a distant peer
	unmeasuredBlock     = 10_000    // a slow processor
	fullCost            = 250_000   // no free slot: expect to wait or be refused
	suspectCost         = 2_000_000 // the connection was lost: last resort
)
