package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zetagrid/zetagrid/node/session"
)

// logitsCmd is zetagrid logits.
type logitsCmd struct {
	Model      string `placeholder:"MODEL" help:"Model folder or Model CID. Default: the model in this program."`
	PromptFile string `placeholder:"FILE" help:"Read the prompt, byte for byte, from a file; - is standard input, which is read without one, too."`
	Soul       string `placeholder:"CID" help:"Soul to wear; none is no Soul. Default: the model's own."`
	Data       string `placeholder:"DIR" env:"ZETAGRID_DATA" help:"Data folder, for a Model CID. Default: this user's data folder."`
	JSON       bool   `name:"json" help:"Print one JSON document."`
	deviceFlags
}

func (*logitsCmd) Help() string {
	return examples(example{"zetagrid logits --model ./model --prompt-file prompt.txt --json", "the 256 logits that follow the prompt's last byte"})
}

// logitsJSON is the output of zetagrid logits --json.
type logitsJSON struct {
	Logits []float32 `json:"logits"` // [256], by byte; each the shortest number that reads back as the same float32
}

func (c *logitsCmd) Run(ctx context.Context, s *streams) error {
	prompt, err := s.prompt(ctx, "logits", nil, c.PromptFile)
	if err != nil {
		return err
	}
	local, err := startLocal(ctx, s, c.Model, c.Data, c.deviceFlags)
	if err != nil {
		return err
	}
	logits, err := local.Logits(ctx, session.Request{Soul: c.Soul, Prompt: prompt, LogProbs: -1})
	if err := errors.Join(err, local.Close()); err != nil {
		return err
	}
	if c.JSON {
		return s.printJSON(logitsJSON{logits[:]})
	}
	for b, v := range logits {
		if _, err := fmt.Fprintf(s.out, "%3d %-6q %v\n", b, string(rune(b)), v); err != nil {
			return err
		}
	}
	return nil
}
