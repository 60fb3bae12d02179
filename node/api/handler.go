package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options says how the API is served. The zero value of a field means what its
// comment says.
type Options struct {
	Token         string               // bearer token every request but /healthz must carry; "" wants none and answers to loopback names only
	Registry      *prometheus.Registry // what /metrics shows; nil makes one of its own
	Logger        *slog.Logger         // one line a request, never its text; nil discards
	MaxConcurrent int                  // generations at once; 0 is DefaultConcurrent
}

// handler serves one Grid.
type handler struct {
	grid    Grid
	logger  *slog.Logger
	metrics *metrics
	slots   chan struct{} // one entry a generation under way
	readers chan struct{} // one entry a caller of /api/v1/events

	closing context.Context // ends when the server begins to shut down
	cut     context.Context // ends when it waits no longer for answers under way

	bodyTimeout, writeTimeout time.Duration // the constants, shorter in tests
}

// New returns the API of grid. It is ready to be mounted at the root of a
// server; Listen does that.
func New(grid Grid, o Options) http.Handler {
	return newHandler(grid, o).routes(o)
}

func newHandler(grid Grid, o Options) *handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = DefaultConcurrent
	}
	return &handler{
		grid:         grid,
		logger:       o.Logger,
		slots:        make(chan struct{}, o.MaxConcurrent),
		readers:      make(chan struct{}, EventStreams),
		closing:      context.Background(),
		cut:          context.Background(),
		bodyTimeout:  bodyTimeout,
		writeTimeout: writeTimeout,
	}
}

// routes builds the table of paths and the checks around it.
func (h *handler) routes(o Options) http.Handler {
	registry := o.Registry
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	h.metrics = newMetrics(registry)
	scrape := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP

	mux := http.NewServeMux()
	open := func(method, path string, serve http.HandlerFunc) {
		mux.Handle(path, h.only(method, serve))
	}
	locked := func(method, path string, serve http.HandlerFunc) {
		mux.Handle(path, h.authorized(o.Token, h.only(method, serve)))
	}
	open(http.MethodGet, "/healthz", h.health)
	locked(http.MethodGet, "/metrics", scrape)
	locked(http.MethodGet, "/v1/models", h.models)
	locked(http.MethodGet, "/v1/models/{id}", h.model)
	locked(http.MethodPost, "/v1/completions", h.generate(decodeCompletion))
	locked(http.MethodPost, "/v1/chat/completions", h.generate(decodeChat))
	locked(http.MethodGet, "/api/v1/grid", h.status)
	locked(http.MethodGet, "/api/v1/events", h.events)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, r, refusal(http.StatusNotFound, codePath, "", "there is no %.128q; there are /v1/models, /v1/completions, /v1/chat/completions, /api/v1/grid, /api/v1/events, /healthz and /metrics", r.URL.Path))
	})
	return h.observed(h.guarded(o.Token, mux))
}

// only answers 405 to other methods. HEAD counts as GET.
func (h *handler) only(method string, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			serve(w, r)
			return
		}
		w.Header().Set("Allow", method)
		h.refuse(w, r, refusal(http.StatusMethodNotAllowed, codeMethod, "", "use %s", method))
	})
}
