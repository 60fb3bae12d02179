package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// TestLimits tries every limit of a request at the limit and one past it.
func TestLimits(t *testing.T) {
	list := func(n int, element string) string {
		return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
	}
	nested := func(n int) string { return strings.Repeat("[", n-1) + strings.Repeat("]", n-1) } // in one object
	say := func(content string) string { return `{"messages":[{"role":"user","content":` + content + `}]}` }
	completion := func(fields string) string { return `{"prompt":"a",` + fields + `}` }
	for _, row := range []struct {
		name    string
		chat    bool
		body    func(n int) string
		limit   int
		refused string // code one past the limit
	}{
		{"prompt as text", false, func(n int) string { return `{"prompt":"` + strings.Repeat("p", n) + `"}` }, PromptBytes, "context_length_exceeded"},
		{"prompt as escapes", false, func(n int) string { return `{"prompt":"` + strings.Repeat(`\u0001`, n) + `"}` }, PromptBytes, "context_length_exceeded"},
		{"prompt as integers", false, func(n int) string { return `{"prompt":[` + list(n, "255") + `]}` }, PromptBytes, "context_length_exceeded"},
		{"prompt of a chat", true, func(n int) string {
			return `{"model":"bafyother","messages":[{"role":"user","content":"` + strings.Repeat("p", n) + `"}]}`
		}, PromptBytes, "context_length_exceeded"},
		{"nesting", false, func(n int) string { return completion(`"metadata":` + nested(n)) }, JSONDepth, codeJSON},
		{"messages", true, func(n int) string {
			return `{"messages":[` + list(n, `{"role":"user","content":"a"}`) + `]}`
		}, ChatMessages, codeValue},
		{"content parts", true, func(n int) string { return say(`[` + list(n, `{"type":"text","text":"a"}`) + `]`) }, ContentParts, codeValue},
		{"stop sequences", false, func(n int) string { return completion(`"stop":[` + list(n, `"a"`) + `]`) }, StopSequences, codeValue},
		{"stop sequences of a chat", true, func(n int) string {
			return `{"messages":[{"role":"user","content":"a"}],"stop":[` + list(n, `"a"`) + `]}`
		}, StopSequences - len(modelfile.DefaultTemplate.Stop), codeValue},
		{"stop bytes", false, func(n int) string { return completion(`"stop":"` + strings.Repeat("s", n) + `"`) }, StopBytes, codeValue},
		{"alternatives", false, func(n int) string { return completion(fmt.Sprintf(`"logprobs":%d`, n)) }, Alternatives, codeValue},
		{"alternatives of a chat", true, func(n int) string {
			return fmt.Sprintf(`{"messages":[{"role":"user","content":"a"}],"logprobs":true,"top_logprobs":%d}`, n)
		}, Alternatives, codeValue},
		{"soul name", false, func(n int) string { return completion(`"soul":"` + strings.Repeat("s", n) + `"`) }, SoulName, codeValue},
		{"streamed bytes", false, func(n int) string { return completion(fmt.Sprintf(`"stream":true,"max_tokens":%d`, n)) }, StreamedBytes, codeValue},
		{"buffered bytes", false, func(n int) string { return completion(fmt.Sprintf(`"max_tokens":%d`, n)) }, BufferedBytes, codeValue},
		{"buffered bytes with log-probabilities", false, func(n int) string {
			return completion(fmt.Sprintf(`"logprobs":0,"max_tokens":%d`, n))
		}, BufferedLogProbBytes, codeValue},
	} {
		decode := decodeCompletion
		if row.chat {
			decode = decodeChat
		}
		models := (&double{}).Models()
		g, e := decode([]byte(row.body(row.limit)), models)
		if e != nil {
			t.Errorf("%s: %d refused: %v", row.name, row.limit, e)
		} else if err := g.request.Check(0); err != nil {
			t.Errorf("%s: a session refuses %d: %v", row.name, row.limit, err)
		}
		if _, e := decode([]byte(row.body(row.limit+1)), models); e == nil || e.Code != row.refused {
			t.Errorf("%s: %d got %v, want %s", row.name, row.limit+1, e, row.refused)
		}
	}
}

func TestRequestBytesLimit(t *testing.T) {
	server := serve(t, &double{}, Options{})
	const frame = `{"prompt":"a","user":""}`
	body := func(n int) string { return strings.Replace(frame, `""`, `"`+strings.Repeat("u", n-len(frame))+`"`, 1) }
	if got := post(t, server.URL+"/v1/completions", body(RequestBytes)); got.status != http.StatusOK {
		t.Errorf("a body of %d bytes: %d %s", RequestBytes, got.status, got.body)
	}
	got := post(t, server.URL+"/v1/completions", body(RequestBytes+1))
	if code, _ := got.code(t); got.status != http.StatusRequestEntityTooLarge || code != codeTooLarge {
		t.Errorf("a body of %d bytes: %d %s", RequestBytes+1, got.status, got.body)
	}
}

func TestReplyLimits(t *testing.T) {
	if _, err := readReply(strings.NewReader(strings.Repeat("r", ReplyBytes))); err != nil {
		t.Error(err)
	}
	if _, err := readReply(strings.NewReader(strings.Repeat("r", ReplyBytes+1))); err == nil {
		t.Error("a reply past the limit was read")
	}
	line := func(n int) string { return "data:" + strings.Repeat("e", n-len("data:\n")) + "\n\n" }
	if _, data, err := newEventReader(strings.NewReader(line(EventBytes))).next(); err != nil || len(data) == 0 {
		t.Errorf("a line of %d bytes: %v", EventBytes, err)
	}
	if _, _, err := newEventReader(strings.NewReader(line(EventBytes + 1))).next(); err == nil {
		t.Error("a line past the limit was read")
	}
}

func TestConcurrencyLimits(t *testing.T) {
	t.Run("generations", func(t *testing.T) {
		grid := &double{wait: true, streams: make(chan *doubleStream, 3)}
		server := serve(t, grid, Options{MaxConcurrent: 2})
		done := make(chan answer)
		for range 2 {
			r := newRequest(t, http.MethodPost, server.URL+"/v1/completions", `{"prompt":"a","max_tokens":1}`)
			go func() { done <- do(t, r) }()
		}
		first, second := <-grid.streams, <-grid.streams
		got := post(t, server.URL+"/v1/completions", `{"prompt":"a","max_tokens":1}`)
		if code, _ := got.code(t); got.status != http.StatusTooManyRequests || code != codeRate || got.header.Get("Retry-After") == "" {
			t.Errorf("a third: %d %s", got.status, got.body)
		}
		for _, s := range []*doubleStream{first, second} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			<-done
		}
		grid.wait = false
		if got := post(t, server.URL+"/v1/completions", `{"prompt":"a","max_tokens":1}`); got.status != http.StatusOK {
			t.Errorf("after they ended: %d %s", got.status, got.body)
		}
	})
	t.Run("events", func(t *testing.T) {
		server := serve(t, &double{}, Options{})
		client := &Client{Base: server.URL}
		var bodies []func()
		for range EventStreams {
			body, err := client.open(t.Context(), http.MethodGet, "/api/v1/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, func() { discard(body) })
		}
		_, err := client.open(t.Context(), http.MethodGet, "/api/v1/events", nil)
		if e, ok := err.(*Error); !ok || e.Code != codeRate {
			t.Errorf("one past the limit: %v", err)
		}
		for _, end := range bodies {
			end()
		}
	})
}
