package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zetagrid/zetagrid/node/session"
)

func TestOnlyOwnNamesAndOriginsWithoutAToken(t *testing.T) {
	open, locked := serve(t, &double{}, Options{}), serve(t, &double{}, Options{Token: "secret"})
	for _, row := range []struct {
		name, value string // a header; Host is the request's
		open        int
		locked      int
	}{
		{"Host", "localhost:1234", 200, 200},
		{"Host", "LOCALHOST", 200, 200},
		{"Host", "127.0.0.1", 200, 200},
		{"Host", "127.1.2.3:80", 200, 200},
		{"Host", "[::1]:80", 200, 200},
		{"Host", "[::1]", 200, 200},
		{"Host", "evil.example", 403, 200},
		{"Host", "localhost.evil.example:80", 403, 200},
		{"Host", "127.0.0.1.evil.example", 403, 200},
		{"Host", "10.0.0.1", 403, 200},
		{"Host", "0.0.0.0", 403, 200},
		{"Sec-Fetch-Site", "same-origin", 200, 200},
		{"Sec-Fetch-Site", "cross-site", 403, 403},
		{"Origin", "https://evil.example", 403, 403},
	} {
		for _, server := range []struct {
			url  string
			want int
		}{{open.URL, row.open}, {locked.URL, row.locked}} {
			r := newRequest(t, http.MethodPost, server.url+"/v1/completions", `{"prompt":"a"}`)
			r.Header.Set("Authorization", "Bearer secret")
			r.Header.Set(row.name, row.value)
			if row.name == "Host" {
				r.Host = row.value
			}
			if got := do(t, r); got.status != server.want {
				t.Errorf("%s %s: %d %s, want %d", row.name, row.value, got.status, got.body, server.want)
			} else if got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: a foreign page may read this", row.name, row.value)
			} else if got.status == http.StatusForbidden {
				got.code(t)
			}
		}
	}
}

func TestTokenGuardsAllButHealth(t *testing.T) {
	server := serve(t, &double{}, Options{Token: "secret"})
	for path, open := range map[string]bool{
		"/healthz": true, "/metrics": false, "/v1/models": false, "/v1/models/x": false, "/v1/completions": false,
		"/v1/chat/completions": false, "/api/v1/grid": false, "/api/v1/events": false,
	} {
		for _, authorization := range []string{"", "Bearer", "Bearer wrong", "Bearer secret2", "Basic secret", "secret"} {
			r := newRequest(t, http.MethodGet, server.URL+path, "")
			r.Header.Set("Authorization", authorization)
			got := do(t, r)
			if open && got.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			if !open && (got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "") {
				t.Errorf("%s with %q: %d %s", path, authorization, got.status, got.body)
			}
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	server := serve(t, &double{}, Options{})
	for _, row := range []struct {
		method, path string
		status       int
		code         string
	}{
		{http.MethodGet, "/", 404, codePath},
		{http.MethodPost, "/v1/embeddings", 404, codePath},
		{http.MethodGet, "/v1/models/gpt-4", 404, "model_not_found"},
		{http.MethodGet, "/v1/completions", 405, codeMethod},
		{http.MethodPut, "/v1/chat/completions", 405, codeMethod},
		{http.MethodPost, "/v1/models", 405, codeMethod},
		{http.MethodDelete, "/healthz", 405, codeMethod},
		{http.MethodHead, "/healthz", 200, ""},
		{http.MethodGet, "/healthz", 200, ""},
	} {
		got := do(t, newRequest(t, row.method, server.URL+row.path, ""))
		if got.status != row.status || got.header.Get(RequestIDHeader) == "" {
			t.Errorf("%s %s: %d %v", row.method, row.path, got.status, got.header)
		}
		if row.code == "" {
			continue
		}
		if code, _ := got.code(t); code != row.code || row.status == 405 && got.header.Get("Allow") == "" {
			t.Errorf("%s %s: %s %v", row.method, row.path, got.body, got.header)
		}
	}
}

// TestLogsNamesAndNoText: one line a request, without prompt or answer, and an
// unknown failure is in the log and not in the answer.
func TestLogsNamesAndNoText(t *testing.T) {
	var log safeBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	grid := &double{answer: saying("answered-text"), fail: errors.New("disk on fire"), failAt: 40}
	server := serve(t, grid, Options{Logger: logger, Token: "token-text"})
	r := newRequest(t, http.MethodPost, server.URL+"/v1/completions?q=query-text", `{"prompt":"prompt-text","max_tokens":50}`)
	r.Header.Set("Authorization", "Bearer token-text")
	got := do(t, r)
	if code, _ := got.code(t); got.status != http.StatusInternalServerError || code != codeInternal || strings.Contains(got.body, "disk") {
		t.Errorf("%d %s", got.status, got.body)
	}
	server.Close() // waits for the handler, and so for its line
	lines := log.String()
	for _, want := range []string{got.header.Get(RequestIDHeader), "route=/v1/completions", "status=500", "disk on fire"} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log lacks %q: %s", want, lines)
		}
	}
	for _, secret := range []string{"prompt-text", "answered-text", "query-text", "token-text"} {
		if strings.Contains(lines, secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAPanicIsAnError(t *testing.T) {
	for _, after := range []int{0, 3} {
		grid := &double{answer: func(_ session.Request, i int) byte {
			if i == after {
				panic("bug")
			}
			return 'a'
		}}
		server := serve(t, grid, Options{})
		r := newRequest(t, http.MethodPost, server.URL+"/v1/completions", `{"prompt":"a","stream":true}`)
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		discard(reply.Body)
		if after == 0 {
			if code, _ := (answer{reply.StatusCode, reply.Header, string(body)}).code(t); code != codeInternal || err != nil {
				t.Errorf("at once: %s, %v", body, err)
			}
		} else if err == nil || strings.Contains(string(body), "[DONE]") {
			t.Errorf("half way: %s looks whole", body)
		}
	}
}

// TestSlowCallersAreLetGo: one who sends a body too slowly gets 408, and one
// who does not read loses the generation.
func TestSlowCallersAreLetGo(t *testing.T) {
	const short = 50 * time.Millisecond // only where it must pass: on a loaded machine it passes elsewhere, too
	dial := func(t *testing.T, url, request string) net.Conn {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { discard(conn) })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	t.Run("writer", func(t *testing.T) {
		server := serve(t, &double{}, Options{}, func(h *handler) { h.bodyTimeout = short })
		for path, want := range map[string]string{"/v1/completions": "HTTP/1.1 408 ", "/nowhere": ""} {
			conn := dial(t, server.URL, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
			got, err := io.ReadAll(conn) // to the end: the server hangs up
			if err != nil || !strings.HasPrefix(string(got), want) {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
	})
	t.Run("reader", func(t *testing.T) {
		grid := &double{streams: make(chan *doubleStream, 1)}
		server := serve(t, grid, Options{}, func(h *handler) { h.writeTimeout = short })
		body := fmt.Sprintf(`{"prompt":"a","stream":true,"max_tokens":%d}`, StreamedBytes)
		dial(t, server.URL, fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		<-(<-grid.streams).closed
	})
}

func TestListen(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		if s, err := Listen(address, &double{}, Options{}); !errors.Is(err, ErrTokenRequired) {
			t.Errorf("%s without a token: %v, %v", address, s, err)
		}
	}
	if _, err := Listen("127.0.0.1:no", &double{}, Options{}); err == nil {
		t.Error("a bad address was taken")
	}
	s, err := Listen("0.0.0.0:0", &double{}, Options{Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestShutdown: an answer under way is finished, event streams end, and what
// outlasts the patience is cut off.
func TestShutdown(t *testing.T) {
	grid := &double{wait: true, waitAt: 2, streams: make(chan *doubleStream, 2)}
	s, err := Listen("127.0.0.1:0", grid, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	client := &Client{Base: s.Address()}
	if s.Err() != nil || !strings.HasSuffix(s.URL(), s.Address()) {
		t.Errorf("%v, %s", s.Err(), s.URL())
	}
	events := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		var last error
		for change, err := range client.Events(t.Context()) {
			if change.Status != nil {
				close(begun)
			}
			last = err
		}
		events <- last
	}()
	<-begun
	stream, err := client.Complete(t.Context(), session.Request{Prompt: []byte("a"), MaxBytes: 9, LogProbs: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range grid.waitAt {
		if _, err := stream.Next(); err != nil {
			t.Fatal(err)
		}
	}
	opened := <-grid.streams
	ended, cancel := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(ended) }()
	if err := <-events; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("events ended with %v", err)
	}
	cancel() // the patience
	if err := <-down; !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	<-opened.closed
	<-s.Done()
	_, err = stream.Next()
	var told *Error
	if !errors.Is(err, session.ErrHopLost) || !errors.As(err, &told) || told.Code != "node_closing" {
		t.Errorf("the answer cut off: %v", err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	if s.Err() != nil {
		t.Errorf("after a shutdown: %v", s.Err())
	}
}

// TestMetrics: two APIs may share a registry, and no label is a stranger's.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "node_own"}))
	a := serve(t, &double{}, Options{Registry: registry})
	b := serve(t, &double{}, Options{Registry: registry})
	for i := range 20 {
		do(t, newRequest(t, http.MethodGet, fmt.Sprintf("%s/v1/models/m%d", a.URL, i), ""))
		do(t, newRequest(t, http.MethodGet, fmt.Sprintf("%s/stranger%d", b.URL, i), ""))
	}
	post(t, a.URL+"/v1/completions", `{"prompt":"a","max_tokens":9}`)
	a.Close() // waits for the handlers, and so for their counts
	got := do(t, newRequest(t, http.MethodGet, b.URL+"/metrics", "")).body
	for _, want := range []string{
		"node_own 0",
		`zetagrid_api_requests_total{code="404",route="/v1/models/{id}"} 20`,
		`zetagrid_api_requests_total{code="404",route="/"} 20`,
		`zetagrid_api_requests_total{code="200",route="/v1/completions"} 1`,
		`zetagrid_api_request_seconds_count{route="/v1/completions"} 1`,
		"zetagrid_api_generated_bytes_total 9",
		"zetagrid_api_active_generations 0",
		"zetagrid_api_first_byte_seconds_count 1",
		`zetagrid_api_lap_seconds_count{part="queue"} 1`,
		`zetagrid_api_lap_seconds_count{part="compute"} 1`,
		`zetagrid_api_lap_seconds_count{part="wire"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{"stranger1", "peer-a", ownModel} {
		if strings.Contains(got, secret) {
			t.Errorf("the metrics tell %s", secret)
		}
	}
}
