package main

import (
	"fmt"

	"github.com/zetagrid/zetagrid/node/api"
	"github.com/zetagrid/zetagrid/tcn"
)

// samplingFlags say how the next byte is drawn.
type samplingFlags struct {
	Temperature float32 `default:"0" placeholder:"T" help:"0 takes the likeliest byte every time; 1 draws from the model's own probabilities. Default 0."`
	TopK        int     `name:"top-k" default:"0" placeholder:"K" help:"Draw from the K likeliest bytes; 0 is all 256. Default 0."`
	TopP        float32 `name:"top-p" default:"1" placeholder:"P" help:"Draw from the likeliest bytes whose probabilities reach P. Default 1: all."`
	Seed        *seed   `placeholder:"N" help:"Seed of the draws, from -2^63 to 2^64-1 (--seed=-1). Without one, one is drawn and reported."`
}

// Validate is called by kong after parsing.
func (f *samplingFlags) Validate() error { return checkSampling(f.Temperature, f.TopK, f.TopP) }

// checkSampling refuses what the HTTP API refuses, so that one request means the
// same to both.
func checkSampling(temperature float32, topK int, topP float32) error {
	switch {
	case !(temperature >= 0 && temperature <= api.MaxTemperature):
		return fmt.Errorf("--temperature %v is not from 0 to %d", temperature, api.MaxTemperature)
	case topK < 0 || topK > tcn.VocabSize:
		return fmt.Errorf("--top-k %d is not from 0 to %d", topK, tcn.VocabSize)
	case !(topP >= 0 && topP <= 1):
		return fmt.Errorf("--top-p %v is not from 0 to 1", topP)
	}
	return nil
}

// sampling is the flags as the model takes them, with a seed drawn if none was
// given.
func (f *samplingFlags) sampling() tcn.Sampling {
	s := tcn.Sampling{Temperature: f.Temperature, TopK: f.TopK, TopP: api.Nucleus(f.TopP)}
	if f.Seed != nil {
		s.Seed = uint64(*f.Seed)
	} else {
		s.Seed = api.DrawSeed()
	}
	return s
}
