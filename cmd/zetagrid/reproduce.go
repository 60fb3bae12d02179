package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// errReproduce: a model does not do what its checklist says.
var errReproduce = errors.New("not what the checklist says")

// What became of a check.
const (
	reproduced = "ok"
	differs    = "FAIL"
	notChecked = "skip"
)

// factCheck is one line of model verify --reproduce.
type factCheck struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"` // ok, FAIL or skip
	Detail  string `json:"detail"`
}

// reproduceJSON is the output of model verify --reproduce --json.
type reproduceJSON struct {
	CID    string      `json:"cid"`
	Checks []factCheck `json:"checks"`
}

// reproduction checks a model against its checklist.
type reproduction struct {
	facts  map[string]string
	checks []factCheck
}

func (r *reproduction) add(name, outcome, format string, args ...any) {
	r.checks = append(r.checks, factCheck{name, outcome, fmt.Sprintf(format, args...)})
}

// compare adds a check of what was found against a fact that was recorded.
func (r *reproduction) compare(name, fact, found, detail string) {
	switch told, ok := r.facts[fact]; {
	case !ok:
		r.add(name, notChecked, "not recorded; it is %s", found)
	case told != found:
		r.add(name, differs, "%s is %s, the checklist says %s", fact, found, told)
	default:
		r.add(name, reproduced, "%s", detail)
	}
}

// failed is an error that names the checks that failed.
func (r *reproduction) failed() error {
	var names []string
	for _, c := range r.checks {
		if c.Outcome == differs {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &remedy{
		fmt.Errorf("%w: %s", errReproduce, strings.Join(names, ", ")),
		"use the files and the text that the figures were taken with, or record new ones (zetagrid eval --record)",
	}
}

// reproduce checks what can be checked of a folder whose files were verified.
func (c *modelVerifyCmd) reproduce(ctx context.Context, s *streams, folder string) ([]factCheck, error) {
	opened, err := modelfile.OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	model, _ := opened.Model()
	r := &reproduction{facts: model.Provenance}
	r.add("files", reproduced, "%d files have the content their CIDs name", len(opened.Files()))
	r.sizes(folder)
	r.compare("arithmetic", modelfile.FactArithmetic, strconv.Itoa(tcn.Arithmetic), "version "+strconv.Itoa(tcn.Arithmetic))
	measure := evalCmd{
		Model: folder, Text: c.Text, HeldOut: c.HeldOut, Data: c.Data, deviceFlags: c.deviceFlags,
		SuiteBytes: eval.SuiteBytes,
	}
	texts, err := measure.texts()
	if err != nil {
		return nil, err
	}
	if err := r.settings(&measure); err != nil {
		return nil, err
	}
	e, err := measure.open(ctx, s)
	if err != nil {
		return nil, err
	}
	report, err := e.report(ctx, s, &measure, evalTexts{heldOut: texts.heldOut, split: texts.split, corpus: texts.corpus})
	if err := errors.Join(err, e.Close()); err != nil {
		return nil, err
	}
	r.suite(report)
	r.heldOut(report)
	return r.checks, r.failed()
}

// sizes checks the arithmetic of the config.
func (r *reproduction) sizes(folder string) {
	parameters, err := modelfile.CheckSizes(folder)
	if err != nil {
		r.add("sizes", differs, "%v", err)
		return
	}
	r.add("sizes", reproduced, "the config makes %d parameters and the tiles' bytes", parameters)
}

// settings measures as the recorded figures were taken.
func (r *reproduction) settings(c *evalCmd) error {
	for _, fact := range []struct {
		name  string
		value *int
	}{{modelfile.FactSequence, &c.Sequence}, {modelfile.FactSuiteBytes, &c.SuiteBytes}} {
		told, ok := r.facts[fact.name]
		if !ok {
			continue
		}
		n, err := strconv.Atoi(told)
		if err != nil {
			return fmt.Errorf("%w: %s is %q", errReproduce, fact.name, told)
		}
		*fact.value = n
	}
	return c.Validate()
}

// suite compares the suite's digests.
func (r *reproduction) suite(report evalJSON) {
	if told, ok := r.facts[modelfile.FactSuiteVersion]; ok && told != strconv.Itoa(report.Suite.Version) {
		r.add("suite", notChecked, "recorded with version %s of the suite; this is %d", told, report.Suite.Version)
		return
	}
	r.compare("suite", modelfile.FactSuiteDigest, report.Suite.Digest, "the answers have the digest "+report.Suite.Digest)
	r.compare("logits", modelfile.FactLogitsDigest, report.Suite.Logits, "the logits have the digest "+report.Suite.Logits)
}

// heldOut compares the figure of a text, if one was given.
func (r *reproduction) heldOut(report evalJSON) {
	const name = "held-out text"
	h := report.HeldOut
	if h == nil {
		r.add(name, notChecked, "name the text with --held-out or --text")
		return
	}
	if told, ok := r.facts[modelfile.FactHeldOutHash]; ok && told != h.SHA256 {
		r.add(name, differs, "its sha256 is %s, the checklist says %s", h.SHA256, told)
		return
	}
	if report.Data != "" {
		if told, ok := r.facts[modelfile.FactDataHash]; ok && told != report.Data {
			r.add("data", differs, "the sha256 of the text is %s, the checklist says %s", report.Data, told)
		}
	}
	got := figure(h.BitsPerByte)
	r.compare(name, modelfile.FactBitsPerByte, got, got+" bits a byte, to the last digit recorded")
}

// printChecks writes the checks as a table.
func printChecks(s *streams, checks []factCheck) {
	var rows []table.Row
	for _, c := range checks {
		rows = append(rows, table.Row{c.Name, c.Outcome, c.Detail})
	}
	s.printTable(nil, rows)
}
