package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/zetagrid/zetagrid/node/session"
)

// Client talks to the API of a node. Errors that a node names wrap the sentinel
// of package session they stand for, and *[Error]. The zero HTTP is
// http.DefaultClient.
type Client struct {
	Base  string // http://host:port, or host:port
	Token string // "" sends none
	HTTP  *http.Client
}

// Status asks for the state of the grid.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var status Status
	err := c.get(ctx, "/api/v1/grid", &status)
	return status, err
}

// Models lists what the node answers for, its own first. Templates stay with
// the node.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	var list modelList
	if err := c.get(ctx, "/v1/models", &list); err != nil {
		return nil, err
	}
	models := make([]Model, len(list.Data))
	for i, m := range list.Data {
		models[i] = Model{ID: m.ID, Created: m.Created, Soul: m.Soul, Souls: m.Souls}
	}
	return models, nil
}

// Events follows the grid: first its Status, then each change. It ends with an
// error: that of ctx, or what cut the stream off.
func (c *Client) Events(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		body, err := c.open(ctx, http.MethodGet, "/api/v1/events", nil)
		if err != nil {
			yield(Change{}, err)
			return
		}
		defer discard(body)
		reader := newEventReader(body)
		for {
			kind, data, err := reader.next()
			var change Change
			if err == nil {
				change, err = decodeChange(kind, data)
			}
			if err == io.EOF {
				err = fmt.Errorf("%w: the node ended the events", io.ErrUnexpectedEOF)
			}
			if !yield(change, err) || err != nil {
				return
			}
		}
	}
}

// Change is what Client.Events yields: the Status, which comes first, or an
// Event.
type Change struct {
	Status *Status
	Event  *Event
}

func decodeChange(kind string, data []byte) (Change, error) {
	var change Change
	var into any = &change.Event
	if kind == statusEvent {
		into = &change.Status
	}
	if err := json.Unmarshal(data, into); err != nil {
		return Change{}, fmt.Errorf("%w: event %.32q: %w", ErrReply, kind, err)
	}
	if change == (Change{}) {
		return Change{}, fmt.Errorf("%w: event %.32q is null", ErrReply, kind)
	}
	return change, nil
}

// Complete asks for a completion of exactly r.Prompt and streams it. What it
// yields is what the node's own Stream yields, to the byte; Logits are not
// carried (ErrRequest). The caller must Close the Completion.
func (c *Client) Complete(ctx context.Context, r session.Request) (*Completion, error) {
	if r.Logits {
		return nil, fmt.Errorf("%w: the API carries no logits", session.ErrRequest)
	}
	body, err := json.Marshal(completionRequestOf(r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", session.ErrRequest, err)
	}
	position := len(r.Prompt)
	if r.Echo {
		position = 0
	}
	ctx, cancel := context.WithCancel(ctx)
	answer, err := c.open(ctx, http.MethodPost, "/v1/completions", body)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Completion{
		body: answer, cancel: cancel, ended: ctx.Err, events: newEventReader(answer),
		position: position, logProbs: r.LogProbs >= 0,
	}, nil
}

// completionRequest is the body that Complete sends.
type completionRequest struct {
	Model         string          `json:"model"`
	Soul          string          `json:"soul,omitempty"`
	Prompt        any             `json:"prompt"`
	MaxTokens     int             `json:"max_tokens"`
	Temperature   float32         `json:"temperature"`
	TopP          *float32        `json:"top_p,omitempty"`
	TopK          int             `json:"top_k"`
	Seed          uint64          `json:"seed"`
	Stop          []any           `json:"stop,omitempty"`
	LogProbs      *int            `json:"logprobs,omitempty"`
	Echo          bool            `json:"echo,omitempty"`
	Stream        bool            `json:"stream"`
	StreamOptions map[string]bool `json:"stream_options"`
}

func completionRequestOf(r session.Request) completionRequest {
	out := completionRequest{
		Model: r.Model, Soul: r.Soul, Prompt: jsonText(r.Prompt), MaxTokens: r.MaxBytes,
		Temperature: r.Sampling.Temperature, TopK: r.Sampling.TopK, Seed: r.Sampling.Seed, Echo: r.Echo,
		Stream: true, StreamOptions: map[string]bool{"include_usage": true},
	}
	if r.Sampling.TopP != 0 { // 0 means all to a session and the least to HTTP
		out.TopP = &r.Sampling.TopP
	}
	for _, stop := range r.Stop {
		out.Stop = append(out.Stop, jsonText(stop))
	}
	if r.LogProbs >= 0 {
		out.LogProbs = &r.LogProbs
	}
	return out
}

// jsonText is b as JSON can carry it unharmed: a string, else integers.
func jsonText(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	integers := make([]int, len(b))
	for i, x := range b {
		integers[i] = int(x)
	}
	return integers
}

// get decodes a whole JSON answer.
func (c *Client) get(ctx context.Context, path string, v any) error {
	body, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer discard(body)
	data, err := readReply(body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrReply, path, err)
	}
	return nil
}

// open sends a request and returns the body of a 200.
func (c *Client) open(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	base := strings.TrimSuffix(c.Base, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, canceled(ctx, fmt.Errorf("%w: %w", ErrUnreachable, err))
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer discard(answer.Body)
	data, err := readReply(answer.Body)
	if err != nil {
		return nil, err
	}
	return nil, decodeError(answer.StatusCode, data)
}

// readReply reads a body of at most ReplyBytes.
func readReply(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, ReplyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if len(data) > ReplyBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrReply, ReplyBytes)
	}
	return data, nil
}

// decodeError reads an error envelope; status 0 is an error event.
func decodeError(status int, data []byte) error {
	var wrapped envelope
	if err := json.Unmarshal(data, &wrapped); err != nil || wrapped.Error == nil {
		return fmt.Errorf("%w: status %d without an error in it", ErrReply, status)
	}
	e := wrapped.Error
	e.Status, e.cause = status, sentinelOf(e.Code)
	return e
}

// canceled adds ErrCanceled to what a caller's own cancel caused.
func canceled(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w: %w", session.ErrCanceled, err)
	}
	return err
}

// discard closes a body whose rest does not matter.
func discard(body io.Closer) { _ = body.Close() }
