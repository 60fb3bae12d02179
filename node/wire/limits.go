package wire

const (
	// HeaderBytes is the size of the fixed header.
	HeaderBytes = 64

	// PayloadBytes bounds what follows a header: 16 rows of the widest planned
	// model (d_model 16,384, f32) fill it, and a reader never holds more than
	// this for one stream.
	PayloadBytes = 1 << 20

	// HopsPerChain bounds a chain, and with it the timings behind the rows: a
	// trillion parameters is 39 blocks of the widest preset, so 256 hops of one
	// block leave room for deeper models.
	HopsPerChain = 256

	// RowsPerFrame bounds one frame's rows; a prompt goes in pieces so that
	// other sessions' bytes get their turn in between.
	RowsPerFrame = 64

	// RowsInFlight bounds a session's window: rows sent whose output has not
	// come back. Four full frames keep a chain of a few hops busy in prefill.
	RowsInFlight = 256

	// Position bounds a text: far beyond any, and small enough that adding rows
	// to it never overflows.
	Position = 1 << 48

	// openBytes bounds the payload of an Open and the text of a refusal: two
	// CIDs, two peer IDs and fixed fields come to less than 300 bytes.
	openBytes = 512

	// CIDBytes and peerBytes bound an identifier inside an Open. CIDv1 with
	// SHA-256 takes 36 bytes, an Ed25519 peer ID 38.
	CIDBytes  = 64
	peerBytes = 64
)
