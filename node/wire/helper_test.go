package wire

// session is the SessionID of the tests' frames.
var session = SessionID{0xa1, 0xb2, 0xc3, 0xd4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// rowsFrame is a frame of two rows that every check lets pass.
func rowsFrame() Frame {
	return Frame{
		Header: Header{
			Kind: KindRows, Session: session, Epoch: 1, Hop: 2, Timings: 2,
			Rows: 2, Position: 7, Done: 3, Want: 8,
		},
		Body: []byte{1, 2, 3, 4},
	}
}
