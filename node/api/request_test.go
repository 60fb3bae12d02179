package api

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

// answer is what a plain HTTP request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the error code in it.
func (a answer) code(t *testing.T) (code, param string) {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error == nil {
		t.Fatalf("%d %q is no error: %v", a.status, a.body, err)
	}
	if e.Error.Message == "" || e.Error.Type == "" {
		t.Errorf("an error without words: %q", a.body)
	}
	return e.Error.Code, value(e.Error.Param)
}

func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer discard(reply.Body)
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{reply.StatusCode, reply.Header, string(body)}
}

func post(t *testing.T, url, body string) answer {
	t.Helper()
	return do(t, newRequest(t, http.MethodPost, url, body))
}

func newRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

// TestBadRequests is the table of what both endpoints refuse, and which field
// they name.
func TestBadRequests(t *testing.T) {
	common := []struct{ fields, code, param string }{
		{`"model":"gpt-4"`, "model_not_found", "model"},
		{`"model":7`, codeValue, "model"},
		{`"model":"a:b"`, "model_not_found", "model"},
		{`"model":":one","soul":"two"`, codeValue, "soul"},
		{`"soul":7`, codeValue, "soul"},
		{`"max_tokens":-1`, codeValue, "max_tokens"},
		{`"max_tokens":1.5`, codeValue, "max_tokens"},
		{`"max_tokens":"9"`, codeValue, "max_tokens"},
		{`"max_tokens":99999999999999999999`, codeValue, "max_tokens"},
		{`"max_completion_tokens":-1`, codeValue, "max_completion_tokens"},
		{`"max_tokens":1,"max_completion_tokens":2`, codeValue, "max_tokens"},
		{`"temperature":-0.1`, codeValue, "temperature"},
		{`"temperature":2.1`, codeValue, "temperature"},
		{`"temperature":1e39`, codeValue, "temperature"},
		{`"temperature":"hot"`, codeValue, "temperature"},
		{`"top_p":-0.1`, codeValue, "top_p"},
		{`"top_p":1.1`, codeValue, "top_p"},
		{`"top_k":-1`, codeValue, "top_k"},
		{`"top_k":257`, codeValue, "top_k"},
		{`"seed":1.5`, codeValue, "seed"},
		{`"seed":"1"`, codeValue, "seed"},
		{`"seed":18446744073709551616`, codeValue, "seed"},
		{`"seed":-9223372036854775809`, codeValue, "seed"},
		{`"stop":""`, codeValue, "stop"},
		{`"stop":["a",""]`, codeValue, "stop"},
		{`"stop":7`, codeValue, "stop"},
		{`"stop":[{}]`, codeValue, "stop"},
		{`"stop":[[256]]`, codeValue, "stop"},
		{`"stream":1`, codeValue, "stream"},
		{`"stream_options":{"include_usage":true}`, codeValue, "stream_options"},
		{`"n":2`, codeUnsupported, "n"},
		{`"n":0`, codeUnsupported, "n"},
		{`"best_of":2`, codeUnsupported, "best_of"},
		{`"suffix":"end"`, codeUnsupported, "suffix"},
		{`"frequency_penalty":0.5`, codeUnsupported, "frequency_penalty"},
		{`"presence_penalty":-1`, codeUnsupported, "presence_penalty"},
		{`"repetition_penalty":1.1`, codeUnsupported, "repetition_penalty"},
		{`"min_p":0.1`, codeUnsupported, "min_p"},
		{`"logit_bias":{"50":1}`, codeUnsupported, "logit_bias"},
		{`"response_format":{"type":"json_object"}`, codeUnsupported, "response_format"},
		{`"modalities":["audio"]`, codeUnsupported, "modalities"},
		{`"audio":{}`, codeUnsupported, "audio"},
		{`"prediction":{}`, codeUnsupported, "prediction"},
		{`"web_search_options":{}`, codeUnsupported, "web_search_options"},
		{`"tools":[{"type":"function"}]`, codeUnsupported, "tools"},
		{`"tool_choice":"required"`, codeUnsupported, "tool_choice"},
		{`"functions":[{}]`, codeUnsupported, "functions"},
		{`"function_call":{"name":"f"}`, codeUnsupported, "function_call"},
		{`"user":"\ud800"`, codeJSON, ""},
		{`"user":"\udc00\ud800"`, codeJSON, ""},
		{`"user":"\ud800\u0041"`, codeJSON, ""},
		{"\"user\":\"\xff\"", codeJSON, ""},
		{`"user":`, codeJSON, ""},
		{`"user":"\u00g0"`, codeJSON, ""},
	}
	completions := []struct{ body, code, param string }{
		{``, codeJSON, ""},
		{`[]`, codeValue, ""},
		{`{} {}`, codeJSON, ""},
		{`{}`, codeMissing, "prompt"},
		{`{"prompt":null}`, codeMissing, "prompt"},
		{`{"prompt":""}`, codeValue, "prompt"},
		{`{"prompt":[]}`, codeValue, "prompt"},
		{`{"prompt":[[]]}`, codeValue, "prompt"},
		{`{"prompt":["a","b"]}`, codeValue, "prompt"},
		{`{"prompt":[[1],[2]]}`, codeValue, "prompt"},
		{`{"prompt":7}`, codeValue, "prompt"},
		{`{"prompt":{}}`, codeValue, "prompt"},
		{`{"prompt":[256]}`, codeValue, "prompt"},
		{`{"prompt":[-1]}`, codeValue, "prompt"},
		{`{"prompt":[1.0]}`, codeValue, "prompt"},
		{`{"prompt":[1,"a"]}`, codeValue, "prompt"},
		{`{"prompt":[1,[2]]}`, codeValue, "prompt"},
		{`{"prompt":[true]}`, codeValue, "prompt"},
		{`{"prompt":"a","logprobs":-1}`, codeValue, "logprobs"},
		{`{"prompt":"a","logprobs":21}`, codeValue, "logprobs"},
		{`{"prompt":"a","logprobs":true}`, codeValue, "logprobs"},
		{`{"prompt":"a","logprobs":1,"echo":true,"max_tokens":8192}`, codeValue, "prompt"},
		{`{"prompt":"a","echo":1}`, codeValue, "echo"},
	}
	chats := []struct{ body, code, param string }{
		{`{}`, codeMissing, "messages"},
		{`{"messages":7}`, codeValue, "messages"},
		{`{"messages":[]}`, codeValue, "messages"},
		{`{"messages":[7]}`, codeValue, "messages[0]"},
		{`{"messages":[{"content":"a"}]}`, codeValue, "messages[0].role"},
		{`{"messages":[{"role":"tool","content":"a"}]}`, codeValue, "messages[0].role"},
		{`{"messages":[{"role":"user","content":"a"},{"role":"user"}]}`, codeValue, "messages[1].content"},
		{`{"messages":[{"role":"user","content":7}]}`, codeValue, "messages[0].content"},
		{`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, codeUnsupported, "messages[0].content"},
		{`{"messages":[{"role":"user","content":[{"type":"text"}]}]}`, codeUnsupported, "messages[0].content"},
		{`{"model":"bafyother","messages":[{"role":"user","content":""}]}`, codeValue, "messages"},
		{`{"messages":[{"role":"user","content":"a"}],"logprobs":5}`, codeValue, "logprobs"},
		{`{"messages":[{"role":"user","content":"a"}],"top_logprobs":5}`, codeValue, "top_logprobs"},
		{`{"messages":[{"role":"user","content":"a"}],"logprobs":true,"top_logprobs":21}`, codeValue, "top_logprobs"},
		{`{"messages":[{"role":"user","content":"a"}],"logprobs":true,"top_logprobs":-1}`, codeValue, "top_logprobs"},
	}
	for _, c := range common {
		completions = append(completions, struct{ body, code, param string }{`{"prompt":"a",` + c.fields + `}`, c.code, c.param})
		chats = append(chats, struct{ body, code, param string }{`{"messages":[{"role":"user","content":"a"}],` + c.fields + `}`, c.code, c.param})
	}
	grid := &double{}
	server := serve(t, grid, Options{})
	for path, rows := range map[string][]struct{ body, code, param string }{"/v1/completions": completions, "/v1/chat/completions": chats} {
		for _, row := range rows {
			got := post(t, server.URL+path, row.body)
			code, param := got.code(t)
			if code != row.code || param != row.param || got.status < 400 || got.status > 499 {
				t.Errorf("%s %s: got %d %q %q, want %q %q", path, row.body, got.status, code, param, row.code, row.param)
			}
		}
	}
	if len(grid.requests) > 0 {
		t.Errorf("%d bad requests reached the grid", len(grid.requests))
	}
}

// TestNeutralFieldsAreTaken: what asks for nothing is no reason to refuse, and
// neither is what nobody knows.
func TestNeutralFieldsAreTaken(t *testing.T) {
	server := serve(t, &double{}, Options{})
	for _, fields := range []string{
		`"n":1`, `"n":1.0`, `"n":null`, `"best_of":1`, `"suffix":""`, `"suffix":null`,
		`"frequency_penalty":0`, `"presence_penalty":0.0`, `"repetition_penalty":1`, `"min_p":-0`, `"logit_bias":{ }`,
		`"response_format":{ "type" : "text" }`, `"modalities":["text"]`, `"tools":[]`, `"tool_choice":"none"`,
		`"functions":[]`, `"function_call":"auto"`, `"user":"someone"`, `"metadata":{"a":"b"}`, `"store":false`,
		`"never_heard_of":[[[1]]]`, `"temperature":null`, `"seed":null`, `"stop":null`, `"stop":[]`, `"stream":false`,
		`"user":"\ud834\udd1e"`, `"max_tokens":0`, `"max_tokens":7,"max_completion_tokens":7`,
	} {
		for path, body := range map[string]string{
			"/v1/completions":      `{"prompt":"a",` + fields + `}`,
			"/v1/chat/completions": `{"messages":[{"role":"developer","content":[{"type":"text","text":"a"}]}],` + fields + `}`,
		} {
			if got := post(t, server.URL+path, body); got.status != http.StatusOK {
				t.Errorf("%s %s: %d %s", path, body, got.status, got.body)
			}
		}
	}
}

func TestDefaultsAndNames(t *testing.T) {
	for _, row := range []struct {
		fields      string
		model, soul string
	}{
		{`"user":""`, ownModel, ""},
		{`"model":"zetagrid"`, ownModel, ""},
		{`"model":"default:none"`, ownModel, "none"},
		{`"model":":` + ownSoul + `"`, ownModel, ownSoul},
		{`"model":"` + otherModel + `:s","soul":"s"`, otherModel, "s"},
		{`"soul":"none"`, ownModel, "none"},
	} {
		g, e := decodeCompletion([]byte(`{"prompt":"a",`+row.fields+`}`), (&double{}).Models())
		if e != nil {
			t.Errorf("%s: %v", row.fields, e)
			continue
		}
		r := g.request
		if r.Model != row.model || r.Soul != row.soul {
			t.Errorf("%s: model %q, Soul %q", row.fields, r.Model, r.Soul)
		}
		if r.MaxBytes != DefaultCompletion || r.LogProbs != -1 || r.Sampling.Temperature != 1 || r.Sampling.TopP != 0 || r.Sampling.TopK != 0 {
			t.Errorf("%s: defaults %+v", row.fields, r)
		}
	}
	g, e := decodeChat([]byte(`{"messages":[{"role":"user","content":"a"}],"top_p":0,"temperature":0.1}`), (&double{}).Models())
	if e != nil {
		t.Fatal(e)
	}
	// top_p 0 is the smallest nucleus, while the sampler's 0 is all.
	if s := g.request.Sampling; s.TopP != math.SmallestNonzeroFloat32 || s.Temperature != 0.1 || g.request.MaxBytes != DefaultChat {
		t.Errorf("chat: %+v", g.request)
	}
}

func TestASeedIsDrawnAndCanBeSentBack(t *testing.T) {
	grid := &double{}
	server := serve(t, grid, Options{})
	type reply struct {
		Seed    json.Number
		Choices []struct{ Text string }
	}
	var first, again reply
	extension(t, post(t, server.URL+"/v1/completions", `{"prompt":"a"}`).body, &first)
	extension(t, post(t, server.URL+"/v1/completions", fmt.Sprintf(`{"prompt":"a","seed":%s}`, first.Seed)).body, &again)
	if first.Seed != again.Seed || first.Choices[0].Text != again.Choices[0].Text {
		t.Errorf("seed %s gave %q, then seed %s %q", first.Seed, first.Choices[0].Text, again.Seed, again.Choices[0].Text)
	}
}
