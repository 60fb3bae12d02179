package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
)

// generate serves an endpoint whose body decode understands.
func (h *handler) generate(decode func([]byte, []Model) (*generation, *Error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// The slot comes before the body: it is what bounds the bodies held.
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
		default:
			h.refuse(w, r, refusal(http.StatusTooManyRequests, codeRate, "", "%d generations are under way already", cap(h.slots)))
			return
		}
		body, e := h.readBody(w, r)
		if e == nil {
			var g *generation
			if g, e = decode(body, h.grid.Models()); e == nil {
				body = nil // let go of up to RequestBytes while generating
				h.run(w, r, g)
				return
			}
		}
		h.refuse(w, r, e)
	}
}

// run generates and answers.
func (h *handler) run(w http.ResponseWriter, r *http.Request, g *generation) {
	h.metrics.active.Inc()
	defer h.metrics.active.Dec()
	start := time.Now()
	stream, err := h.grid.Generate(r.Context(), g.request)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	closeStream := func() {
		if err := stream.Close(); err != nil {
			h.logger.Warn("close", "request", idOf(r), "error", err)
		}
	}
	defer closeStream()
	defer context.AfterFunc(r.Context(), closeStream)()
	defer context.AfterFunc(h.cut, closeStream)()
	defer func() { h.metrics.usage(stream.Usage()) }()

	// The first byte comes before the status: until it is there, a grid with a
	// hole can still be told by a plain 503.
	first, err := stream.Next()
	if err != nil && err != io.EOF {
		h.fail(w, r, err)
		return
	}
	h.metrics.first.Observe(time.Since(start).Seconds())
	source := &peeked{Stream: stream, piece: first, err: err}
	if g.stream {
		h.streamed(w, r, g, source)
	} else {
		h.buffered(w, r, g, source)
	}
}

// peeked is a Stream whose first Next was already called.
type peeked struct {
	Stream
	piece session.Piece
	err   error
	spent bool
}

func (p *peeked) Next() (session.Piece, error) {
	if !p.spent || p.err != nil {
		p.spent = true
		return p.piece, p.err
	}
	return p.Stream.Next()
}

// buffered answers in one piece.
func (h *handler) buffered(w http.ResponseWriter, r *http.Request, g *generation, source Stream) {
	all := part{whole: true, offset: len(g.echoed()), bytes: g.echoed()}
	for {
		piece, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			h.fail(w, r, err)
			return
		}
		all.bytes = append(all.bytes, piece.Byte)
		if g.request.LogProbs >= 0 {
			all.pieces = append(all.pieces, piece)
		}
	}
	finish := source.Finish()
	all.finish, all.usage = &finish, usageOf(source.Usage())
	h.answer(w, r, http.StatusOK, g.render(idOf(r), time.Now().Unix(), all))
}

// echoed is what stands before the answer; appending to it copies. It is nothing
// when the grid repeats the prompt itself.
func (g *generation) echoed() []byte {
	if !g.echo || g.request.Echo {
		return nil
	}
	return g.request.Prompt[:len(g.request.Prompt):len(g.request.Prompt)]
}

// streamed answers in events, one a character.
func (h *handler) streamed(w http.ResponseWriter, r *http.Request, g *generation, source Stream) {
	events, err := h.openEvents(w)
	if err != nil {
		return // the caller is gone
	}
	created := time.Now().Unix()
	send := func(p part) error { return events.send("", g.render(idOf(r), created, p)) }
	err = deliver(g, source, send)
	if err == nil {
		err = events.sendData("", []byte("[DONE]"))
	} else if !errors.Is(err, errCaller) {
		err = events.send("", envelope{h.errorOf(r, err)})
	}
	if err != nil {
		h.logger.Debug("caller gone", "request", idOf(r), "error", err)
	}
}

// errCaller wraps a failure to write.
var errCaller = errors.New("api: caller gone")

// deliver sends an answer part by part. What came before an error is sent before
// it is returned.
func deliver(g *generation, source Stream, send func(part) error) error {
	sending := func(p part) error {
		if err := send(p); err != nil {
			return errors.Join(errCaller, err)
		}
		return nil
	}
	if g.chat {
		if err := sending(part{role: true}); err != nil {
			return err
		}
	}
	var cut cutter
	if echo := g.echoed(); echo != nil {
		if p := cut.echo(echo); len(p.bytes) > 0 {
			if err := sending(p); err != nil {
				return err
			}
		}
	}
	for {
		piece, err := source.Next()
		if err != nil {
			if rest := cut.rest(); len(rest.bytes) > 0 {
				if err := sending(rest); err != nil {
					return err
				}
			}
			if err != io.EOF {
				return err
			}
			break
		}
		if p := cut.next(piece); len(p.bytes) > 0 {
			if err := sending(p); err != nil {
				return err
			}
		}
	}
	finish := source.Finish()
	if err := sending(part{finish: &finish, offset: cut.offset}); err != nil || !g.usage {
		return err
	}
	return sending(part{usage: usageOf(source.Usage())})
}

// cutter makes parts of pieces so that none splits a character.
type cutter struct {
	chunker
	bytes  []byte          // pushed and not yet part of a part
	pieces []session.Piece // the generated ones among them
	offset int             // bytes of the answer in earlier parts
}

// echo takes the prompt.
func (c *cutter) echo(prompt []byte) part {
	done := 0
	for _, b := range prompt {
		done += c.push(b)
	}
	c.bytes = append(c.bytes, prompt...)
	return c.cut(done)
}

// next takes a generated byte; the part is empty while a character is not whole.
func (c *cutter) next(piece session.Piece) part {
	c.bytes = append(c.bytes, piece.Byte)
	c.pieces = append(c.pieces, piece)
	return c.cut(c.push(piece.Byte))
}

// rest is what was held back when the answer ended.
func (c *cutter) rest() part { return c.cut(len(c.bytes)) }

// cut takes n bytes and their pieces off the front.
func (c *cutter) cut(n int) part {
	echoed := min(n, len(c.bytes)-len(c.pieces))
	generated := n - echoed
	p := part{
		bytes:  append([]byte{}, c.bytes[:n]...),
		pieces: append([]session.Piece{}, c.pieces[:generated]...),
		offset: c.offset + echoed,
	}
	c.offset += n
	c.bytes = c.bytes[:copy(c.bytes, c.bytes[n:])]
	c.pieces = c.pieces[:copy(c.pieces, c.pieces[generated:])]
	return p
}
