package api

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zetagrid/zetagrid/node/session"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata/shapes.txt")

// varying is what differs between two runs.
var varying = regexp.MustCompile(`"(id|created)":("[a-z]+-[0-9a-f]+"|[1-9][0-9]{9,})`)

// TestShapes holds every JSON answer, to the byte, against testdata/shapes.txt,
// which is the schema by example. Rewrite it with -rewrite, and only when the
// change is one that callers can bear.
func TestShapes(t *testing.T) {
	grid := &double{answer: saying("h\xc3\xa9\xff"), status: Status{
		Self: "peer-a", Model: ownModel, Blocks: 4, Missing: []Span{{2, 4}}, Nodes: []Node{
			{Peer: "peer-a", Blocks: Span{0, 2}, Ranges: []Span{{0, 2}}, State: "serving", Addrs: []string{"/ip4/127.0.0.1/udp/1/quic-v1"}, Speed: 250.5, LeaseMS: 3000},
			{Peer: "peer-b", State: "joining"},
		},
		Device: &Device{Name: "cuda/H100", State: DeviceLost, Error: "tcn: device failed: hung", Failures: 2},
	}}
	uncovered := &double{refuse: fmt.Errorf("%w: 2 to 4", session.ErrUncovered), status: grid.status}
	late := &double{answer: grid.answer, fail: fmt.Errorf("%w: peer-b", session.ErrHopLost), failAt: 1}
	empty := &double{}
	const user = `"messages":[{"role":"user","content":"hi"}]`
	var got strings.Builder
	for _, row := range []struct {
		grid         *double
		method, path string
		body         string
		note         string
	}{
		{grid, http.MethodGet, "/healthz", "", ""},
		{grid, http.MethodGet, "/v1/models", "", ""},
		{grid, http.MethodGet, "/v1/models/default", "", ""},
		{grid, http.MethodGet, "/api/v1/grid", "", ""},
		{empty, http.MethodGet, "/api/v1/grid", "", "a grid of one before it serves"},
		{grid, http.MethodPost, "/v1/completions", `{"prompt":"hi","seed":7,"max_tokens":4}`, ""},
		{grid, http.MethodPost, "/v1/completions", `{"prompt":"hi","seed":7,"max_tokens":0}`, "nothing asked for"},
		{grid, http.MethodPost, "/v1/completions", `{"prompt":"hi","seed":7,"max_tokens":2,"logprobs":1,"model":"bafyother"}`, ""},
		{grid, http.MethodPost, "/v1/completions", `{"prompt":"hi","seed":7,"max_tokens":4,"stream":true,"stream_options":{"include_usage":true}}`, ""},
		{grid, http.MethodPost, "/v1/chat/completions", `{` + user + `,"seed":7,"max_tokens":4,"soul":"none"}`, ""},
		{grid, http.MethodPost, "/v1/chat/completions", `{` + user + `,"seed":7,"max_tokens":2,"logprobs":true,"top_logprobs":1}`, ""},
		{grid, http.MethodPost, "/v1/chat/completions", `{` + user + `,"seed":7,"max_tokens":4,"stream":true,"stop":"\ufffd"}`, ""},
		{grid, http.MethodPost, "/v1/completions", `{"prompt":"hi","temperature":3}`, ""},
		{uncovered, http.MethodPost, "/v1/completions", `{"prompt":"hi"}`, ""},
		{late, http.MethodPost, "/v1/completions", `{"prompt":"hi","seed":7,"stream":true}`, "an error after the first byte"},
	} {
		server := serve(t, row.grid, Options{})
		a := do(t, newRequest(t, row.method, server.URL+row.path, row.body))
		fmt.Fprintf(&got, "%s %s", row.method, row.path)
		if row.note != "" {
			fmt.Fprintf(&got, "   (%s)", row.note)
		}
		if row.body != "" {
			fmt.Fprintf(&got, "\n%s", row.body)
		}
		body := varying.ReplaceAllString(strings.TrimSpace(a.body), `"$1":…`)
		head := a.header.Get("Content-Type")
		if wait := a.header.Get("Retry-After"); wait != "" {
			head += ", retry after " + wait + " s"
		}
		fmt.Fprintf(&got, "\n----\n%d %s\n%s\n\n", a.status, head, body)
	}
	const path = "testdata/shapes.txt"
	if *rewrite {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("an answer changed its shape:\n%s", diff)
	}
}
