package p2p

import "time"

// Everything a stranger can make grow, with the reason for its bound. The numbers
// are fixed rather than scaled to the machine: a limit that depends on the machine
// is one nobody has tested.
const (
	// KeyFileBytes bounds the identity file; an Ed25519 key takes 68 bytes.
	KeyFileBytes = 4 << 10

	// ConnectionsLow and ConnectionsHigh are the watermarks of the connection
	// manager: above High it closes the least useful connections down to Low. A
	// routing table holds a few dozen peers and a chain about ten.
	ConnectionsLow  = 96
	ConnectionsHigh = 160
	// ConnectionGrace spares a new connection from trimming until it could prove
	// its use.
	ConnectionGrace = 20 * time.Second

	// Connections is the hard ceiling, above ConnectionsHigh by as many as may
	// arrive between two trims.
	Connections = 384
	// ConnectionsPerPeer matches the dials that libp2p runs at once to one peer.
	ConnectionsPerPeer = 8
	// ConnectionsPerIP4 and ConnectionsPerIP6Net keep one address, or one IPv6 /56
	// (one customer), from filling the table. A site behind one NAT, such as a
	// rack, may hold that many nodes; loopback is exempt.
	ConnectionsPerIP4    = 16
	ConnectionsPerIP6Net = 16
	// ConnectionRatePerIP and ConnectionBurstPerIP bound handshakes a second from
	// one address. libp2p's own 0.2 throttles sites behind a NAT.
	ConnectionRatePerIP  = 2
	ConnectionBurstPerIP = 32

	// Streams bounds all streams of a host, StreamsPerPeer those with one peer:
	// stage streams, two gossip streams, bitswap, DHT questions.
	Streams        = 4096
	StreamsPerPeer = 256
	// StageStreams and StageStreamsPerPeer bound streams of the stage protocol, each
	// way. A session takes one stream from each hop to the next and one from its
	// gateway to each hop. 192 to one peer are 64 sessions of our own, with rows and
	// control, and the rows of 64 that others sent through us; QUIC takes 256 of a
	// connection, and gossip, the DHT and bitswap need theirs.
	StageStreams        = 1024
	StageStreamsPerPeer = 192
	// StageBacklog is how many accepted stage streams may wait for Accept; more are
	// reset, so that a flood costs the flooder its streams and us nothing.
	StageBacklog = 64

	// ExchangeStreamsPerPeer bounds exchanges of claims with one peer, each way:
	// one runs at a time, the second overlaps the end of the first, and a peer may
	// share two Genomes with us.
	ExchangeStreamsPerPeer = 4
	// ExchangeStreams bounds them over all peers.
	ExchangeStreams = 64

	// HostMemory bounds the buffers of the whole host, PeerMemory those of one peer:
	// QUIC's windows (15 MiB a connection at most) and what protocols reserve.
	HostMemory = 1 << 30
	PeerMemory = 128 << 20

	// KnownPeers is how many peers peers.json remembers, AddressesPerPeer how many
	// addresses of each. Twice the routing table's useful depth; a dead one costs a
	// dial at start.
	KnownPeers       = 64
	AddressesPerPeer = 8
	// KnownPeersBytes bounds the file: KnownPeers times AddressesPerPeer addresses
	// of at most 256 bytes each.
	KnownPeersBytes = KnownPeers * AddressesPerPeer * 256

	// BootstrapPeers bounds the explicit --bootstrap addresses; each has a goroutine.
	BootstrapPeers = 64

	// DiscoveredBacklog is how many discovered peers may wait to be dialled, and
	// Dials how many dials run at once. More discoveries are dropped: each way of
	// finding peers repeats.
	DiscoveredBacklog = 64
	Dials             = 8

	// ProviderRecords bounds the provider records that a DHT server keeps for
	// others, about 100 bytes each, and ProviderAge how long it keeps one. A grid
	// provides one key per Genome and one per file, anew each ProvideInterval.
	ProviderRecords = 1 << 16
	ProviderAge     = time.Hour

	// TablePeersPerIPGroup and BucketPeersPerIPGroup bound how many peers of one
	// IPv4 /16 or one IPv6 AS the DHT's routing table and each of its buckets hold,
	// so that whoever owns a few networks cannot fill it. Loopback and private
	// addresses are exempt: a connection from one cannot come from a stranger's
	// network, and a rack must fit.
	TablePeersPerIPGroup  = 6
	BucketPeersPerIPGroup = 2
)

// Limits on claims and their exchange.
const (
	// GossipMessageBytes bounds one gossip message of others: many claims and the
	// protocol's own control lists.
	GossipMessageBytes = 64 << 10
	// GossipTopics bounds the topics a peer may tell us about: one per Genome.
	GossipTopics = 16
	// ClaimsPerNode is how many claims of one node are passed on each second. An
	// honest node says one thing a second at most, twice that after a change.
	ClaimsPerNode = 8
	// ClaimNodes is how many nodes may be heard in one second; the claims of more
	// are ignored until the next, and come by exchange.
	ClaimNodes = 4096

	// ExchangeTime bounds one exchange of claims, begin to end.
	ExchangeTime = 10 * time.Second
	// ExchangeMemory is reserved for each: a full digest and full entries.
	ExchangeMemory = 2 << 20

	// PeerRecords is how many addresses of other peers one exchange hands on, and
	// PeerRecordBytes how long each signed record may be: a key, a signature and
	// a dozen addresses.
	PeerRecords     = 32
	PeerRecordBytes = 2 << 10
	// GridPeers is how many peers of its grid a node connects to on its own. A grid
	// that is no larger is connected in full; chains of larger ones dial as needed.
	GridPeers = 48

	// EffectsBacklog is how many effects may wait for the daemon before news of
	// other nodes is dropped; what concerns this node's own ranges never is.
	EffectsBacklog = 1024

	// ProvidersAsked is how many providers one look into the DHT returns at most.
	ProvidersAsked = 32

	// IncarnationBytes bounds the file of the counter: 20 digits and a line end.
	IncarnationBytes = 32
)
