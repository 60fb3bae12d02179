package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/tcn"
)

// byteSize is a number of bytes written as people do: 0, 512MB, 8GiB.
type byteSize int64

// UnmarshalText reads a size. Errors: not a number with an optional unit, or
// 8 EiB and more.
func (b *byteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is no size such as 0, 512MB or 8GiB", text)
	}
	*b = byteSize(n)
	return nil
}

// seed is what draws depend on.
type seed uint64

// UnmarshalText reads a seed as the HTTP API does. Errors: not a whole number
// from -2⁶³ to 2⁶⁴-1.
func (s *seed) UnmarshalText(text []byte) error {
	n, err := api.ParseSeed(string(text))
	if err != nil {
		return fmt.Errorf("%q is no seed; it must be a whole number from -2^63 to 2^64-1", text)
	}
	*s = seed(n)
	return nil
}

// blockRange is a half-open range of Fractal Blocks written LO-HI: 0-2 is the
// blocks 0 and 1.
type blockRange tcn.Range

// UnmarshalText reads a range. Errors: not two numbers, or empty, or reversed.
func (r *blockRange) UnmarshalText(text []byte) error {
	lo, hi, found := strings.Cut(string(text), "-")
	from, err1 := strconv.ParseUint(lo, 10, 31)
	to, err2 := strconv.ParseUint(hi, 10, 31)
	if !found || err1 != nil || err2 != nil || from >= to {
		return fmt.Errorf("%q is no range of blocks; 0-2 is the blocks 0 and 1", text)
	}
	r.Lo, r.Hi = int(from), int(to)
	return nil
}

// ranges converts a flag's ranges; none is nil.
func ranges(list []blockRange) []tcn.Range {
	var out []tcn.Range
	for _, r := range list {
		out = append(out, tcn.Range(r))
	}
	return out
}

// checkHostPort refuses what cannot be listened on.
func checkHostPort(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--api %q is no HOST:PORT with a port from 0 to 65535", address)
	}
	return nil
}

// dataFolder is the folder for what a node keeps, made if missing; "" is this
// user's own.
func dataFolder(named string) (string, error) {
	folder := named
	if folder == "" {
		base, err := userData()
		if err != nil {
			return "", &remedy{err, "name a folder with --data"}
		}
		folder = filepath.Join(base, "zetagrid")
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", &remedy{err, "name another folder with --data"}
	}
	return folder, nil
}

// userData is where programs keep data for this user.
func userData() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		return os.UserConfigDir()
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share"), err
}
