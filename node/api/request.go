package api

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// generation is one request, decoded and found good.
type generation struct {
	request session.Request
	model   Model
	soul    string      // as asked for, else the Model's default
	seed    json.Number // as the caller wrote it, or as drawn
	chat    bool
	stream  bool
	usage   bool // stream_options.include_usage
	echo    bool
}

// settings is what both endpoints take. A nil pointer is an absent or null
// field.
type settings struct {
	Model         string          `json:"model"`
	Soul          *string         `json:"soul"`
	MaxTokens     *int64          `json:"max_tokens"`
	MaxCompletion *int64          `json:"max_completion_tokens"`
	Temperature   *float32        `json:"temperature"`
	TopP          *float32        `json:"top_p"`
	TopK          *int64          `json:"top_k"`
	Seed          json.RawMessage `json:"seed"`
	Stop          json.RawMessage `json:"stop"`
	Stream        *bool           `json:"stream"`
	StreamOptions *struct {
		IncludeUsage *bool `json:"include_usage"`
	} `json:"stream_options"`
	unsupported
}

// completionBody is the body of /v1/completions.
type completionBody struct {
	settings
	Prompt   json.RawMessage `json:"prompt"`
	LogProbs *int64          `json:"logprobs"`
	Echo     *bool           `json:"echo"`
}

// chatBody is the body of /v1/chat/completions.
type chatBody struct {
	settings
	Messages    json.RawMessage `json:"messages"`
	LogProbs    *bool           `json:"logprobs"`
	TopLogProbs *int64          `json:"top_logprobs"`
}

// decodeCompletion reads a body of /v1/completions.
func decodeCompletion(body []byte, models []Model) (*generation, *Error) {
	var b completionBody
	if e := decodeJSON(body, &b); e != nil {
		return nil, e
	}
	g, e := b.generation(models, DefaultCompletion)
	if e != nil {
		return nil, e
	}
	prompts, e := texts(b.Prompt, "prompt", 1)
	switch {
	case e != nil && isList(b.Prompt) && e.Code == codeValue:
		return nil, badValue("prompt", "holds several; send one a request: a string, an array of integers 0 to 255, or an array of one of them")
	case e != nil:
		return nil, e
	case prompts == nil:
		return nil, badField(codeMissing, "prompt", "is required")
	}
	g.echo = value(b.Echo)
	if b.LogProbs != nil {
		if g.request.LogProbs, e = between("logprobs", *b.LogProbs, 0, Alternatives); e != nil {
			return nil, e
		}
		g.request.Echo = g.echo // the grid then repeats the prompt, with its log-probabilities
	}
	return g, g.finish(slices.Concat(prompts...), "prompt")
}

// decodeChat reads a body of /v1/chat/completions.
func decodeChat(body []byte, models []Model) (*generation, *Error) {
	var b chatBody
	if e := decodeJSON(body, &b); e != nil {
		return nil, e
	}
	g, e := b.generation(models, DefaultChat)
	if e != nil {
		return nil, e
	}
	g.chat = true
	if value(b.LogProbs) {
		if g.request.LogProbs, e = between("top_logprobs", value(b.TopLogProbs), 0, Alternatives); e != nil {
			return nil, e
		}
	} else if b.TopLogProbs != nil {
		return nil, badValue("top_logprobs", "needs logprobs to be true")
	}
	chat, e := messages(b.Messages)
	if e != nil {
		return nil, e
	}
	prompt, err := g.model.Template.Prompt(chat)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, codeTemplate, "model", "%s", err)
	}
	for _, stop := range g.model.Template.Stop {
		g.request.Stop = append(g.request.Stop, []byte(stop))
	}
	if n := len(g.request.Stop); n > StopSequences {
		return nil, badValue("stop", "at most %d with the %d of the Model's template", StopSequences, len(g.model.Template.Stop))
	}
	return g, g.finish([]byte(prompt), "messages")
}

// generation checks the common fields.
func (s *settings) generation(models []Model, bytes int) (*generation, *Error) {
	if e := s.refuse(); e != nil {
		return nil, e
	}
	g := &generation{stream: value(s.Stream)}
	g.request.LogProbs = -1
	if s.StreamOptions != nil {
		if !g.stream {
			return nil, badValue("stream_options", "needs stream to be true")
		}
		g.usage = value(s.StreamOptions.IncludeUsage)
	}
	steps := []func(*generation) *Error{
		func(g *generation) *Error { return s.name(g, models) },
		func(g *generation) *Error { return s.length(g, bytes) },
		s.sampling, s.seed, s.stop,
	}
	for _, step := range steps {
		if e := step(g); e != nil {
			return nil, e
		}
	}
	return g, nil
}

// name finds the Model, and the Soul in "model:soul" or the soul field.
func (s *settings) name(g *generation, models []Model) *Error {
	id, soul, _ := strings.Cut(s.Model, ":")
	i := find(models, id)
	if i < 0 {
		return unknownModel(id)
	}
	if s.Soul != nil {
		if soul != "" && soul != *s.Soul {
			return badValue("soul", "is not the Soul that model names after the colon")
		}
		soul = *s.Soul
	}
	if len(soul) > SoulName {
		return badValue("soul", "has %d bytes, the limit is %d", len(soul), SoulName)
	}
	g.model, g.soul = models[i], soul
	g.request.Model, g.request.Soul = g.model.ID, soul
	if soul == "" {
		g.soul = g.model.Soul
	}
	return nil
}

// find gives the index of the model that a name means, -1 for none.
func find(models []Model, name string) int {
	if (name == "" || name == "zetagrid" || name == "default") && len(models) > 0 {
		return 0
	}
	return slices.IndexFunc(models, func(m Model) bool { return m.ID == name && name != "" })
}

// length reads how many bytes to generate; the limit depends on what the
// gateway must hold, so finish checks it.
func (s *settings) length(g *generation, bytes int) *Error {
	g.request.MaxBytes = bytes
	if s.MaxTokens != nil && s.MaxCompletion != nil && *s.MaxTokens != *s.MaxCompletion {
		return badValue("max_tokens", "differs from max_completion_tokens; send one of them")
	}
	var e *Error
	if s.MaxTokens != nil {
		g.request.MaxBytes, e = between("max_tokens", *s.MaxTokens, 0, StreamedBytes)
	} else if s.MaxCompletion != nil {
		g.request.MaxBytes, e = between("max_completion_tokens", *s.MaxCompletion, 0, StreamedBytes)
	}
	return e
}

// sampling reads temperature, top_p and top_k. Absent temperature is 1 and
// absent top_p and top_k are all, as OpenAI has it.
func (s *settings) sampling(g *generation) *Error {
	sampling := tcn.Sampling{Temperature: 1}
	if t := s.Temperature; t != nil {
		if !(*t >= 0 && *t <= MaxTemperature) {
			return badValue("temperature", "must be from 0 to %d", MaxTemperature)
		}
		sampling.Temperature = *t
	}
	if p := s.TopP; p != nil {
		if !(*p >= 0 && *p <= 1) {
			return badValue("top_p", "must be from 0 to 1")
		}
		sampling.TopP = Nucleus(*p)
	}
	if s.TopK != nil {
		var e *Error
		if sampling.TopK, e = between("top_k", *s.TopK, 0, 256); e != nil {
			return e
		}
	}
	g.request.Sampling = sampling
	return nil
}

// Nucleus is a top_p of 0 to 1 as the sampler takes it: 0, which means all to the
// sampler, is the smallest nucleus to a caller.
func Nucleus(topP float32) float32 { return max(topP, math.SmallestNonzeroFloat32) }

// seed reads the seed, an integer from -2⁶³ to 2⁶⁴-1 (negative ones count as
// their two's complement), or draws one.
func (s *settings) seed(g *generation) *Error {
	if isNull(s.Seed) {
		g.request.Sampling.Seed = DrawSeed()
		g.seed = json.Number(strconv.FormatUint(g.request.Sampling.Seed, 10))
		return nil
	}
	seed, err := ParseSeed(string(s.Seed))
	if err != nil {
		return badValue("seed", "must be an integer from -2^63 to 2^64-1")
	}
	g.request.Sampling.Seed, g.seed = seed, json.Number(s.Seed)
	return nil
}

// ParseSeed reads a seed in decimal, from -2⁶³ to 2⁶⁴-1; negative ones count as
// their two's complement.
func ParseSeed(s string) (uint64, error) {
	if strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, 64)
		return uint64(n), err
	}
	return strconv.ParseUint(s, 10, 64)
}

// DrawSeed draws a seed for a caller who named none: below 2⁵³, so that clients
// whose numbers are float64 can send it back unharmed.
func DrawSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) >> 11
}

// stop reads the stop sequences.
func (s *settings) stop(g *generation) *Error {
	stops, e := texts(s.Stop, "stop", StopSequences)
	if e != nil {
		return e
	}
	for i, stop := range stops {
		if len(stop) == 0 || len(stop) > StopBytes {
			return badValue("stop", "sequence %d has %d bytes; it must have 1 to %d", i, len(stop), StopBytes)
		}
	}
	g.request.Stop = stops
	return nil
}

// finish sets the prompt and checks what depends on several fields.
func (g *generation) finish(prompt []byte, param string) *Error {
	if len(prompt) == 0 {
		return badValue(param, "must hold at least one byte")
	}
	if len(prompt) > PromptBytes {
		return tooLong(len(prompt))
	}
	limit := StreamedBytes
	if !g.stream {
		limit = BufferedBytes
		if g.request.LogProbs >= 0 {
			limit = BufferedLogProbBytes
		}
		if g.request.Echo && len(prompt) > BufferedLogProbBytes-min(limit, g.request.MaxBytes) {
			return badValue(param, "and max_tokens together have at most %d bytes when echoed with logprobs; stream allows more", BufferedLogProbBytes)
		}
	}
	if g.request.MaxBytes > limit {
		return badValue("max_tokens", "at most %d for an answer of this kind; stream allows more", limit)
	}
	g.request.Prompt = prompt
	return nil
}

// messages decodes a chat.
func messages(raw json.RawMessage) ([]modelfile.Message, *Error) {
	if isNull(raw) {
		return nil, badField(codeMissing, "messages", "is required")
	}
	if raw[0] != '[' {
		return nil, badValue("messages", "must be an array")
	}
	var chat []modelfile.Message
	e := each(raw, "messages", ChatMessages, func(element json.RawMessage) *Error {
		m, e := message(element, fmt.Sprintf("messages[%d]", len(chat)))
		chat = append(chat, m)
		return e
	})
	if e == nil && len(chat) == 0 {
		e = badValue("messages", "must hold at least one message")
	}
	return chat, e
}

// message decodes one turn, whose content is a string or text parts.
func message(raw json.RawMessage, param string) (modelfile.Message, *Error) {
	var m struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return modelfile.Message{}, badValue(param, "must be an object with role and content")
	}
	if !slices.Contains([]string{"system", "developer", "user", "assistant"}, m.Role) {
		return modelfile.Message{}, badValue(param+".role", "must be system, developer, user or assistant")
	}
	turn := modelfile.Message{Role: m.Role}
	if m.Role == "developer" {
		turn.Role = "system" // the newer name of the same role
	}
	if !isNull(m.Content) && m.Content[0] == '"' {
		err := json.Unmarshal(m.Content, &turn.Text)
		if err != nil {
			return modelfile.Message{}, badValue(param+".content", "%s", err)
		}
		return turn, nil
	}
	if isNull(m.Content) || m.Content[0] != '[' {
		return modelfile.Message{}, badValue(param+".content", "must be a string or an array of text parts")
	}
	var content strings.Builder
	e := each(m.Content, param+".content", ContentParts, func(element json.RawMessage) *Error {
		var part struct {
			Type string  `json:"type"`
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(element, &part); err != nil || part.Type != "text" || part.Text == nil {
			return badField(codeUnsupported, param+".content", "every part must be of type text")
		}
		content.WriteString(*part.Text)
		return nil
	})
	turn.Text = content.String()
	return turn, e
}

// between checks lo <= n <= hi.
func between(param string, n, lo, hi int64) (int, *Error) {
	if n < lo || n > hi {
		return 0, badValue(param, "must be from %d to %d", lo, hi)
	}
	return int(n), nil
}

// value is *p, or the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
