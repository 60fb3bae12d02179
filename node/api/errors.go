package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/zetagrid/zetagrid/node/session"
)

// ErrTokenRequired: Listen was asked for an address that other machines can
// reach, without a token.
var ErrTokenRequired = errors.New("api: an address beyond loopback needs a token")

// ErrUnauthorized: the node wants another token.
var ErrUnauthorized = errors.New("api: wrong token")

// errClosing: the node ends, and waits no longer for what it answers.
var errClosing = fmt.Errorf("%w: the node is shutting down", session.ErrHopLost)

// ErrUnreachable: no node answers there.
var ErrUnreachable = errors.New("api: no node answers")

// ErrReply: the answer of a node is not what the Client understands.
var ErrReply = errors.New("api: bad reply")

// Error is a refusal in OpenAI's shape. Status is not part of the JSON.
type Error struct {
	Status  int     `json:"-"`
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"` // the request field at fault; null when none is
	Code    string  `json:"code"`
	Missing []Span  `json:"missing,omitempty"` // with blocks_missing: what no node serves

	cause error // the sentinel it stands for, if any
}

// Error says what is wrong, for people.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the sentinel that the code stands for.
func (e *Error) Unwrap() error { return e.cause }

// envelope is how an Error travels.
type envelope struct {
	Error *Error `json:"error"`
}

// Types, as OpenAI names them.
const (
	typeRequest = "invalid_request_error"
	typeServer  = "server_error"
	typeRate    = "rate_limit_error"
)

// Codes that no sentinel stands behind. Like those of the table below they are
// part of the contract: append, never rename.
const (
	codeJSON        = "invalid_json"
	codeValue       = "invalid_value"
	codeMissing     = "missing_field"
	codeUnsupported = "unsupported_parameter"
	codeTooLarge    = "request_too_large"
	codeSlow        = "request_timeout"
	codePath        = "not_found"
	codeMethod      = "method_not_allowed"
	codeKey         = "invalid_api_key"
	codeHost        = "host_not_allowed"
	codeOrigin      = "origin_not_allowed"
	codeRate        = "rate_limit_exceeded"
	codeInternal    = "internal_error"
	codeTemplate    = "invalid_template"
)

// sentinels is the one table between the errors of a generation and HTTP. It is
// read in order: the first that matches decides.
var sentinels = []struct {
	sentinel error
	status   int
	kind     string
	code     string
	param    string
}{
	{session.ErrTooLong, http.StatusBadRequest, typeRequest, "context_length_exceeded", "prompt"},
	{session.ErrModel, http.StatusNotFound, typeRequest, "model_not_found", "model"},
	{session.ErrSoul, http.StatusNotFound, typeRequest, "soul_not_found", "soul"},
	{session.ErrUncovered, http.StatusServiceUnavailable, typeServer, "blocks_missing", ""},
	{errClosing, http.StatusServiceUnavailable, typeServer, "node_closing", ""},
	{session.ErrHopLost, http.StatusServiceUnavailable, typeServer, "hop_lost", ""},
	{session.ErrRefused, http.StatusServiceUnavailable, typeServer, "hop_refused", ""},
	{session.ErrBusy, http.StatusServiceUnavailable, typeServer, "busy", ""},
	{session.ErrDeadline, http.StatusGatewayTimeout, typeServer, "lap_deadline", ""},
	{session.ErrCanceled, 499, typeRequest, "canceled", ""},
	{context.Canceled, 499, typeRequest, "canceled", ""},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, typeServer, "lap_deadline", ""},
	{session.ErrRequest, http.StatusBadRequest, typeRequest, "invalid_request", ""},
}

// refusal makes a 4xx about one field; param "" is about none.
func refusal(status int, code, param, format string, a ...any) *Error {
	e := &Error{Status: status, Type: typeRequest, Code: code, Message: fmt.Sprintf(format, a...)}
	if param != "" {
		e.Param = &param
	}
	if status == http.StatusTooManyRequests {
		e.Type, e.cause = typeRate, session.ErrBusy
	}
	return e
}

// badField refuses a request for one field, whose name begins the message.
func badField(code, param, format string, a ...any) *Error {
	return refusal(http.StatusBadRequest, code, param, "%s", strings.TrimSpace(param+" "+fmt.Sprintf(format, a...)))
}

// badValue is the commonest refusal: a field that is out of range.
func badValue(param, format string, a ...any) *Error {
	return badField(codeValue, param, format, a...)
}

// errorOf turns any error of a generation into what the caller is told. An
// error outside the table keeps its text to itself: known is false, and it
// belongs in the log.
func errorOf(err error, grid Grid) (e *Error, known bool) {
	if errors.As(err, &e) {
		return e, true
	}
	for _, row := range sentinels {
		if !errors.Is(err, row.sentinel) {
			continue
		}
		e = refusal(row.status, row.code, row.param, "%s", err)
		e.Type, e.cause = row.kind, row.sentinel
		if row.sentinel == session.ErrUncovered {
			e.Missing = grid.Status().Missing
		}
		return e, true
	}
	e = refusal(http.StatusInternalServerError, codeInternal, "", "the node failed; its log has the reason under this request id")
	e.Type = typeServer
	return e, false
}

// sentinelOf finds what a code of a node's answer stands for; nil if nothing.
func sentinelOf(code string) error {
	for _, row := range sentinels {
		if row.code == code {
			return row.sentinel
		}
	}
	switch code {
	case codeRate:
		return session.ErrBusy
	case codeKey:
		return ErrUnauthorized
	case codeValue, codeMissing, codeUnsupported, codeJSON, codeTooLarge:
		return session.ErrRequest
	}
	return nil
}

// tooLong refuses a prompt of n bytes.
func tooLong(n int) *Error {
	e, _ := errorOf(fmt.Errorf("%w: %d bytes, the limit is %d", session.ErrTooLong, n, PromptBytes), nil)
	return e
}

// unknownModel refuses a model's name.
func unknownModel(name string) *Error {
	e, _ := errorOf(fmt.Errorf("%w %.128q", session.ErrModel, name), nil)
	return e
}
