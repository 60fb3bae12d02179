package modelfile

import "errors"

// Errors that callers may test for; each comes wrapped with its coordinates.
var (
	// ErrManifest: bytes are not the one encoding of a valid manifest.
	ErrManifest = errors.New("modelfile: bad manifest")
	// ErrTooLarge: a size is past a limit of this package.
	ErrTooLarge = errors.New("modelfile: too large")
	// ErrConfig: a config.json is not one that can be read.
	ErrConfig = errors.New("modelfile: bad config.json")
	// ErrFolder: a model folder lacks something or does not fit together.
	ErrFolder = errors.New("modelfile: bad model folder")
	// ErrShapeOnly: a folder says how large a model is and holds none.
	ErrShapeOnly = errors.New("modelfile: shape only: no weights")
	// ErrCorrupt: a file does not have the content its CID names.
	ErrCorrupt = errors.New("modelfile: content does not match its CID")
	// ErrTensor: a tensor is missing, extra, misshapen or not finite.
	ErrTensor = errors.New("modelfile: bad tensor")
	// ErrOutput: the output folder cannot be made, or is in use.
	ErrOutput = errors.New("modelfile: bad output folder")
)
