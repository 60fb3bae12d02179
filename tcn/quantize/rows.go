package quantize

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// rowStore holds the rows of a text between two layers: in memory, or in a file
// when the budget is spent.
type rowStore struct {
	d, n   int
	memory []float32
	file   *os.File
	room   []byte
}

// budget is what is left of the memory for rows.
type budget int64

// newRowStore makes room for n rows of d numbers, in a file in dir unless they
// fit the budget.
func newRowStore(d, n int, left *budget, dir string) (*rowStore, error) {
	s := &rowStore{d: d, n: n}
	if size := budget(4 * int64(d) * int64(n)); size <= *left {
		*left -= size
		s.memory = make([]float32, n*d)
		return s, nil
	}
	file, err := os.CreateTemp(dir, rowsPattern)
	if err != nil {
		return nil, fmt.Errorf("rows of the text: %w", err)
	}
	s.file = file
	return s, nil
}

// read reads rows from at on: as many as out holds.
//
//	out [count, d]
func (s *rowStore) read(at int, out []float32) error {
	if s.file == nil {
		copy(out, s.memory[at*s.d:])
		return nil
	}
	s.room = grown(s.room, 4*len(out))
	if _, err := s.file.ReadAt(s.room, 4*int64(at)*int64(s.d)); err != nil {
		return fmt.Errorf("rows of the text: %w", err)
	}
	return binary.Read(bytes.NewReader(s.room), binary.LittleEndian, out)
}

// write writes rows from at on.
func (s *rowStore) write(at int, rows []float32) error {
	if s.file == nil {
		copy(s.memory[at*s.d:], rows)
		return nil
	}
	room, err := binary.Append(s.room[:0], binary.LittleEndian, rows)
	if err != nil {
		return err
	}
	s.room = room
	if _, err := s.file.WriteAt(room, 4*int64(at)*int64(s.d)); err != nil {
		return fmt.Errorf("rows of the text: %w", err)
	}
	return nil
}

// update calls change with pieces of the rows of s, and of other unless that is
// nil, and keeps what it leaves in those of s.
func (s *rowStore) update(other *rowStore, change func(rows, others []float32)) error {
	rows := make([]float32, stepRows*s.d)
	others := make([]float32, len(rows))
	for at := 0; at < s.n; at += stepRows {
		n := min(stepRows, s.n-at) * s.d
		err := s.read(at, rows[:n])
		if err == nil && other != nil {
			err = other.read(at, others[:n])
		}
		if err != nil {
			return err
		}
		change(rows[:n], others[:n])
		if err := s.write(at, rows[:n]); err != nil {
			return err
		}
	}
	return nil
}

// copyTo writes all rows to another store.
func (s *rowStore) copyTo(other *rowStore) error {
	rows := make([]float32, stepRows*s.d)
	for at := 0; at < s.n; at += stepRows {
		piece := rows[:min(stepRows, s.n-at)*s.d]
		if err := s.read(at, piece); err != nil {
			return err
		}
		if err := other.write(at, piece); err != nil {
			return err
		}
	}
	return nil
}

// close gives up the rows.
func (s *rowStore) close() error {
	s.memory = nil
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// grown returns buffer with length n, allocating only when it is too small.
func grown[T any](buffer []T, n int) []T {
	if n > cap(buffer) {
		return make([]T, n)
	}
	return buffer[:n]
}
