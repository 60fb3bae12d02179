package wire

import "strconv"

// Code says why a hop refused. The list is part of the protocol: numbers are
// appended, never changed. Zero is no code.
type Code uint32

const (
	CodeMalformed    Code = 1 + iota // a frame or its payload does not decode
	CodeUnknownModel                 // the Model cannot be had, or its Genome is another
	CodeUnknownSoul                  // the Soul cannot be had, or fits another Genome
	CodeNotServed                    // the range is not loaded here
	CodeNoSlot                       // as many sessions as this peer or node may have
	CodeNoMemory                     // the state would pass the budget
	CodeEpoch                        // an epoch above the session's
	CodeWrongPeer                    // rows or a second open from a peer that the gateway did not name
	CodePosition                     // rows do not begin where the last ended
	CodeWindow                       // more rows in flight than the window
	CodeNotFinite                    // a row holds an infinity or not-a-number
	CodeStage                        // the device failed
	CodeNextHop                      // the next hop cannot be reached
	CodeClosing                      // the node is shutting down
	CodeIdle                         // no frame for longer than the idle limit
	CodePreviousHop                  // the previous hop's stream broke
	codeEnd
)

var codeText = [codeEnd]string{
	CodeMalformed:    "malformed frame",
	CodeUnknownModel: "unknown model",
	CodeUnknownSoul:  "unknown Soul",
	CodeNotServed:    "range not served here",
	CodeNoSlot:       "no free slot",
	CodeNoMemory:     "no memory for the state",
	CodeEpoch:        "unknown epoch",
	CodeWrongPeer:    "rows from a peer the gateway did not name",
	CodePosition:     "rows out of order",
	CodeWindow:       "window exceeded",
	CodeNotFinite:    "row is not finite",
	CodeStage:        "device failed",
	CodeNextHop:      "next hop cannot be reached",
	CodeClosing:      "node is shutting down",
	CodeIdle:         "session idle for too long",
	CodePreviousHop:  "previous hop lost",
}

// String names the code; one of a newer peer is named by its number.
func (c Code) String() string {
	if c == 0 || c >= codeEnd {
		return "refusal " + strconv.FormatUint(uint64(c), 10)
	}
	return codeText[c]
}
