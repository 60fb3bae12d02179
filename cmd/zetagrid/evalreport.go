package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// evalJSON is the output of zetagrid eval --json.
type evalJSON struct {
	Model      string     `json:"model"` // Model CID, or the name given with --api
	Soul       string     `json:"soul"`  // as asked; "" is the model's own
	Through    string     `json:"through"`
	Arithmetic int        `json:"arithmetic"`
	Code       string     `json:"code"`            // version and revision
	Split      string     `json:"split,omitempty"` // absent when the held-out text was given
	Data       string     `json:"data_sha256,omitempty"`
	HeldOut    *scoreJSON `json:"held_out,omitempty"`
	Training   *scoreJSON `json:"training,omitempty"`
	Gap        *float64   `json:"gap_bits,omitempty"` // held-out less training bits a byte
	Suite      *suiteJSON `json:"suite,omitempty"`
	Probe      *probeJSON `json:"probe,omitempty"`
	// ProbeText is the probe of as many pieces of the held-out text, of the
	// answers' lengths: what to hold the answers' probe against.
	ProbeText *probeJSON `json:"probe_text,omitempty"`
}

// scoreJSON is a text's score.
type scoreJSON struct {
	Bytes         int     `json:"bytes"`
	SHA256        string  `json:"sha256"`
	Sequence      int     `json:"sequence_bytes"`
	Predicted     int     `json:"predicted_bytes"`
	BitsPerByte   float64 `json:"bits_per_byte"`
	StandardError float64 `json:"standard_error"`
	Perplexity    float64 `json:"perplexity"`
}

// suiteJSON is the suite's answers.
type suiteJSON struct {
	Version int          `json:"version"`
	Bytes   int          `json:"bytes"` // asked of each answer
	Digest  string       `json:"digest"`
	Logits  string       `json:"logits_digest,omitempty"` // absent through an API
	Answers []answerJSON `json:"answers"`
}

type answerJSON struct {
	Prompt      string `json:"prompt"`
	Greedy      string `json:"greedy"` // invalid bytes are U+FFFD
	GreedyBytes []byte `json:"greedy_bytes"`
	Seeded      string `json:"seeded"`
	SeededBytes []byte `json:"seeded_bytes"`
}

// probeJSON is an eval.Probe.
type probeJSON struct {
	Answers    int        `json:"answers"`
	Bytes      int        `json:"bytes"`
	Distinct   [4]float64 `json:"distinct"` // of 1 to 4 bytes
	Repetition float64    `json:"repetition"`
	Looping    int        `json:"looping"`
	Copied     *float64   `json:"copied,omitempty"` // absent without a training text
}

// report measures everything asked for.
func (e *evaluated) report(ctx context.Context, s *streams, c *evalCmd, texts evalTexts) (evalJSON, error) {
	version := buildVersion()
	r := evalJSON{
		Model: e.model, Soul: e.soul, Through: e.through, Arithmetic: tcn.Arithmetic,
		Code: version.Version + " " + version.Revision, Split: texts.split,
	}
	heldOut := texts.heldOut
	if limit := int(c.Limit); limit > 0 {
		heldOut = eval.Sample(heldOut, max(1, limit/e.sequence), min(e.sequence, limit))
	}
	if len(heldOut) > 0 {
		if texts.corpus != nil {
			r.Data = sha256Of(texts.corpus)
		}
		if err := e.scores(ctx, s, &r, heldOut, texts.training); err != nil {
			return r, err
		}
	}
	if c.SuiteBytes == 0 {
		return r, nil
	}
	answers, err := eval.Suite(ctx, e.decode, c.SuiteBytes)
	if err != nil {
		return r, fmt.Errorf("suite: %w", err)
	}
	r.Suite = suiteOf(answers, c.SuiteBytes)
	if e.logits {
		if r.Suite.Logits, err = e.logitsDigest(ctx); err != nil {
			return r, fmt.Errorf("suite: %w", err)
		}
	}
	r.probes(answers, heldOut, texts.training)
	return r, nil
}

// scores fills in how well the held-out text, and as much of the training text,
// are predicted.
func (e *evaluated) scores(ctx context.Context, s *streams, r *evalJSON, heldOut, training []byte) error {
	sample := eval.Sample(training, len(heldOut)/e.sequence, e.sequence)
	bar := progress(s, len(heldOut)+len(sample), "bytes scored")
	defer func() { _ = bar.Finish() }() // it draws on a terminal, or nowhere
	score := func(text []byte) (*scoreJSON, error) {
		last := 0
		score, err := eval.Measure(ctx, e.predict, text, e.sequence, func(done int) {
			_ = bar.Add(done - last) // as above
			last = done
		})
		if err != nil {
			return nil, err
		}
		return &scoreJSON{
			Bytes: len(text), SHA256: sha256Of(text), Sequence: e.sequence, Predicted: score.Bytes(),
			BitsPerByte: score.BitsPerByte(), StandardError: score.StandardError(), Perplexity: score.Perplexity(),
		}, nil
	}
	var err error
	if r.HeldOut, err = score(heldOut); err != nil {
		return fmt.Errorf("held-out text: %w", err)
	}
	if len(sample) < 2 {
		return nil
	}
	if r.Training, err = score(sample); err != nil {
		return fmt.Errorf("training text: %w", err)
	}
	gap := r.HeldOut.BitsPerByte - r.Training.BitsPerByte
	r.Gap = &gap
	return nil
}

func suiteOf(answers []eval.Answer, n int) *suiteJSON {
	suite := &suiteJSON{Version: eval.SuiteVersion, Bytes: n, Digest: eval.SuiteDigest(answers)}
	for _, a := range answers {
		suite.Answers = append(suite.Answers, answerJSON{
			Prompt: string(a.Prompt),
			Greedy: textOf(a.Greedy), GreedyBytes: append([]byte{}, a.Greedy...),
			Seeded: textOf(a.Seeded), SeededBytes: append([]byte{}, a.Seeded...),
		})
	}
	return suite
}

// textOf is bytes as UTF-8; invalid ones are U+FFFD.
func textOf(b []byte) string {
	var text bytes.Buffer
	w := textWriter(&text)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()     // as above
	return text.String()
}

// probes fills in the probe of the seeded answers, and of held-out text beside
// them. Greedy answers loop in any model and say little.
func (r *evalJSON) probes(answers []eval.Answer, heldOut, training []byte) {
	var seeded, pieces [][]byte
	for i, a := range answers {
		seeded = append(seeded, a.Seeded)
		if at := len(heldOut) / len(answers) * i; at+len(a.Seeded) <= len(heldOut) {
			pieces = append(pieces, heldOut[at:at+len(a.Seeded)])
		}
	}
	r.Probe = probeOf(eval.ProbeAnswers(seeded, training))
	if len(pieces) == len(answers) {
		r.ProbeText = probeOf(eval.ProbeAnswers(pieces, training))
	}
}

func probeOf(p eval.Probe) *probeJSON {
	out := &probeJSON{Answers: p.Answers, Bytes: p.Bytes, Distinct: p.Distinct, Repetition: p.Repetition, Looping: p.Looping}
	if p.Copied >= 0 {
		out.Copied = &p.Copied
	}
	return out
}

// facts is what a model's checklist takes of a report.
func (r evalJSON) facts() map[string]string {
	facts := map[string]string{modelfile.FactArithmetic: strconv.Itoa(r.Arithmetic)}
	if h := r.HeldOut; h != nil {
		facts[modelfile.FactHeldOutHash] = h.SHA256
		facts[modelfile.FactHeldOutBytes] = strconv.Itoa(h.Bytes)
		facts[modelfile.FactSequence] = strconv.Itoa(h.Sequence)
		facts[modelfile.FactBitsPerByte] = figure(h.BitsPerByte)
		facts[modelfile.FactStandardError] = figure(h.StandardError)
	}
	if r.Split != "" {
		facts[modelfile.FactSplit], facts[modelfile.FactDataHash] = r.Split, r.Data
	}
	if s := r.Suite; s != nil {
		facts[modelfile.FactSuiteVersion] = strconv.Itoa(s.Version)
		facts[modelfile.FactSuiteBytes] = strconv.Itoa(s.Bytes)
		facts[modelfile.FactSuiteDigest] = s.Digest
		facts[modelfile.FactLogitsDigest] = s.Logits
	}
	return facts
}

// figure is a number as checklists write it.
func figure(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

// record writes the model with the report's figures in its checklist.
func (c *evalCmd) record(ctx context.Context, s *streams, r evalJSON) error {
	folder, err := folderOrDefault(s, c.Model, c.Data)
	if err != nil {
		return err
	}
	parameters, err := modelfile.CheckSizes(folder)
	if err != nil {
		return err
	}
	facts := r.facts()
	maps.Copy(facts, c.Fact)
	facts[modelfile.FactParameters] = strconv.FormatInt(parameters, 10)
	id, err := modelfile.Annotate(ctx, folder, c.Record, facts, nil)
	if err != nil {
		return err
	}
	s.note("%s holds the model with these figures, %s", c.Record, id)
	return nil
}

// printEval writes a report as Markdown.
func printEval(w io.Writer, r evalJSON) error {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("# Evaluation of %s\n", r.Model)
	line("Computed in %s, arithmetic %d, code %s.", r.Through, r.Arithmetic, r.Code)
	if r.HeldOut != nil {
		line("\n## Text\n\n| text | bytes | bits a byte | standard error | perplexity | SHA-256 |\n| --- | ---: | ---: | ---: | ---: | --- |")
		for _, row := range []struct {
			name  string
			score *scoreJSON
		}{{"held out", r.HeldOut}, {"training", r.Training}} {
			if t := row.score; t != nil {
				line("| %s | %d | %.4f | %.4f | %.3f | `%s` |", row.name, t.Bytes, t.BitsPerByte, t.StandardError, t.Perplexity, t.SHA256)
			}
		}
		line("\nIn sequences of %d bytes, each from an empty state; the first byte of each is not predicted.", r.HeldOut.Sequence)
		if r.Split != "" {
			line("Of the text with SHA-256 `%s` %s.", r.Data, r.Split)
		}
		if r.Gap != nil {
			line("Held out less training: %.4f bits a byte.", *r.Gap)
		}
	}
	if r.Probe != nil {
		line("\n## Probe\n\n| of | distinct 1, 2, 3, 4 bytes | repeated 8 bytes | looping | copied 32 bytes |\n| --- | --- | ---: | ---: | ---: |")
		probeLine(line, "seeded answers", r.Probe)
		if r.ProbeText != nil {
			probeLine(line, "held-out text", r.ProbeText)
		}
	}
	if r.Suite != nil {
		suiteLines(line, r.Suite)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func probeLine(line func(string, ...any), of string, p *probeJSON) {
	copied := "unknown"
	if p.Copied != nil {
		copied = fmt.Sprintf("%.1f %%", 100**p.Copied)
	}
	line("| %s | %.3f, %.3f, %.3f, %.3f | %.1f %% | %d of %d | %s |", of,
		p.Distinct[0], p.Distinct[1], p.Distinct[2], p.Distinct[3], 100*p.Repetition, p.Looping, p.Answers, copied)
}

func suiteLines(line func(string, ...any), s *suiteJSON) {
	line("\n## Suite\n\nVersion %d, %d bytes to an answer, greedy and seeded (temperature %v, top-p %v, seed %d).\n",
		s.Version, s.Bytes, eval.Seeded.Temperature, eval.Seeded.TopP, eval.Seeded.Seed)
	line("- digest of the answers: `%s`", s.Digest)
	if s.Logits != "" {
		line("- digest of the logits over the prompts: `%s`", s.Logits)
	}
	for i, a := range s.Answers {
		line("\n### %d: %q\n\n- greedy: %q\n- seeded: %q", i+1, a.Prompt, a.Greedy, a.Seeded)
	}
}
