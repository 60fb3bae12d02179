package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/zetagrid/zetagrid/node/session"
)

// errPanic stands for a bug; errorOf keeps its text from the caller.
var errPanic = errors.New("panic")

// encode is v as one line of JSON. Text is not escaped for HTML: the answers
// are never a page.
func encode(v any) ([]byte, error) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n")), err
}

// limitBody starts the body timeout. It holds for refused requests too, whose
// bodies the server reads on to keep the connection.
func (h *handler) limitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// A recorder in a test has no deadlines; a socket has.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.bodyTimeout))
	}
}

// readBody reads a request's body within RequestBytes and the body timeout,
// which a body that arrived whole ends: the connection is read on for the
// caller's going away.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *Error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, RequestBytes))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refusal(http.StatusRequestEntityTooLarge, codeTooLarge, "", "the body is over %d bytes", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refusal(http.StatusRequestTimeout, codeSlow, "", "the body took over %s", h.bodyTimeout)
	case err != nil:
		return nil, refusal(http.StatusBadRequest, codeJSON, "", "the body broke off")
	}
	return body, nil
}

// answer writes v as a whole JSON answer.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := encode(v)
	if err != nil {
		h.logger.Error("answer", "request", idOf(r), "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer has no JSON form","type":"server_error","param":null,"code":"internal_error"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	for part := range slices.Chunk(body, 64<<10) {
		if err := h.write(w, part); err != nil {
			return // the caller is gone
		}
	}
}

// refuse writes an error as a whole answer.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, e *Error) {
	if e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", retryAfter)
	}
	h.answer(w, r, e.Status, envelope{e})
}

// fail answers with whatever a generation ended with. Causes that the caller is
// not told go to the log.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.refuse(w, r, h.errorOf(r, err))
}

func (h *handler) errorOf(r *http.Request, err error) *Error {
	switch { // whatever the grid says: this is why
	case r.Context().Err() != nil:
		err = session.ErrCanceled
	case h.cut.Err() != nil:
		err = errClosing
	}
	e, known := errorOf(err, h.grid)
	if !known {
		h.logger.Error("generation", "request", idOf(r), "error", err)
	}
	return e
}

// write sends b; a caller who does not take it within the write timeout is gone.
func (h *handler) write(w http.ResponseWriter, b []byte) error {
	// A recorder in a test has no deadlines; a socket has.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.writeTimeout))
	_, err := w.Write(b)
	return err
}

// eventStream writes server-sent events.
type eventStream struct {
	handler *handler
	w       http.ResponseWriter
}

// openEvents answers 200 and begins a stream of events.
func (h *handler) openEvents(w http.ResponseWriter) (*eventStream, error) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that buffers is no stream
	w.WriteHeader(http.StatusOK)
	return &eventStream{h, w}, http.NewResponseController(w).Flush()
}

// send writes one event; kind "" is the default kind.
func (s *eventStream) send(kind string, v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	return s.sendData(kind, data)
}

// sendData writes one event whose data is one line.
func (s *eventStream) sendData(kind string, data []byte) error {
	var event bytes.Buffer
	if kind != "" {
		event.WriteString("event: " + kind + "\n")
	}
	event.WriteString("data: ")
	event.Write(data)
	event.WriteString("\n\n")
	if err := s.handler.write(s.w, event.Bytes()); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}
