package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/zetagrid/zetagrid/node/session"
	"github.com/zetagrid/zetagrid/tcn/eval"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// evalCmd is zetagrid eval.
type evalCmd struct {
	Text       []string          `placeholder:"FILE" sep:"none" help:"Text to score, of which the held-out part counts: the last of every 50 chunks of 16 KiB, of all files joined. Repeatable."`
	HeldOut    string            `placeholder:"FILE" help:"Text to score whole; --text is then what the model was trained on."`
	Limit      byteSize          `placeholder:"SIZE" help:"Score at most so much, from all over the text. Default: all."`
	Sequence   int               `placeholder:"N" help:"Score in sequences of so many bytes, each from an empty state. Default 4096, or all of the model's positions."`
	SuiteBytes int               `default:"128" placeholder:"N" help:"Bytes to answer each prompt of the suite with; 0 leaves it out. Default 128."`
	Record     string            `placeholder:"DIR" help:"Also write the model, with these figures in its checklist, to a new folder."`
	Fact       map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"With --record: a fact of your own, such as licence=MIT; see docs/checklist.md. Repeatable."`
	API        string            `name:"api" placeholder:"URL" help:"Evaluate through the grid of the running node whose API this is. Default: in this process."`
	Token      string            `env:"ZETAGRID_TOKEN" placeholder:"TOKEN" help:"Bearer token of that API."`
	Soul       string            `placeholder:"CID" help:"Soul to wear; none is no Soul. Default: the model's own."`

	Scaling bool   `help:"Instead measure bytes a second and memory as the text grows, beside a transformer's cache."`
	To      int    `default:"100000" placeholder:"N" help:"Longest text of --scaling, in bytes. Default 100000."`
	Plot    string `placeholder:"FILE" help:"Also draw --scaling as SVG into a file."`

	Model string `placeholder:"MODEL" help:"Model folder or Model CID; with --api, a name that node answers to. Default: the model in this program."`
	Data  string `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for a Model CID. Default: this user's data folder."`
	JSON  bool   `name:"json" help:"Print one JSON document instead of Markdown."`
	deviceFlags
}

func (*evalCmd) Help() string {
	return examples(
		example{"zetagrid eval", "20 prompts with their digest, and whether the answers have collapsed"},
		example{"zetagrid eval --model ./model --text corpus.txt > report.md", "and bits a byte of what the corpus holds out"},
		example{"zetagrid eval --held-out heldout.txt --api http://127.0.0.1:8642 --json", "the same figures through a grid"},
		example{"zetagrid eval --scaling", "rate and memory at positions 1,000 to 100,000"},
		example{"zetagrid eval --scaling --to 20000 --plot scaling.svg --json", "as JSON, and as a picture"},
	)
}

// Validate is called by kong after parsing.
func (c *evalCmd) Validate() error {
	switch {
	case c.Scaling && (len(c.Text) > 0 || c.HeldOut != "" || c.API != "" || c.Record != ""):
		return errors.New("--scaling measures this process, and no text")
	case c.Scaling && (c.To < 1000 || c.To > session.PromptBytes-scalingBytes):
		return fmt.Errorf("--to %d is not in 1000 to %d", c.To, session.PromptBytes-scalingBytes)
	case c.Plot != "" && !c.Scaling:
		return errors.New("--plot draws --scaling")
	case c.Sequence != 0 && (c.Sequence < 2 || c.Sequence > session.PromptBytes):
		return fmt.Errorf("--sequence %d is not in 2 to %d", c.Sequence, session.PromptBytes)
	case c.SuiteBytes < 0 || c.SuiteBytes > suiteBytesMost:
		return fmt.Errorf("--suite-bytes %d is not in 0 to %d", c.SuiteBytes, suiteBytesMost)
	case c.SuiteBytes == 0 && len(c.Text) == 0 && c.HeldOut == "" && !c.Scaling:
		return errors.New("nothing to evaluate: neither a suite nor a text")
	case len(c.Fact) > 0 && c.Record == "":
		return errors.New("--fact needs --record")
	case c.Record != "" && c.API != "":
		return errors.New("--record needs the model's folder, not a grid")
	}
	for name := range c.Fact {
		if strings.HasPrefix(name, modelfile.Measured) {
			return fmt.Errorf("--fact %s: what is measured is not told", name)
		}
	}
	return checkPlot(c.Plot)
}

// suiteBytesMost bounds an answer of the suite: some screens.
const suiteBytesMost = 1 << 16

func (c *evalCmd) Run(ctx context.Context, s *streams) error {
	if c.Scaling {
		return c.scaling(ctx, s)
	}
	if err := c.checkRecord(); err != nil {
		return err
	}
	texts, err := c.texts()
	if err != nil {
		return err
	}
	e, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	report, err := e.report(ctx, s, c, texts)
	if err := errors.Join(err, e.Close()); err != nil {
		return err
	}
	if c.Record != "" {
		if err := c.record(ctx, s, report); err != nil {
			return err
		}
	}
	if c.JSON {
		return s.printJSON(report)
	}
	return printEval(s.out, report)
}

// checkRecord finds out before anything is measured whether it can be recorded.
func (c *evalCmd) checkRecord() error {
	if c.Record == "" {
		return nil
	}
	if c.Model != "" {
		if _, err := modelfile.OpenFolder(modelFolder(c.Model)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(c.Record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return &remedy{fmt.Errorf("%w: %s is not empty", modelfile.ErrOutput, c.Record), "name a new folder or remove it"}
	}
	return nil
}

// evalTexts is what is scored.
type evalTexts struct {
	heldOut, training []byte
	split             string // how the one was taken from the other; "" if it was given
	corpus            []byte // the files of --text, joined
}

// texts reads the files named.
func (c *evalCmd) texts() (evalTexts, error) {
	var t evalTexts
	for _, name := range c.Text {
		data, err := os.ReadFile(name)
		if err != nil {
			return t, err
		}
		t.corpus = append(t.corpus, data...)
	}
	if c.HeldOut != "" {
		var err error
		t.heldOut, err = os.ReadFile(c.HeldOut)
		t.training = t.corpus
		if err == nil && len(t.heldOut) < 2 {
			err = fmt.Errorf("%s holds less than two bytes", c.HeldOut)
		}
		return t, err
	}
	if len(t.corpus) == 0 {
		return t, nil
	}
	t.training, t.heldOut = eval.Split(t.corpus)
	t.split = fmt.Sprintf("the last of every %d chunks of %d bytes is held out", eval.SplitEvery, eval.SplitChunkBytes)
	if len(t.heldOut) == 0 {
		return t, &remedy{
			fmt.Errorf("%d bytes of text hold nothing out, which takes %d", len(t.corpus), (eval.SplitEvery-1)*eval.SplitChunkBytes+1),
			"name more text, or --held-out to score a file whole",
		}
	}
	return t, nil
}

// sha256Of names a text.
func sha256Of(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
