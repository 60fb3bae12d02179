package api

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zetagrid/zetagrid/node/session"
)

// metrics is what /metrics says about the API. No label carries anything a
// stranger can choose: routes are patterns, codes are HTTP's.
type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	generated prometheus.Counter
	active    prometheus.Gauge
	first     prometheus.Histogram
	lap       *prometheus.HistogramVec
}

// newMetrics registers the API's collectors, or finds them registered.
func newMetrics(registry *prometheus.Registry) *metrics {
	// 0.1 ms to 105 s, doubling: a lap on loopback to a long answer.
	buckets := prometheus.ExponentialBuckets(1e-4, 2, 21)
	return &metrics{
		requests: register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "zetagrid_api_requests_total", Help: "Requests answered.",
		}, []string{"route", "code"})),
		seconds: register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "zetagrid_api_request_seconds", Help: "From a request's head to the end of its answer.", Buckets: buckets,
		}, []string{"route"})),
		generated: register(registry, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "zetagrid_api_generated_bytes_total", Help: "Bytes generated for callers.",
		})),
		active: register(registry, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "zetagrid_api_active_generations", Help: "Generations under way.",
		})),
		first: register(registry, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "zetagrid_api_first_byte_seconds", Help: "From a decoded request to its first byte.", Buckets: buckets,
		})),
		lap: register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "zetagrid_api_lap_seconds", Help: "Parts of a lap, the mean of each generation.", Buckets: buckets,
		}, []string{"part"})),
	}
}

// register adds c, or returns the collector that stands in its place.
func register[C prometheus.Collector](registry *prometheus.Registry, c C) C {
	var standing prometheus.AlreadyRegisteredError
	if err := registry.Register(c); errors.As(err, &standing) {
		return standing.ExistingCollector.(C)
	} else if err != nil {
		panic(err) // two collectors of one name and other labels: a bug
	}
	return c
}

func (m *metrics) request(route string, status int, elapsed time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(elapsed.Seconds())
}

func (m *metrics) usage(u session.Usage) {
	m.generated.Add(float64(u.GeneratedBytes))
	if u.Laps == 0 {
		return
	}
	for part, total := range map[string]time.Duration{"queue": u.Queue, "compute": u.Compute, "wire": u.Wire} {
		m.lap.WithLabelValues(part).Observe(total.Seconds() / float64(u.Laps))
	}
}
