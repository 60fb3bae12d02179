package plan_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/plan"
)

// drawn reads a picture as XML and gives its texts and how many of each element
// it has.
func drawn(t *testing.T, svg []byte) (texts []string, elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts, elements
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			elements[token.Name.Local]++
			for _, a := range token.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "%!") {
					t.Errorf("%s has %s=%q", token.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				texts = append(texts, text)
			}
		}
	}
}

// TestSVG: pictures are well-formed, and name every GPU and stage.
func TestSVG(t *testing.T) {
	many := plan.Model{Config: config(tcn.CellRelease, 16, 16, plan.MaxBlocks, 1, tcn.WeightsQ2)}
	for _, c := range []struct {
		model plan.Model
		rack  string
		link  plan.Link
		hops  int // arrows, of the first chain too
	}{
		{preset(t, "1t"), "9xh100-80", plan.DefaultLink, 9},
		{preset(t, "1t"), "6xh100-80", plan.Link{Bits: 1e9, RTT: 20e-3}, 5},
		{preset(t, "120b"), "4xh100-80,2xrtx4090-24", plan.DefaultLink, 2},
		{preset(t, "120b"), "h100-80", plan.DefaultLink, 0},
		{many, fmt.Sprint(plan.MaxGPUs, "xt4-16"), plan.DefaultLink, 0},
	} {
		l := lay(t, c.model, plan.Demand{Sessions: 8, Souls: 1, SoulRank: 128}, c.rack, c.link)
		svg := l.SVG(`<&"> parameters`)
		texts, elements := drawn(t, svg)
		if elements["svg"] != 1 || texts[0] != `<&"> parameters` {
			t.Errorf("%s: %v, %q", c.rack, elements, texts[0])
		}
		if got := strings.Count(string(svg), "marker-end"); got != c.hops {
			t.Errorf("%s: %d arrows, want %d", c.rack, got, c.hops)
		}
		all := strings.Join(texts, "\n")
		for i, g := range l.GPUs {
			want := fmt.Sprintf("%d · %s", i, g.GPU.Name)
			if !strings.Contains(all, want) {
				t.Errorf("%s: no text %q", c.rack, want)
			}
			if g.Stage.Len() > 0 && !strings.Contains(all, fmt.Sprintf("blocks %d-%d,", g.Stage.Lo, g.Stage.Hi)) {
				t.Errorf("%s: stage of GPU %d is not named", c.rack, i)
			}
		}
	}
}

func TestRateText(t *testing.T) {
	for rate, want := range map[float64]string{
		7.9123: "7.91 bytes/s", 999: "999 bytes/s", 1000: "1,000 bytes/s", 57_149: "57,100 bytes/s", 3_304_999: "3,300,000 bytes/s", 0: "0 bytes/s",
	} {
		if got := plan.RateText(rate); got != want {
			t.Errorf("%g is %q, want %q", rate, got, want)
		}
	}
}
