package node

import (
	"time"

	"github.com/zetagrid/zetagrid/node/session"
)

const (
	// sessionsPerGateway bounds the sessions one gateway may have open at a hop;
	// four times the sixteen prompts a busy front end sends at once.
	sessionsPerGateway = 64

	// sessionsPerNode bounds the sessions of all gateways at a hop.
	sessionsPerNode = 512

	// generationsPerNode bounds the prompts this node answers as a gateway.
	generationsPerNode = 128

	// stateShare is the part of the state budget that one gateway may fill.
	stateShare = 4 // a quarter

	// stateBytesDefault is the memory for sessions' rings when the device does
	// not say what it has for them.
	stateBytesDefault = 4 << 30

	// firstFrameTimeout bounds the wait for a new stream's first frame.
	firstFrameTimeout = 2 * time.Second

	// idleTimeout frees a session for which no frame came for so long.
	idleTimeout = 30 * time.Second

	// writeTimeout bounds one frame's write to a peer that does not read.
	writeTimeout = 15 * time.Second

	// variantTimeout bounds the fetching of a Model's and a Soul's slices for
	// one session.
	variantTimeout = 45 * time.Second

	// batchRows bounds the rows of one executor batch, so that a byte never
	// waits longer than a few chunks of somebody's prompt.
	batchRows = 256

	// variantsPerNode bounds the (Model, Soul) pairs held in memory.
	variantsPerNode = 64

	// piecesQueued bounds what a slow caller leaves unread: past it the next
	// byte's row waits. piecesPerLap is the most bytes one lap lets go, all that
	// a stop sequence held back.
	piecesQueued = 1024
	piecesPerLap = session.StopBytes
)

const (
	// deviceTries bounds how often a lost device is opened again, with pauses of
	// devicePause, twice that, and so on up to devicePauseMost: some minutes in
	// all. One that then worked for deviceProven may fail as often again.
	deviceTries     = 10
	devicePause     = 500 * time.Millisecond
	devicePauseMost = time.Minute
	deviceProven    = 10 * time.Minute
)

const (
	// fileSlack is what a tensor file may be larger than its numbers: a header
	// of names and the padding that aligns tensors.
	fileSlack = 1 << 20

	// tilesFetched bounds the tiles fetched and mapped at once.
	tilesFetched = 4
)

const (
	// shutdownGrace is how long Close waits for answers under way.
	shutdownGrace = 3 * time.Second

	// farewellTime is how long Close waits for the neighbours to know.
	farewellTime = 500 * time.Millisecond

	// lostGrace is how long the reason for a broken stream may take to arrive on
	// another one.
	lostGrace = 500 * time.Millisecond

	// reportInterval is how often a change of speed or room may be announced.
	reportInterval = 2 * time.Second

	// provideTimeout bounds one announcement in the DHT, provideInterval is the
	// time between two: records are kept for two days.
	provideTimeout  = 30 * time.Second
	provideInterval = 6 * time.Hour

	// searchInterval is how often a start says that it still waits for the Model.
	searchInterval = 10 * time.Second

	// watchInterval is how soon an expired lease becomes an event.
	watchInterval = time.Second

	// eventsQueued bounds the events a caller leaves unread.
	eventsQueued = 64
)
