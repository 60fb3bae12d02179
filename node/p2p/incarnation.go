package p2p

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/zetagrid/zetagrid/node/internal/atomicfile"
	"github.com/zetagrid/zetagrid/shardmap"
)

// IncarnationFile is the name of the counter of starts in the data folder: a
// decimal number and a line end.
const IncarnationFile = "incarnation"

// ErrIncarnation says that the counter of starts holds no number of a start.
var ErrIncarnation = errors.New("malformed counter of starts")

// nextIncarnation counts one more start in dir and returns the count, which is
// durable before it is used: claims of an earlier run must rank below ours.
// Without a folder it is the time, for a node whose key lasts no longer either.
func nextIncarnation(dir string) (uint64, error) {
	if dir == "" {
		return uint64(max(1, time.Now().UnixMilli())), nil
	}
	path := filepath.Join(dir, IncarnationFile)
	data, err := readFileMax(path, IncarnationBytes)
	last := uint64(0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return 0, fmt.Errorf("counter of starts: %w", err)
		}
	case err != nil:
		return 0, fmt.Errorf("counter of starts: %w", err)
	default:
		if last, err = parseIncarnation(data); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
	next := last + 1
	if err := atomicfile.Write(path, strconv.AppendUint(nil, next, 10), 0o600); err != nil {
		return 0, fmt.Errorf("counter of starts: %w", err)
	}
	return next, nil
}

// parseIncarnation reads the counter, 1 to shardmap.CounterMost − 1 so that one
// more still counts.
func parseIncarnation(data []byte) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n == 0 || n >= shardmap.CounterMost {
		return 0, fmt.Errorf("%w: %q", ErrIncarnation, data)
	}
	return n, nil
}
