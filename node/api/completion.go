package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/zetagrid/zetagrid/node/session"
)

// Completion is a [Stream] that comes from a node's API.
type Completion struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	ended  func() error // of the context that Close and the caller's own end
	events *eventReader

	position int // of the next byte in the text
	logProbs bool
	ready    []session.Piece // decoded and not yet handed out
	err      error           // what Next returns after them

	model, soul string
	seed        uint64
	finish      session.Finish
	usage       session.Usage
}

var _ Stream = (*Completion)(nil)

// Next gives the next byte, or io.EOF after a complete answer.
func (c *Completion) Next() (session.Piece, error) {
	for len(c.ready) == 0 && c.err == nil {
		c.err = c.read()
	}
	if len(c.ready) == 0 {
		if c.err != io.EOF && errors.Is(c.ended(), context.Canceled) {
			return session.Piece{}, fmt.Errorf("%w: %w", session.ErrCanceled, c.err)
		}
		return session.Piece{}, c.err
	}
	piece := c.ready[0]
	c.ready = c.ready[1:]
	return piece, nil
}

// Finish says why the answer ended; valid after io.EOF.
func (c *Completion) Finish() session.Finish { return c.finish }

// Usage is what the answer cost; valid after io.EOF.
func (c *Completion) Usage() session.Usage { return c.usage }

// Seed is what the answer was drawn with; valid after the first Next.
func (c *Completion) Seed() uint64 { return c.seed }

// Model is the CID of the Model that answered; valid after the first Next.
func (c *Completion) Model() string { return c.model }

// Soul is the CID of the Soul it wore, "" for none; valid after the first Next.
func (c *Completion) Soul() string { return c.soul }

// Close ends the generation on every hop.
func (c *Completion) Close() error {
	c.cancel()
	return c.body.Close()
}

// read takes one event into the state; io.EOF is [DONE].
func (c *Completion) read() error {
	_, data, err := c.events.next()
	switch {
	case err == io.EOF:
		return fmt.Errorf("%w: the answer broke off: %w", session.ErrHopLost, io.ErrUnexpectedEOF)
	case err != nil:
		return err
	case string(data) == "[DONE]":
		if c.finish == "" {
			return fmt.Errorf("%w: an answer without a finish", ErrReply)
		}
		return io.EOF
	}
	return c.take(data)
}

// take decodes one event.
func (c *Completion) take(data []byte) error {
	var chunk struct {
		reply[completionChoice]
		envelope
	}
	if err := json.Unmarshal(data, &chunk); err != nil {
		return fmt.Errorf("%w: %w", ErrReply, err)
	}
	if chunk.Error != nil {
		return decodeError(0, data)
	}
	seed, err := ParseSeed(string(chunk.Seed))
	if err != nil {
		return fmt.Errorf("%w: seed: %w", ErrReply, err)
	}
	c.model, c.soul, c.seed = chunk.Model, chunk.Soul, seed
	if chunk.Usage != nil {
		c.usage = chunk.Usage.session()
	}
	for _, choice := range chunk.Choices {
		if err := c.choose(choice); err != nil {
			return err
		}
	}
	return nil
}

// choose takes a choice's bytes and their log-probabilities.
func (c *Completion) choose(choice completionChoice) error {
	if choice.Finish != nil {
		c.finish = *choice.Finish
	}
	table := choice.LogProbs
	if c.logProbs && len(choice.Bytes) > 0 &&
		(table == nil || len(table.LogProbs) != len(choice.Bytes) || len(table.Top) != len(choice.Bytes)) {
		return fmt.Errorf("%w: %d bytes without as many log-probabilities", ErrReply, len(choice.Bytes))
	}
	for i, b := range choice.Bytes {
		piece := session.Piece{Byte: b, Position: c.position}
		if c.logProbs {
			piece.LogProb = float32(math.NaN())
			if given := table.LogProbs[i]; given != nil {
				piece.LogProb = *given
			} else if c.position > 0 {
				return fmt.Errorf("%w: byte %d has no log-probability", ErrReply, c.position)
			}
			for token, logProb := range table.Top[i] {
				other, ok := byteOf(token)
				if !ok {
					return fmt.Errorf("%w: %.32q is no byte", ErrReply, token)
				}
				piece.Top = append(piece.Top, session.ByteLogProb{Byte: other, LogProb: logProb})
			}
			slices.SortFunc(piece.Top, func(a, b session.ByteLogProb) int {
				return cmp.Or(cmp.Compare(b.LogProb, a.LogProb), cmp.Compare(a.Byte, b.Byte))
			})
		}
		c.ready = append(c.ready, piece)
		c.position++
	}
	return nil
}

// eventReader reads server-sent events.
type eventReader struct {
	lines *bufio.Scanner
}

func newEventReader(r io.Reader) *eventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, EventBytes)
	return &eventReader{lines}
}

// next returns an event's kind and data, valid until the next call; io.EOF at
// the end of the stream. Data of several lines is more than any node sends.
func (e *eventReader) next() (kind string, data []byte, err error) {
	for e.lines.Scan() {
		line := e.lines.Bytes()
		if len(line) == 0 {
			if data != nil {
				return kind, data, nil
			}
			kind = ""
			continue
		}
		field, content, _ := bytes.Cut(line, []byte(":"))
		content = bytes.TrimPrefix(content, []byte(" "))
		switch string(field) {
		case "event":
			kind = string(content)
		case "data":
			if data != nil {
				return "", nil, fmt.Errorf("%w: an event of two lines", ErrReply)
			}
			data = append([]byte{}, content...)
		}
	}
	if err := e.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return "", nil, fmt.Errorf("%w: an event over %d bytes", ErrReply, EventBytes)
	} else if err != nil {
		return "", nil, fmt.Errorf("%w: %w", session.ErrHopLost, err)
	}
	return "", nil, io.EOF
}
