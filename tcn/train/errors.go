package train

import "errors"

// Errors that callers may test for; each comes wrapped with what is wrong.
var (
	// ErrConfig: the model is not one that can be trained so.
	ErrConfig = errors.New("train: cannot train this model")
	// ErrOptions: a number of the options is out of its range.
	ErrOptions = errors.New("train: bad option")
	// ErrCorpus: the text is too short, or not the one that was trained on.
	ErrCorpus = errors.New("train: bad corpus")
	// ErrDiverged: the loss or a gradient ceased to be finite.
	ErrDiverged = errors.New("train: diverged")
	// ErrCheckpoint: a file is no checkpoint, or one of something else.
	ErrCheckpoint = errors.New("train: bad checkpoint")
)
