package graph

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/windlass-ota/windlass/engine"
)

const svgStyle = `
  text { font-family: Helvetica, Arial, "Liberation Sans", sans-serif; font-size: 12px; fill: #1f2328; }
  .name { font-size: 17px; font-weight: bold; }
  .bold { font-weight: bold; }
  .faint { fill: #59636e; }
  .slant { font-style: italic; }
  .label { font-size: 10.5px; fill: #3d444d; stroke: #fff; stroke-width: 2px; paint-order: stroke; }
  .box { fill: #fff; stroke: #59636e; stroke-width: 1.2; }
  .start { fill: #ddf4e4; stroke: #2d6a4f; stroke-width: 1.2; }
  .fault { fill: #fdecea; stroke: #b42318; stroke-width: 1.2; }
  .field { fill: #eef2f7; stroke: #d0d7de; }
  .road { fill: none; stroke: #59636e; stroke-width: 1.2; }
  .main { stroke: #1f2328; stroke-width: 2.4; }
  .error { stroke: #b42318; stroke-dasharray: 5 3; }
  .unsaid { stroke: #a0a8b0; }
  .end { fill: #1f2328; }
  .dim { fill: #a0a8b0; }
`

type svgWriter struct{ strings.Builder }

// svg draws the chain as a picture of its own, which needs no other program.
func svg(g *engine.Graph) string {
	p := layout(g)
	w := &svgWriter{}
	name, about := g.Chain, oneLine(g.Summary)
	p.w = max(p.w, textWidth(about, textSize, false)+2*margin, legendWidth()+2*margin)
	w.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n", p.w, p.h, p.w, p.h)
	w.printf("<title>%s</title>\n<desc>%s</desc>\n<style>%s</style>\n", escape(name), escape(about), svgStyle)
	for _, m := range [...][2]string{{"road", "#59636e"}, {"main", "#1f2328"}, {"error", "#b42318"}} {
		w.printf("<marker id=\"to-%s\" markerUnits=\"userSpaceOnUse\" markerWidth=\"10\" markerHeight=\"9\" refX=\"9\" refY=\"4.5\" orient=\"auto\"><path d=\"M0,0 L10,4.5 L0,9 z\" fill=\"%s\"/></marker>\n", m[0], m[1])
	}
	w.printf("<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n")
	w.text(margin, margin+14, "name", name)
	w.text(margin, margin+32, "", about)
	for _, l := range p.lanes {
		w.field(l)
	}
	for _, b := range p.boxes {
		for _, q := range b.ports {
			w.port(p, q)
		}
		w.below(b)
	}
	for _, b := range p.boxes {
		w.box(b)
	}
	for _, b := range p.boxes { // labels lie over all lines
		w.labels(b)
	}
	w.legend(p)
	w.printf("</svg>\n")
	return w.String()
}

func (w *svgWriter) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

func (w *svgWriter) text(x, y float64, class, s string) {
	w.printf("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// field is the ground on which a branch stands.
func (w *svgWriter) field(l *lane) {
	if l.title == "" {
		return
	}
	a, z := l.first(), l.boxes[len(l.boxes)-1]
	y, bottom := a.y-titleRoom, z.y+z.h+around
	if z.down != nil {
		bottom += 14
	}
	w.printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"7\" class=\"field\"/>\n", a.x-around, y, a.w+2*around, bottom-y)
	w.text(a.x, a.y-5, "bold faint", l.title)
}

func roadClass(q *port) (class, mark string) {
	switch {
	case q.kind == engine.RoadMain:
		return "road main", "main"
	case q.kind == engine.RoadError:
		return "road error", "error"
	case q.faint:
		return "road unsaid", "road"
	}
	return "road", "road"
}

// port draws what leaves a box at its right side.
func (w *svgWriter) port(p *picture, q *port) {
	class, mark := roadClass(q)
	x := q.from.x + q.from.w
	if q.to == nil {
		to := x + labelWidth(q.label) + 13
		w.printf("<path d=\"M%.1f,%.1f H%.1f\" class=\"%s\"/>\n", x, q.y, to, class)
		w.end(to, q.y, q.faint)
		return
	}
	w.path(p.road(q), class, mark)
}

func (w *svgWriter) path(ps []point, class, mark string) {
	w.printf("<path d=\"M%.1f,%.1f", ps[0].x, ps[0].y)
	for _, q := range ps[1:] {
		w.printf(" L%.1f,%.1f", q.x, q.y)
	}
	w.printf("\" class=\"%s\" marker-end=\"url(#to-%s)\"/>\n", class, mark)
}

func (w *svgWriter) end(x, y float64, faint bool) {
	class := "end"
	if faint {
		class += " dim"
	}
	w.printf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\" class=\"%s\"/>\n", x, y, class)
}

// below draws what leaves a box at its bottom.
func (w *svgWriter) below(b *box) {
	if b.down == nil {
		return
	}
	class, mark := roadClass(b.down)
	x, y := b.x+b.w/2, b.y+b.h
	if b.down.to == nil {
		w.printf("<path d=\"M%.1f,%.1f V%.1f\" class=\"%s\"/>\n", x, y, y+16, class)
		w.end(x, y+16, b.down.faint)
		return
	}
	w.path([]point{{x, y}, {x, b.down.to.y}}, class, mark)
}

func (w *svgWriter) labels(b *box) {
	for _, q := range b.ports {
		w.text(b.x+b.w+5, q.y-4, "label", q.label)
	}
	if b.down != nil && b.down.label != "" {
		w.text(b.x+b.w/2+6, b.y+b.h+13, "label", b.down.label)
	}
}

func (w *svgWriter) box(b *box) {
	class, round := "box", 5.0
	if b.step == nil {
		class, round = "start", min(b.h/2, 16)
	}
	if b.dashed {
		class = "fault"
	}
	w.printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\" class=\"%s\"/>\n", b.x, b.y, b.w, b.h, round, class)
	if b.step != nil && b.step.Calls != "" {
		w.printf("<path d=\"M%.1f,%.1f v%.1f M%.1f,%.1f v%.1f\" class=\"road\"/>\n", b.x+4, b.y, b.h, b.x+b.w-4, b.y, b.h)
	}
	for i, l := range b.lines {
		var class []string
		for _, c := range []struct {
			on   bool
			name string
		}{{l.bold, "bold"}, {l.faint, "faint"}, {l.slant, "slant"}} {
			if c.on {
				class = append(class, c.name)
			}
		}
		w.text(b.x+padX, b.y+padY+11+float64(i)*lineStep, strings.Join(class, " "), l.text)
	}
}

var legends = []struct{ class, mark, text string }{
	{"road main", "main", "main outlet"}, {"road", "road", "other outlet"}, {"road error", "error", "error"},
}

const endLegend = "the run ends (grey: outlet left out in the file)"

func legendWidth() float64 {
	w := 20 + labelWidth(endLegend)
	for _, l := range legends {
		w += 60 + labelWidth(l.text)
	}
	return w
}

func (w *svgWriter) legend(p *picture) {
	x, y := margin, p.h-margin
	for _, l := range legends {
		w.path([]point{{x, y - 4}, {x + 30, y - 4}}, l.class, l.mark)
		w.text(x+36, y, "label", l.text)
		x += 60 + labelWidth(l.text)
	}
	w.end(x, y-4, false)
	w.text(x+8, y, "label", endLegend)
}
