package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// question is a prompt and how it is asked.
type question struct {
	prompt      string
	chat        bool // as the one message of a user
	stream      bool
	temperature float32
	seed        uint64
	bytes       int // to generate
}

func (q question) String() string {
	return fmt.Sprintf("chat %v, stream %v, temperature %v, seed %d, %.20q", q.chat, q.stream, q.temperature, q.seed, q.prompt)
}

// reference is the answer of one process alone, without a network.
func (q question) reference(tb testing.TB, p program, model string) string {
	tb.Helper()
	prompt := q.prompt
	if q.chat {
		prompt = asChat(tb, model, prompt)
	}
	folder := tb.TempDir()
	file := filepath.Join(folder, "prompt")
	if err := os.WriteFile(file, []byte(prompt), 0o600); err != nil {
		tb.Fatal(err)
	}
	return string(p.output(tb, "run", "--raw", "--model", model, "--data", folder, "--prompt-file", file,
		"--max-bytes", strconv.Itoa(q.bytes), "--temperature", fmt.Sprint(q.temperature), "--seed", fmt.Sprint(q.seed)))
}

// asChat is the prompt that a model's template makes of a message.
func asChat(tb testing.TB, model, message string) string {
	tb.Helper()
	folder, err := modelfile.OpenFolder(model)
	if err != nil {
		tb.Fatal(err)
	}
	manifest, _ := folder.Model()
	prompt, err := manifest.Template.Prompt([]modelfile.Message{{Role: "user", Text: message}})
	if err != nil {
		tb.Fatal(err)
	}
	return prompt
}

// request is the question in OpenAI's form.
func (q question) request(ctx context.Context, base string) (*http.Request, error) {
	path := "/v1/completions"
	body := map[string]any{
		"max_tokens": q.bytes, "temperature": q.temperature, "seed": q.seed, "stream": q.stream,
	}
	if q.chat {
		path = "/v1/chat/completions"
		body["messages"] = []map[string]string{{"role": "user", "content": q.prompt}}
	} else {
		integers := make([]int, len(q.prompt)) // it need not be UTF-8
		for i, b := range []byte(q.prompt) {
			integers[i] = int(b)
		}
		body["prompt"] = integers
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(text))
}

// ask puts a question to the API at base and returns the bytes of the answer,
// those before an error included. take, unless nil, gets each part as it comes.
// An error that the node names is an *api.Error.
func (q question) ask(ctx context.Context, base string, take func(part string)) (all string, err error) {
	request, err := q.request(ctx, base)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end, or given up
	if !q.stream || response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return "", err
		}
		return partOf(text, response.StatusCode)
	}
	for lines := bufio.NewReader(response.Body); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return all, errors.Join(io.ErrUnexpectedEOF, err)
		}
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		switch {
		case !ok:
			continue
		case string(data) == "[DONE]":
			return all, nil
		}
		part, err := partOf(data, 0)
		if err != nil {
			return all, err
		}
		all += part
		if take != nil {
			take(part)
		}
	}
}

// partOf is the bytes in one JSON document of an answer, or the error it names.
func partOf(data []byte, status int) (string, error) {
	var reply struct {
		Choices []struct {
			Bytes          []byte
			Message, Delta struct{ Bytes []byte }
		}
		Error *api.Error
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return "", fmt.Errorf("status %d: %w: %q", status, err, data)
	}
	if reply.Error != nil {
		reply.Error.Status = status
		return "", reply.Error
	}
	part := ""
	for _, choice := range reply.Choices {
		part += string(choice.Bytes) + string(choice.Message.Bytes) + string(choice.Delta.Bytes)
	}
	return part, nil
}

// status is what a node sees of its grid.
func (q *process) status(tb testing.TB) api.Status {
	tb.Helper()
	client := api.Client{Base: q.API}
	status, err := client.Status(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return status
}

// covered waits until every node sees all blocks served.
func covered(tb testing.TB, nodes ...*process) {
	tb.Helper()
	for _, node := range nodes {
		await(tb, "all blocks covered", func() bool { return node.status(tb).Covered })
	}
}

// metric reads a number of /metrics.
func (q *process) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	response, err := http.Get(q.API + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		tb.Fatalf("no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}
