package session

import "errors"

// Errors a generation can end with; each comes wrapped with what a person needs
// to act on it. What was streamed before is a true prefix of the answer.
var (
	// ErrRequest: the request itself is wrong (empty prompt, bad sampling).
	ErrRequest = errors.New("bad request")
	// ErrTooLong: the prompt does not fit the model's positions or our limit.
	ErrTooLong = errors.New("prompt too long")
	// ErrModel: this gateway does not serve that model.
	ErrModel = errors.New("unknown model")
	// ErrSoul: no such Soul for this model.
	ErrSoul = errors.New("unknown Soul")
	// ErrUncovered: no chain of serving nodes covers all blocks; the text names
	// the missing ones.
	ErrUncovered = errors.New("blocks missing from the grid")
	// ErrHopLost: a hop went away during the generation.
	ErrHopLost = errors.New("hop lost")
	// ErrRefused: a hop refused the session; the text carries its reason.
	ErrRefused = errors.New("hop refused")
	// ErrDeadline: a lap took longer than its deadline.
	ErrDeadline = errors.New("lap past its deadline")
	// ErrBusy: the gateway or a hop has no free slot.
	ErrBusy = errors.New("no free slot")
	// ErrCanceled: the caller went away.
	ErrCanceled = errors.New("canceled")
)
