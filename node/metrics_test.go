package node

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zetagrid/zetagrid/node/api"
)

// What /metrics shows is what its description lists: no more, no less.
func TestMetricsAreDescribed(t *testing.T) {
	registry := prometheus.NewRegistry()
	new(Node).registerMetrics(registry)
	api.New(nil, api.Options{Registry: registry})
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		registry.Describe(descriptions)
	}()
	name := regexp.MustCompile(`zetagrid_[a-z_]*[a-z]`)
	var shown []string
	for d := range descriptions {
		shown = append(shown, name.FindString(fmt.Sprint(d)))
	}
	text, err := os.ReadFile("api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := name.FindAllString(string(text), -1)
	slices.Sort(shown)
	slices.Sort(described)
	if !slices.Equal(shown, described) {
		t.Errorf("/metrics shows %q, README.md describes %q", shown, described)
	}
}
