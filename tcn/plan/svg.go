package plan

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// Sizes of the picture, in pixels.
const (
	boxWidth, boxHeight = 236, 128
	columnGap, rowGap   = 44, 34
	marginLeft, margin  = 56, 28
	boxPad              = 12
	columnsMost         = 5
	headHeight          = 74 // title and subtitle
	sectionHeight       = 34 // a section's heading
	legendHeight        = 84
	// separateBlocks is the most blocks whose cells have lines between them.
	separateBlocks = 80
)

// Colours, told apart by all eyes; and in print by order and legend.
const (
	inkColor, softColor, lineColor, paperColor = "#1b1f24", "#5b6570", "#c9d1d9", "#ffffff"
	absentColor                                = "#eef1f4"
	stageColor, copyColor, onlyColor           = "#0072b2", "#9ccbe8", "#d55e00"
	weightsColor, soulsColor, stateColor       = "#4c5a73", "#e69f00", "#009e73"
	reserveColor, freeColor                    = "#9aa3ad", "#eef1f4"
)

// picture is an SVG in the making.
type picture struct {
	body    strings.Builder
	columns int
	l       *Layout
}

// SVG draws the layout: GPUs as boxes with their blocks as cells and their memory
// as a bar, hops as arrows. title is the text above.
func (l *Layout) SVG(title string) []byte {
	p := &picture{l: l, columns: 1}
	for _, section := range l.sections() {
		p.columns = max(p.columns, min(columnsMost, len(section.gpus)))
	}
	p.columns = max(p.columns, 3) // room for title and legend
	width := marginLeft + p.columns*boxWidth + (p.columns-1)*columnGap + marginLeft
	p.text(marginLeft, margin+18, 20, inkColor, "600", title)
	p.text(marginLeft, margin+42, 13, softColor, "400", l.subtitle())
	y := margin + headHeight
	for _, section := range l.sections() {
		y = p.section(section, y)
	}
	p.legend(y)
	height := y + legendHeight + margin

	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="Inter, 'DejaVu Sans', 'Liberation Sans', Helvetica, Arial, sans-serif">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, "<title>%s</title>\n", escape(title))
	fmt.Fprintf(&out, `<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="%s"/></marker></defs>`+"\n", softColor)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="%s"/>`+"\n", width, height, paperColor)
	out.WriteString(p.body.String())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// subtitle is the facts under the title.
func (l *Layout) subtitle() string {
	text := fmt.Sprintf("%d blocks, the rarest %s; %s alone, %s for %d sessions (predicted)",
		l.Blocks, times(l.Copies), RateText(l.Single), RateText(l.Batched), l.Sessions)
	fatal := 0
	for _, loss := range l.Losses {
		if len(loss.Lost) > 0 {
			fatal++
		}
	}
	switch fatal {
	case 0:
		return text + "; any one GPU may die"
	case 1:
		return text + "; one GPU's death stops the answers"
	}
	return fmt.Sprintf("%s; each of %d GPUs' death stops the answers", text, fatal)
}

// RateText writes a rate with three digits that count: "7.91 bytes/s".
func RateText(rate float64) string {
	if rate < 1000 {
		return fmt.Sprintf("%.3g bytes/s", rate)
	}
	unit := math.Pow10(int(math.Log10(rate)) - 2)
	return humanize.Comma(int64(math.Round(rate/unit)*unit)) + " bytes/s"
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// section is boxes that belong together.
type section struct {
	title string
	gpus  []int
	chain bool // arrows from each to the next, and back
}

// sections are the chains, those of one GPU together, and the spares.
func (l *Layout) sections() []section {
	var list []section
	var single, spares []int
	for _, chain := range l.Chains {
		if len(chain.GPUs) == 1 {
			single = append(single, chain.GPUs[0])
		}
	}
	if len(single) > 0 {
		list = append(list, section{fmt.Sprintf("Chains of one GPU: %d", len(single)), single, false})
	}
	for c, chain := range l.Chains {
		if len(chain.GPUs) > 1 {
			list = append(list, section{
				fmt.Sprintf("Chain %d: %d GPUs, a lap of %s, %s sent on at a hop for each byte",
					c+1, len(chain.GPUs), seconds(chain.Lap), kilobytes(l.HopBytes)), chain.GPUs, true,
			})
		}
	}
	for i, g := range l.GPUs {
		if g.Chain < 0 {
			spares = append(spares, i)
		}
	}
	if len(spares) > 0 {
		list = append(list, section{fmt.Sprintf("Spares: %d", len(spares)), spares, false})
	}
	return list
}

// seconds writes a time with the unit that fits it.
func seconds(s float64) string {
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

func kilobytes(n int64) string { return fmt.Sprintf("%.1f kB", float64(n)/1e3) }

// section draws one section from y on and gives where it ends.
func (p *picture) section(s section, y int) int {
	p.text(marginLeft, y+14, 14, inkColor, "600", s.title)
	y += sectionHeight - 8
	at := func(i int) (x, top int) {
		return marginLeft + i%p.columns*(boxWidth+columnGap), y + i/p.columns*(boxHeight+rowGap)
	}
	for i, g := range s.gpus {
		x, top := at(i)
		p.box(g, x, top)
		if s.chain && i+1 < len(s.gpus) {
			nextX, nextTop := at(i + 1)
			p.hop(x, top, nextX, nextTop)
		}
	}
	if s.chain {
		x, top := at(len(s.gpus) - 1)
		firstX, firstTop := at(0)
		// Back to the gateway: under the last row, up at the left.
		p.path(fmt.Sprintf("M%d %dv%dH%dV%dH%d", x+boxWidth/2, top+boxHeight, rowGap/2-3, firstX-34, firstTop+boxHeight/2-12, firstX-1), true)
		p.text(firstX, y+(len(s.gpus)-1)/p.columns*(boxHeight+rowGap)+boxHeight+rowGap/2+11, 11, softColor, "400", "back to the gateway, at the first GPU")
	}
	rows := (len(s.gpus) + p.columns - 1) / p.columns
	return y + rows*(boxHeight+rowGap) + 10
}

// hop draws the arrow from one box of a chain to the next.
func (p *picture) hop(x, top, nextX, nextTop int) {
	middle := top + boxHeight/2
	if nextTop == top {
		p.path(fmt.Sprintf("M%d %dH%d", x+boxWidth+2, middle, nextX-2), false)
		return
	}
	p.path(fmt.Sprintf("M%d %dh18V%dH%dV%dH%d", x+boxWidth+2, middle, top+boxHeight+rowGap/2+4, nextX-20, nextTop+boxHeight/2, nextX-2), false)
}

// box draws one GPU.
func (p *picture) box(i, x, y int) {
	g := p.l.GPUs[i]
	p.rect(x, y, boxWidth, boxHeight, paperColor, lineColor, 8)
	p.text(x+boxPad, y+22, 14, inkColor, "600", fmt.Sprintf("%d · %s", i, g.GPU.Name))
	inner := boxWidth - 2*boxPad

	label := "no stage"
	if g.Stage.Len() > 0 {
		label = fmt.Sprintf("blocks %d-%d, %s", g.Stage.Lo, g.Stage.Hi, seconds(g.StepSeconds))
	}
	p.text(x+boxPad, y+42, 12, softColor, "400", label)
	p.cells(i, x+boxPad, y+50, inner)

	used := g.GPU.Memory - g.Free
	p.text(x+boxPad, y+90, 12, softColor, "400", fmt.Sprintf("%.1f of %.0f GB", float64(used)/1e9, float64(g.GPU.Memory)/1e9))
	left, done := x+boxPad, int64(0)
	for _, part := range []struct {
		bytes int64
		color string
	}{
		{g.Weights, weightsColor}, {g.Souls, soulsColor}, {g.State, stateColor}, {g.Workspace + g.Reserve, reserveColor}, {g.Free, freeColor},
	} {
		from := left + int(int64(inner)*done/g.GPU.Memory)
		done += part.bytes
		if to := left + int(int64(inner)*done/g.GPU.Memory); to > from {
			p.rect(from, y+98, to-from, 16, part.color, "", 0)
		}
	}
	p.rect(left, y+98, inner, 16, "none", lineColor, 2)
}

// cells draws a strip of all blocks of the model: the GPU's stage, the copies it
// holds beside it, those that nobody else holds, and those that are elsewhere.
func (p *picture) cells(i, x, y, width int) {
	g := p.l.GPUs[i]
	const height = 18
	at := func(b int) int { return x + width*b/p.l.Blocks }
	fill := func(r Blocks, color string) {
		p.rect(at(r.Lo), y, max(1, at(r.Hi)-at(r.Lo)), height, color, "", 0)
	}
	fill(Blocks{0, p.l.Blocks}, absentColor)
	for _, r := range g.Blocks {
		fill(r, copyColor)
	}
	if g.Stage.Len() > 0 {
		fill(g.Stage, stageColor)
	}
	for _, r := range p.l.Losses[i].Lost {
		fill(r, onlyColor)
	}
	if p.l.Blocks <= separateBlocks {
		var lines strings.Builder
		for b := 1; b < p.l.Blocks; b++ {
			fmt.Fprintf(&lines, "M%d %dv%d", at(b), y, height)
		}
		fmt.Fprintf(&p.body, `<path d="%s" stroke="%s" stroke-width="1"/>`+"\n", lines.String(), paperColor)
	}
	p.rect(x, y, width, height, "none", lineColor, 2)
}

// legend says what the colours mean.
func (p *picture) legend(y int) {
	x, top := marginLeft, y+14
	row := func(title string, entries [][2]string) {
		p.text(x, top+11, 12, softColor, "600", title)
		at := x + 76
		for _, e := range entries {
			p.rect(at, top, 14, 14, e[1], lineColor, 2)
			p.text(at+20, top+11, 12, softColor, "400", e[0])
			at += 40 + 13*len(e[0])/2
		}
		top += 26
	}
	row("Blocks", [][2]string{{"computed here", stageColor}, {"a copy", copyColor}, {"no other copy", onlyColor}, {"elsewhere", absentColor}})
	row("Memory", [][2]string{
		{"weights", weightsColor}, {"Souls", soulsColor}, {"state of sessions", stateColor},
		{"workspace, driver", reserveColor}, {"free", freeColor},
	})
}

func (p *picture) text(x, y, size int, color, weight, text string) {
	fmt.Fprintf(&p.body, `<text x="%d" y="%d" font-size="%d" fill="%s" font-weight="%s">%s</text>`+"\n", x, y, size, color, weight, escape(text))
}

func (p *picture) rect(x, y, width, height int, fill, stroke string, radius int) {
	fmt.Fprintf(&p.body, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" fill="%s"`, x, y, width, height, radius, fill)
	if stroke != "" {
		fmt.Fprintf(&p.body, ` stroke="%s"`, stroke)
	}
	p.body.WriteString("/>\n")
}

// path draws an arrow, dashed on its way back.
func (p *picture) path(d string, back bool) {
	dash := ""
	if back {
		dash = ` stroke-dasharray="4 4"`
	}
	fmt.Fprintf(&p.body, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"%s marker-end="url(#tip)"/>`+"\n", d, softColor, dash)
}

// escape makes text safe between tags and in attributes.
func escape(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // a Builder takes everything
	return out.String()
}
