package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/zetagrid/zetagrid/tcn"
)

// samplingFlags say how the next byte is drawn.
type samplingFlags struct {
	Temperature float32 `default:"0" placeholder:"T" help:"0 takes the likeliest byte every time; 1 draws from the model's own probabilities. Default 0."`
	TopK        int     `name:"top-k" default:"0" placeholder:"K" help:"Draw from the K likeliest bytes; 0 is all 256. Default 0."`
	TopP        float32 `name:"top-p" default:"1" placeholder:"P" help:"Draw from the likeliest bytes whose probabilities reach P. Default 1: all."`
	Seed        *uint64 `placeholder:"N" help:"Seed of the draws. Without one, one is drawn and reported."`
}

// Validate is called by kong after parsing.
func (f *samplingFlags) Validate() error {
	switch {
	case !(f.Temperature >= 0 && f.Temperature <= 100):
		return fmt.Errorf("--temperature %v is not in 0 to 100", f.Temperature)
	case f.TopK < 0 || f.TopK > 256:
		return fmt.Errorf("--top-k %d is not in 0 to 256", f.TopK)
	case !(f.TopP > 0 && f.TopP <= 1):
		return fmt.Errorf("--top-p %v is not above 0 and at most 1", f.TopP)
	}
	return nil
}

// sampling is the flags as the model takes them, with a seed drawn if none was
// given.
func (f *samplingFlags) sampling() tcn.Sampling {
	s := tcn.Sampling{Temperature: f.Temperature, TopK: f.TopK, TopP: f.TopP}
	if f.Seed != nil {
		s.Seed = *f.Seed
		return s
	}
	var drawn [8]byte
	_, _ = rand.Read(drawn[:]) // never fails
	// 53 bits, so that the number survives programs that read JSON as floats.
	s.Seed = binary.LittleEndian.Uint64(drawn[:]) >> 11
	return s
}
