package pt

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// readEntries sorts the archive's entries and gives the pickle. Entries are
// known by name alone; no name is ever used as a path.
func (c *Checkpoint) readEntries(archive *zip.Reader) ([]byte, error) {
	byName, err := entriesByName(archive)
	if err != nil {
		return nil, err
	}
	var root string
	var pickle *zip.File
	for name, f := range byName {
		if path.Base(name) != "data.pkl" {
			continue
		}
		if pickle != nil {
			return nil, fmt.Errorf("%w: two pickles, %q and %q", ErrFormat, pickle.Name, name)
		}
		pickle, root = f, strings.TrimSuffix(name, "data.pkl")
	}
	if pickle == nil {
		return nil, fmt.Errorf("%w: the archive has no data.pkl", ErrFormat)
	}
	for name, f := range byName {
		if key, ok := strings.CutPrefix(name, root+"data/"); ok {
			c.storages[key] = f
		}
	}
	if f := byName[root+"byteorder"]; f != nil {
		text, err := readEntry(f, 16)
		if err != nil {
			return nil, err
		}
		switch strings.TrimSpace(string(text)) {
		case "little":
		case "big":
			c.order = binary.BigEndian
		default:
			return nil, fmt.Errorf("%w: byteorder %q", ErrFormat, text)
		}
	}
	return readEntry(pickle, PickleBytes)
}

func entriesByName(archive *zip.Reader) (map[string]*zip.File, error) {
	if len(archive.File) > Entries {
		return nil, fmt.Errorf("%w: %d entries, limit %d", ErrTooLarge, len(archive.File), Entries)
	}
	byName := make(map[string]*zip.File)
	for _, f := range archive.File {
		switch {
		case !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "\\\x00"):
			return nil, fmt.Errorf("%w: entry %q leads out of the archive", ErrFormat, f.Name)
		case byName[f.Name] != nil:
			return nil, fmt.Errorf("%w: entry %q comes twice", ErrFormat, f.Name)
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, fmt.Errorf("%w: entry %q is compressed by method %d, want stored or deflated", ErrFormat, f.Name, f.Method)
		case f.Method == zip.Deflate && f.UncompressedSize64 > DeflatedBytes:
			return nil, fmt.Errorf("%w: deflated entry %q of %d bytes, limit %d", ErrTooLarge, f.Name, f.UncompressedSize64, DeflatedBytes)
		case f.UncompressedSize64 > StorageBytes:
			return nil, fmt.Errorf("%w: entry %q of %d bytes, limit %d", ErrTooLarge, f.Name, f.UncompressedSize64, int64(StorageBytes))
		}
		byName[f.Name] = f
	}
	return byName, nil
}

// readEntry reads an entry of at most limit bytes.
func readEntry(f *zip.File, limit uint64) ([]byte, error) {
	if f.UncompressedSize64 > limit {
		return nil, fmt.Errorf("%w: entry %q of %d bytes, limit %d", ErrTooLarge, f.Name, f.UncompressedSize64, limit)
	}
	var data bytes.Buffer
	err := copyEntry(&data, f)
	return data.Bytes(), err
}

// copyEntry copies an entry to w and checks its length and checksum. What w
// keeps grows with what is really there, whatever size the archive declares.
func copyEntry(w io.Writer, f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%w: entry %q: %w", ErrFormat, f.Name, err)
	}
	defer func() { _ = r.Close() }() // read only
	// One byte more than declared, so that the reader reaches its checksum.
	n, err := io.CopyN(w, r, int64(f.UncompressedSize64)+1)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: entry %q: %w", ErrFormat, f.Name, err)
	}
	if uint64(n) != f.UncompressedSize64 {
		return fmt.Errorf("%w: entry %q has %d bytes or more, %d are declared", ErrFormat, f.Name, n, f.UncompressedSize64)
	}
	return nil
}

// readSpan reads the numbers [first, last] of a storage, whose extent has been
// checked. The first read of a storage checks all of it.
func (c *Checkpoint) readSpan(s storage, first, last int64) ([]byte, error) {
	f := c.storages[s.key]
	if !c.whole[f] {
		if err := copyEntry(io.Discard, f); err != nil {
			return nil, err
		}
		c.whole[f] = true
	}
	size := int64(s.kind.Size())
	from, length := first*size, (last-first+1)*size
	if f.Method == zip.Store {
		start, err := f.DataOffset()
		if err != nil {
			return nil, fmt.Errorf("%w: entry %q: %w", ErrFormat, f.Name, err)
		}
		raw := make([]byte, length)
		_, err = io.ReadFull(io.NewSectionReader(c.file, start+from, length), raw)
		return raw, err
	}
	var data bytes.Buffer
	if err := copyEntry(&data, f); err != nil {
		return nil, err
	}
	return data.Bytes()[from : from+length], nil
}
