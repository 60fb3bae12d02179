package p2p

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// errFileTooLong says that a file of ours outgrew its limit, so it is not ours.
var errFileTooLong = errors.New("file is longer than its limit")

// readFileMax reads a file of at most limit bytes.
func readFileMax(path string, limit int64) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w of %d bytes", path, errFileTooLong, limit)
	}
	return data, nil
}
