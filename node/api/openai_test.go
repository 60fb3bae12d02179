package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go"
	"github.com/openai/openai-go/option"
	"github.com/openai/openai-go/packages/param"
	"github.com/openai/openai-go/packages/ssestream"

	"github.com/zetagrid/zetagrid/node/session"
)

// official is OpenAI's own client, pointed at grid.
func official(t *testing.T, grid Grid, o Options, change ...func(*handler)) *openai.Client {
	t.Helper()
	server := serve(t, grid, o, change...)
	client := openai.NewClient(option.WithBaseURL(server.URL+"/v1/"), option.WithAPIKey("key"), option.WithMaxRetries(0))
	return &client
}

func completion(prompt string) openai.CompletionNewParams {
	return openai.CompletionNewParams{
		Model:     "zetagrid",
		Prompt:    openai.CompletionNewParamsPromptUnion{OfString: param.NewOpt(prompt)},
		MaxTokens: param.NewOpt(int64(20)),
	}
}

func chat(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:     ownModel,
		Messages:  []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("be brief"), openai.UserMessage(text)},
		MaxTokens: param.NewOpt(int64(20)),
	}
}

// exactly is the bytes that the double answers with.
func exactly(t *testing.T, grid *double) []byte {
	t.Helper()
	s, err := (&double{answer: grid.answer}).Generate(t.Context(), grid.last(t))
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := collect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return bytesOf(pieces)
}

// extension reads fields that OpenAI's types do not have.
func extension(t *testing.T, raw string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

func TestOfficialClientListsModels(t *testing.T) {
	client := official(t, &double{}, Options{})
	page, err := client.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range page.Data {
		ids = append(ids, m.ID)
	}
	if want := []string{ownModel, otherModel}; !slices.Equal(ids, want) {
		t.Errorf("models %q, want %q", ids, want)
	}
	for name, want := range map[string]string{otherModel: otherModel, "default": ownModel} {
		if m, err := client.Models.Get(t.Context(), name); err != nil || m.ID != want {
			t.Errorf("get %q: %+v, %v", name, m, err)
		}
	}
	_, err = client.Models.Get(t.Context(), "gpt-4")
	wantOpenAIError(t, err, http.StatusNotFound, "model_not_found")
}

func wantOpenAIError(t *testing.T, err error, status int, code string) {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of the API", err)
	}
	if e.StatusCode != status || e.Code != code || e.Message == "" || e.Type == "" {
		t.Errorf("got %d %q %q %q, want %d %q", e.StatusCode, e.Code, e.Type, e.Message, status, code)
	}
}

func TestOfficialClientCompletes(t *testing.T) {
	grid := &double{answer: saying("héllo \xff𝄞")}
	client := official(t, grid, Options{})
	p := completion("once")
	p.Seed, p.Temperature, p.TopP = param.NewOpt(int64(-3)), param.NewOpt(0.25), param.NewOpt(0.5)
	p.Logprobs = param.NewOpt(int64(2))
	p.User = param.NewOpt("ignored")
	answer, err := client.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := exactly(t, grid)
	if answer.Choices[0].Text != textOf(want) || answer.Choices[0].FinishReason != "length" {
		t.Errorf("choice: %+v", answer.Choices[0])
	}
	request := grid.last(t)
	if string(request.Prompt) != "once" || request.Sampling.Temperature != 0.25 || request.Sampling.TopP != 0.5 ||
		int64(request.Sampling.Seed) != -3 || request.LogProbs != 2 {
		t.Errorf("request: %+v", request)
	}
	table := answer.Choices[0].Logprobs
	if len(table.Tokens) != len(want) || len(table.TopLogprobs[0]) != 2 || table.TextOffset[3] != 3 || table.TokenLogprobs[1] != -0.5 {
		t.Errorf("logprobs: %+v", table)
	}
	if table.Tokens[1] != `bytes:\xc3` || table.Tokens[0] != "h" {
		t.Errorf("tokens: %q", table.Tokens)
	}
	if answer.Usage.PromptTokens != 4 || answer.Usage.CompletionTokens != 20 || answer.Usage.TotalTokens != 24 {
		t.Errorf("usage: %+v", answer.Usage)
	}
	var extra struct {
		Seed    int64
		Choices []struct{ Bytes []byte }
		Usage   struct{ Lap lap }
	}
	extension(t, answer.RawJSON(), &extra)
	if extra.Seed != -3 || !bytes.Equal(extra.Choices[0].Bytes, want) {
		t.Errorf("seed %d, bytes %q", extra.Seed, extra.Choices[0].Bytes)
	}
	wantLap := lap{Laps: 21, TotalMS: 10, QueueMS: 1, ComputeMS: 6, WireMS: 3, Hops: []hop{
		{Peer: "peer-a", Blocks: Span{0, 2}, QueueMS: 1, ComputeMS: 2}, {Peer: "peer-b", Blocks: Span{2, 4}, ComputeMS: 4}}}
	if diff := cmp.Diff(wantLap, extra.Usage.Lap); diff != "" {
		t.Errorf("lap:\n%s", diff)
	}
}

func TestOfficialClientChats(t *testing.T) {
	grid := &double{}
	client := official(t, grid, Options{})
	p := chat("hi")
	p.Logprobs, p.TopLogprobs = param.NewOpt(true), param.NewOpt(int64(1))
	p.Stop.OfStringArray = []string{"zz", "yy"}
	p.Seed = param.NewOpt(int64(7)) // one that draws neither
	answer, err := client.Chat.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	request, want := grid.last(t), exactly(t, grid)
	if got, want := string(request.Prompt), "be brief\n\nUser: hi\nAssistant: "; got != want {
		t.Errorf("prompt %q, want %q", got, want)
	}
	if got := string(bytes.Join(request.Stop, []byte("|"))); got != "zz|yy|\nUser: " {
		t.Errorf("stop %q", got)
	}
	choice := answer.Choices[0]
	if choice.Message.Content != string(want) || choice.FinishReason != "length" || choice.Message.Role != "assistant" {
		t.Errorf("choice: %+v", choice)
	}
	first := choice.Logprobs.Content[0]
	if len(choice.Logprobs.Content) != len(want) || first.Bytes[0] != int64(want[0]) || first.TopLogprobs[0].Token != string(want[:1]) {
		t.Errorf("logprobs: %+v", choice.Logprobs.Content)
	}
	var extra struct {
		Seed    uint64
		Choices []struct{ Message struct{ Bytes []byte } }
	}
	extension(t, answer.RawJSON(), &extra)
	if extra.Seed != request.Sampling.Seed || extra.Seed >= 1<<53 || !bytes.Equal(extra.Choices[0].Message.Bytes, want) {
		t.Errorf("extensions: %+v, seed used %d", extra, request.Sampling.Seed)
	}
}

func TestOfficialClientStopsAtAStopSequence(t *testing.T) {
	client := official(t, &double{answer: saying("one. two. ")}, Options{})
	p := completion("count")
	p.Stop.OfString = param.NewOpt(" two")
	answer, err := client.Completions.New(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Choices[0]; got.Text != "one." || got.FinishReason != "stop" {
		t.Errorf("got %q, %q", got.Text, got.FinishReason)
	}
}

func TestOfficialClientStreams(t *testing.T) {
	const text = "à b\xf0\x9d\x84c\xff€"
	want := []byte(strings.Repeat(text, 3)[:20])
	t.Run("completion", func(t *testing.T) {
		client := official(t, &double{answer: saying(text)}, Options{})
		p := completion("x")
		p.Logprobs = param.NewOpt(int64(0))
		p.StreamOptions.IncludeUsage = param.NewOpt(true)
		stream := client.Completions.NewStreaming(t.Context(), p)
		var shown string
		var exact []byte
		var offsets []int64
		var finish string
		var total int64
		for stream.Next() {
			chunk := stream.Current()
			total += chunk.Usage.TotalTokens
			for _, c := range chunk.Choices {
				shown += c.Text
				offsets = append(offsets, c.Logprobs.TextOffset...)
				finish = string(c.FinishReason)
				var extra struct{ Bytes []byte }
				extension(t, c.RawJSON(), &extra)
				exact = append(exact, extra.Bytes...)
			}
		}
		wantStreamed(t, stream, shown, exact, want, finish, total)
		for i, offset := range offsets {
			if int(offset) != i {
				t.Fatalf("offsets %d", offsets)
			}
		}
	})
	t.Run("chat", func(t *testing.T) {
		client := official(t, &double{answer: saying(text)}, Options{})
		p := chat("x")
		p.StreamOptions.IncludeUsage = param.NewOpt(true)
		stream := client.Chat.Completions.NewStreaming(t.Context(), p)
		var gathered openai.ChatCompletionAccumulator
		var exact []byte
		var total int64
		for stream.Next() {
			chunk := stream.Current()
			if !gathered.AddChunk(chunk) {
				t.Fatal("the accumulator refuses a chunk")
			}
			total += chunk.Usage.TotalTokens
			for _, c := range chunk.Choices {
				var extra struct{ Delta struct{ Bytes []byte } }
				extension(t, c.RawJSON(), &extra)
				exact = append(exact, extra.Delta.Bytes...)
			}
		}
		if gathered.Choices[0].Message.Role != "assistant" {
			t.Errorf("role %q", gathered.Choices[0].Message.Role)
		}
		wantStreamed(t, stream, gathered.Choices[0].Message.Content, exact, want, gathered.Choices[0].FinishReason, total)
	})
}

func wantStreamed[T any](t *testing.T, s *ssestream.Stream[T], shown string, exact, want []byte, finish string, total int64) {
	t.Helper()
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(exact, want) || shown != textOf(want) {
		t.Errorf("got %q %q, want %q", exact, shown, want)
	}
	if finish != "length" || total < 20 {
		t.Errorf("finish %q, total tokens %d", finish, total)
	}
}

func TestOfficialClientSeesTypedErrors(t *testing.T) {
	for _, row := range sentinels {
		if row.status == 499 {
			continue // nobody is there to read it
		}
		t.Run(row.code, func(t *testing.T) {
			grid := &double{fail: fmt.Errorf("%w: blocks 2 to 4", row.sentinel)}
			_, err := official(t, grid, Options{}).Completions.New(t.Context(), completion("x"))
			wantOpenAIError(t, err, row.status, row.code)
			stream := official(t, grid, Options{}).Chat.Completions.NewStreaming(t.Context(), chat("x"))
			if stream.Next() {
				t.Error("a chunk before the first byte failed")
			}
			wantOpenAIError(t, stream.Err(), row.status, row.code)
		})
	}
	t.Run("unknown model", func(t *testing.T) {
		p := completion("x")
		p.Model = "gpt-3.5-turbo-instruct"
		_, err := official(t, &double{}, Options{}).Completions.New(t.Context(), p)
		wantOpenAIError(t, err, http.StatusNotFound, "model_not_found")
	})
	t.Run("token", func(t *testing.T) {
		_, err := official(t, &double{}, Options{Token: "another"}).Completions.New(t.Context(), completion("x"))
		wantOpenAIError(t, err, http.StatusUnauthorized, "invalid_api_key")
		if _, err := official(t, &double{}, Options{Token: "key"}).Completions.New(t.Context(), completion("x")); err != nil {
			t.Error(err)
		}
	})
}

// TestOfficialClientSeesALateError: what came before is a true prefix, and the
// error is an error and not an end.
func TestOfficialClientSeesALateError(t *testing.T) {
	grid := &double{answer: saying("ab\xe2\x82"), fail: fmt.Errorf("%w: peer-b", session.ErrHopLost), failAt: 7}
	stream := official(t, grid, Options{}).Completions.NewStreaming(t.Context(), completion("x"))
	var text string
	for stream.Next() {
		text += stream.Current().Choices[0].Text
	}
	if want := textOf([]byte("ab\xe2\x82ab\xe2")); text != want {
		t.Errorf("got %q before the error, want %q", text, want)
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "hop_lost") {
		t.Errorf("got %v, want hop_lost", err)
	}
}

// TestDisconnectClosesTheStream: whoever goes away, with a stream or waiting
// for a whole answer, frees the grid.
func TestDisconnectClosesTheStream(t *testing.T) {
	t.Run("streaming", func(t *testing.T) {
		grid := &double{wait: true, waitAt: 3, streams: make(chan *doubleStream, 1)}
		client := official(t, grid, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		stream := client.Completions.NewStreaming(ctx, completion("x"))
		for range 3 {
			if !stream.Next() {
				t.Fatal(stream.Err())
			}
		}
		opened := <-grid.streams
		cancel()
		<-opened.closed
		if stream.Next() || stream.Err() == nil {
			t.Error("a cancelled stream ended well")
		}
	})
	t.Run("waiting", func(t *testing.T) {
		grid := &double{wait: true, waitAt: 3, streams: make(chan *doubleStream, 1)}
		client := official(t, grid, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := client.Chat.Completions.New(ctx, chat("x"))
			failed <- err
		}()
		opened := <-grid.streams
		cancel()
		<-opened.closed
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("own client", func(t *testing.T) {
		grid := &double{wait: true, waitAt: 3, streams: make(chan *doubleStream, 1)}
		client := &Client{Base: serve(t, grid, Options{}).URL}
		stream, err := client.Complete(t.Context(), session.Request{Prompt: []byte("x"), MaxBytes: 9, LogProbs: -1})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := stream.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
		<-(<-grid.streams).closed
		if _, err := stream.Next(); !errors.Is(err, session.ErrCanceled) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestPromptsOfTheOfficialClient(t *testing.T) {
	for name, prompt := range map[string]openai.CompletionNewParamsPromptUnion{
		"strings": {OfArrayOfStrings: []string{"hé"}},
		"tokens":  {OfArrayOfTokens: []int64{'h', 0xc3, 0xa9}},
		"lists":   {OfArrayOfTokenArrays: [][]int64{{'h', 0xc3, 0xa9}}},
	} {
		grid := &double{}
		p := completion("")
		p.Prompt = prompt
		if _, err := official(t, grid, Options{}).Completions.New(t.Context(), p); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := grid.last(t).Prompt; string(got) != "hé" {
			t.Errorf("%s: prompt %q", name, got)
		}
	}
}

func TestEchoRepeatsThePrompt(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		// The prompt ends inside a character that the answer completes.
		body := fmt.Sprintf(`{"prompt":[65,226,130],"max_tokens":2,"echo":true,"stream":%t}`, streamed)
		server := serve(t, &double{answer: saying("\xacb")}, Options{})
		answer := post(t, server.URL+"/v1/completions", body)
		var text string
		var exact []byte
		for data := range strings.SplitSeq(answer.body, "\n") {
			data = strings.TrimPrefix(data, "data: ")
			if data == "" || data == "[DONE]" {
				continue
			}
			var chunk struct {
				Choices []struct{ Text, Bytes string }
			}
			extension(t, data, &chunk)
			for _, c := range chunk.Choices {
				text += c.Text
				b, err := base64.StdEncoding.DecodeString(c.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				exact = append(exact, b...)
			}
		}
		if text != "A€b" || string(exact) != "A€b" {
			t.Errorf("stream %t: text %q, bytes %q", streamed, text, exact)
		}
	}
}

// TestEchoScoresThePrompt: with logprobs the prompt's bytes have theirs, but for
// the first, which nothing precedes.
func TestEchoScoresThePrompt(t *testing.T) {
	server := serve(t, &double{}, Options{})
	answer := post(t, server.URL+"/v1/completions", `{"prompt":"abc","max_tokens":1,"echo":true,"logprobs":1}`)
	var reply struct {
		Choices []struct {
			Text     string
			LogProbs struct {
				Tokens   []string
				LogProbs []*float64            `json:"token_logprobs"`
				Top      []map[string]*float64 `json:"top_logprobs"`
				Offsets  []int                 `json:"text_offset"`
			} `json:"logprobs"`
		}
		Usage struct {
			Prompt    int `json:"prompt_tokens"`
			Generated int `json:"completion_tokens"`
		}
	}
	extension(t, answer.body, &reply)
	table := reply.Choices[0].LogProbs
	if len(reply.Choices[0].Text) != 4 || len(table.Tokens) != 4 || table.Tokens[2] != "c" || fmt.Sprint(table.Offsets) != "[0 1 2 3]" {
		t.Fatalf("%s", answer.body)
	}
	if table.LogProbs[0] != nil || table.Top[0] != nil || *table.LogProbs[1] != -1 || *table.Top[2]["c"] != -2 || *table.LogProbs[3] != -0.25 {
		t.Errorf("%s", answer.body)
	}
	if reply.Usage.Prompt != 3 || reply.Usage.Generated != 1 {
		t.Errorf("%d and %d bytes are counted, want 3 and 1", reply.Usage.Prompt, reply.Usage.Generated)
	}
	longest := strings.Repeat("a", BufferedLogProbBytes-1)
	for extra, want := range map[string]int{"": 200, "b": 400} {
		body := fmt.Sprintf(`{"prompt":%q,"max_tokens":1,"echo":true,"logprobs":0}`, longest+extra)
		if got := post(t, server.URL+"/v1/completions", body); got.status != want {
			t.Errorf("prompt of %d bytes: status %d, want %d", len(longest+extra), got.status, want)
		}
	}
}
