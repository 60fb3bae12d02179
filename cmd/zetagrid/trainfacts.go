package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
	"github.com/zetagrid/zetagrid/tcn/train"
)

// trainFacts are what a checkpoint keeps for the command line.
type trainFacts struct {
	From     string   `json:"from,omitempty"`
	Data     []string `json:"data"`
	HeldOut  []string `json:"held_out,omitempty"`
	Every    int      `json:"held_out_every"`
	Licence  string   `json:"licence,omitempty"`
	Licences []string `json:"data_licences,omitempty"` // of Data, then of HeldOut
	Distill  bool     `json:"distill,omitempty"`
	Minutes  float64  `json:"minutes,omitempty"`
	Command  string   `json:"command"`
	Seconds  float64  `json:"seconds"` // until the checkpoint
}

// facts are the flags that a checkpoint keeps.
func (f corpusFlags) facts() trainFacts {
	return trainFacts{
		Data: f.Data, HeldOut: f.HeldOut, Every: f.Every, Licence: f.Licence, Licences: f.DataLicence,
		Command: typedCommand(),
	}
}

// provenance is what the manifest says about how the model came to be: the
// checklist of docs/checklist.md, and what it says of the model it began with.
func (t *trainSession) provenance(score eval.Score) map[string]string {
	o, c, build := t.trainer.Options(), t.trainer.Model().Config, buildVersion()
	each := o.Batch * o.Sequence * o.Accumulate
	facts := map[string]string{
		modelfile.FactSource:   t.source(),
		modelfile.FactSeed:     strconv.FormatUint(o.Seed, 10),
		modelfile.FactData:     t.dataLines(),
		modelfile.FactDataHash: t.corpus.SHA256(),
		modelfile.FactSplit:    t.split(),
		modelfile.FactCommand:  t.facts.Command,
		modelfile.FactCode:     fmt.Sprintf("zetagrid %s %s, %s", build.Version, build.Revision, build.Go),
		modelfile.FactHardware: fmt.Sprintf("%s, %d processors, %s", build.Platform, runtime.GOMAXPROCS(0), t.trainer.Level()),
		modelfile.FactEffort: fmt.Sprintf("%d steps of %d bytes, %d bytes in all, %.0f seconds",
			t.trainer.Steps(), each, t.trainer.Steps()*each, t.before+time.Since(t.began).Seconds()),
		"optimizer": fmt.Sprintf("AdamW, rate %g to %g along a cosine after %d steps, decay %g, clip %g, dropout %g, distill %g, sequences of %d bytes",
			o.Rate, o.Rate*o.Floor, o.Warmup, o.Decay, o.Clip, o.Dropout, o.Distill, o.Sequence),
		"weights trained as": string(tcn.WeightsF32),
	}
	if c.Weights != "" {
		facts["weights trained as"] = string(c.Weights)
	}
	if t.facts.Licence != "" {
		facts[modelfile.FactLicence] = t.facts.Licence
	}
	if score != nil {
		facts["training's own held-out bits per byte"] = fmt.Sprintf("%.4f ± %.4f", score.BitsPerByte(), score.StandardError())
	}
	for _, key := range slices.Sorted(maps.Keys(t.ancestry)) {
		name := "from: " + key
		if len(facts) < modelfile.ProvenanceEntries && len(name) <= modelfile.ProvenanceKeyBytes {
			facts[name] = t.ancestry[key]
		}
	}
	for key, value := range facts {
		facts[key] = clip(value, modelfile.ProvenanceValueBytes)
	}
	return facts
}

// source is the kind of training, as provenance names it.
func (t *trainSession) source() string {
	if t.trainer.Options().Part == train.Small {
		return "stabilized"
	}
	return "trained"
}

// dataLines is a line for each text.
func (t *trainSession) dataLines() string {
	var lines []string
	for i, origin := range t.corpus.Origins() {
		licence := "licence not named"
		if i < len(t.facts.Licences) {
			licence = t.facts.Licences[i]
		}
		name := filepath.Base(origin.Name)
		if origin.Use != "split" {
			name += " (" + origin.Use + ")"
		}
		lines = append(lines, fmt.Sprintf("%s %d bytes, %s, %s", origin.SHA256, origin.Bytes, licence, name))
	}
	return strings.Join(lines, "\n")
}

// split says what was held out.
func (t *trainSession) split() string {
	if len(t.facts.HeldOut) > 0 {
		return "texts of their own are held out"
	}
	return fmt.Sprintf("the last of every %d chunks of %d bytes is held out", t.facts.Every, eval.SplitChunkBytes)
}

// clip cuts text to at most n bytes, and says so.
func clip(text string, n int) string {
	const mark = "…"
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-len(mark)], "") + mark
}
