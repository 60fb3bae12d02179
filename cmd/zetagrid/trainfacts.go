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
		modelfile.FactCommand:  t.facts.Command,
		modelfile.FactCode:     fmt.Sprintf("zetagrid %s %s, %s", build.Version, build.Revision, build.Go),
		modelfile.FactHardware: fmt.Sprintf("%s, %d processors, %s", build.Platform, runtime.GOMAXPROCS(0), t.trainer.Level()),
		"data_sha256":          t.corpus.SHA256(),
		"data_split":           t.split(),
		"effort": fmt.Sprintf("%d steps of %d bytes, %d bytes in all, %.0f seconds",
			t.trainer.Steps(), each, t.trainer.Steps()*each, t.before+time.Since(t.began).Seconds()),
		"optimizer": fmt.Sprintf("AdamW, rate %g to %g along a cosine after %d steps, decay %g, clip %g, dropout %g, distill %g, sequences of %d bytes",
			o.Rate, o.Rate*o.Floor, o.Warmup, o.Decay, o.Clip, o.Dropout, o.Distill, o.Sequence),
		"weights_trained_as": string(tcn.WeightsF32),
	}
	if c.Weights != "" {
		facts["weights_trained_as"] = string(c.Weights)
	}
	if t.facts.Licence != "" {
		facts[modelfile.FactLicence] = t.facts.Licence
	}
	if score != nil {
		facts["training_held_out_bits_per_byte"] = fmt.Sprintf("%.4f ± %.4f", score.BitsPerByte(), score.StandardError())
	}
	t.addData(facts)
	inherited := modelfile.Unmeasured(t.ancestry)
	for _, key := range slices.Sorted(maps.Keys(inherited)) {
		name := "from_" + key
		if len(facts) < modelfile.ProvenanceEntries && len(name) <= modelfile.ProvenanceKeyBytes {
			facts[name] = inherited[key]
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

// dataEntries is how many texts have a fact of their own; of more, how many
// there are is said.
const dataEntries = 24

// addData adds a fact for each text.
func (t *trainSession) addData(facts map[string]string) {
	for i, origin := range t.corpus.Origins() {
		if i == dataEntries {
			facts["data_more"] = strconv.Itoa(len(t.corpus.Origins()) - i)
			return
		}
		licence := "licence not named"
		if i < len(t.facts.Licences) {
			licence = t.facts.Licences[i]
		}
		facts[fmt.Sprintf("%s%02d", modelfile.FactData, i)] = fmt.Sprintf("%s (%s): %d bytes, sha256 %s, %s",
			filepath.Base(origin.Name), origin.Use, origin.Bytes, origin.SHA256, licence)
	}
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
