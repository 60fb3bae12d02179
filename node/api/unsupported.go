package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// unsupported is the fields that would change the answer and that a grid cannot
// honour. They are refused unless their value asks for nothing.
type unsupported struct {
	N                 json.RawMessage `json:"n"`
	BestOf            json.RawMessage `json:"best_of"`
	Suffix            json.RawMessage `json:"suffix"`
	FrequencyPenalty  json.RawMessage `json:"frequency_penalty"`
	PresencePenalty   json.RawMessage `json:"presence_penalty"`
	RepetitionPenalty json.RawMessage `json:"repetition_penalty"`
	MinP              json.RawMessage `json:"min_p"`
	LogitBias         json.RawMessage `json:"logit_bias"`
	ResponseFormat    json.RawMessage `json:"response_format"`
	Modalities        json.RawMessage `json:"modalities"`
	Audio             json.RawMessage `json:"audio"`
	Prediction        json.RawMessage `json:"prediction"`
	WebSearch         json.RawMessage `json:"web_search_options"`
	Tools             json.RawMessage `json:"tools"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	Functions         json.RawMessage `json:"functions"`
	FunctionCall      json.RawMessage `json:"function_call"`
}

// refuse names the first field that asks for something. Beside null, neutral
// lists the values that ask for nothing, as compact JSON; numbers compare as
// numbers.
func (u *unsupported) refuse() *Error {
	for _, field := range []struct {
		param   string
		raw     json.RawMessage
		neutral []string
	}{
		{"n", u.N, []string{"1"}},
		{"best_of", u.BestOf, []string{"1"}},
		{"suffix", u.Suffix, []string{`""`}},
		{"frequency_penalty", u.FrequencyPenalty, []string{"0"}},
		{"presence_penalty", u.PresencePenalty, []string{"0"}},
		{"repetition_penalty", u.RepetitionPenalty, []string{"1"}},
		{"min_p", u.MinP, []string{"0"}},
		{"logit_bias", u.LogitBias, []string{"{}"}},
		{"response_format", u.ResponseFormat, []string{`{"type":"text"}`}},
		{"modalities", u.Modalities, []string{"[]", `["text"]`}},
		{"audio", u.Audio, nil},
		{"prediction", u.Prediction, nil},
		{"web_search_options", u.WebSearch, nil},
		{"tools", u.Tools, []string{"[]"}},
		{"tool_choice", u.ToolChoice, []string{`"none"`, `"auto"`}},
		{"functions", u.Functions, []string{"[]"}},
		{"function_call", u.FunctionCall, []string{`"none"`, `"auto"`}},
	} {
		if !isNull(field.raw) && !asksNothing(field.raw, field.neutral) {
			return badField(codeUnsupported, field.param, "is not supported with this value; leave it out")
		}
	}
	return nil
}

// asksNothing reports whether raw is one of the neutral values.
func asksNothing(raw json.RawMessage, neutral []string) bool {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return false
	}
	return slices.ContainsFunc(neutral, func(want string) bool {
		if compact.String() == want {
			return true
		}
		a, errA := strconv.ParseFloat(compact.String(), 64)
		b, errB := strconv.ParseFloat(want, 64)
		return errA == nil && errB == nil && a == b
	})
}
