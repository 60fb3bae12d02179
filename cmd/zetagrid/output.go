package main

import (
	"encoding/json"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

// printJSON writes v as one line.
func (s *streams) printJSON(v any) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printTable writes rows under a header, without borders.
func (s *streams) printTable(header table.Row, rows []table.Row) {
	t := table.NewWriter()
	t.SetOutputMirror(s.out)
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if header != nil {
		t.AppendHeader(header)
	}
	t.AppendRows(rows)
	t.Render()
}

// textWriter turns a model's bytes into UTF-8 text: a character goes on once it
// is whole, and each byte of none becomes U+FFFD. Close writes what is left.
func textWriter(w io.Writer) io.WriteCloser {
	return transform.NewWriter(w, runes.ReplaceIllFormed())
}
