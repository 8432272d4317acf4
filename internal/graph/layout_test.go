package graph

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/windlass-ota/windlass/engine"
)

// drawn makes a graph of any shape, loops and roads to nowhere near included.
func drawn(t *rapid.T) *engine.Graph {
	g := &engine.Graph{Chain: "any", Summary: "Any."}
	var names []string
	for i := range rapid.IntRange(1, 6).Draw(t, "lanes") {
		branch := ""
		if i > 0 {
			branch = fmt.Sprintf("branch_%d", i)
			g.Branches = append(g.Branches, branch)
		}
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			s := engine.GraphStep{Name: fmt.Sprintf("step_%d", len(names)), Node: "node", Branch: branch}
			if rapid.Bool().Draw(t, "talks") {
				s.Note = rapid.StringN(0, 120, -1).Draw(t, "note")
			}
			names = append(names, s.Name)
			g.Steps = append(g.Steps, s)
		}
	}
	target := rapid.SampledFrom(append([]string{""}, names...))
	some := rapid.SampledFrom(names)
	for i, s := range g.Steps {
		if i+1 < len(g.Steps) && g.Steps[i+1].Branch == s.Branch && rapid.IntRange(0, 9).Draw(t, "straight") > 0 {
			g.Roads = append(g.Roads, engine.GraphRoad{From: s.Name, To: g.Steps[i+1].Name, Outlet: "main", Kind: engine.RoadMain})
		}
		for range rapid.IntRange(0, 4).Draw(t, "roads") {
			kind := rapid.SampledFrom([]engine.RoadKind{engine.RoadMain, engine.RoadSide, engine.RoadSkip, engine.RoadError}).Draw(t, "kind")
			g.Roads = append(g.Roads, engine.GraphRoad{From: s.Name, To: target.Draw(t, "to"), Outlet: "an_outlet", Kind: kind})
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "starts") {
		g.Starts = append(g.Starts, engine.GraphStart{Event: "telemetry", To: some.Draw(t, "start")})
	}
	if rapid.Bool().Draw(t, "on error") {
		g.OnError = some.Draw(t, "on error to")
	}
	return g
}

// TestLayout: no box lies on another, no line crosses a box, and every line
// begins at its own box and ends at the one that it leads to.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawn(t)
		p := layout(g)
		boxes, roads := len(g.Steps), 0
		for i, a := range p.boxes {
			if a.x < 0 || a.y < headRoom || a.x+a.w > p.w || a.y+a.h > p.h {
				t.Fatalf("box %d lies outside of the picture", i)
			}
			for _, b := range p.boxes[i+1:] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Fatalf("boxes %v and %v lie on each other", a.lines, b.lines)
				}
			}
			if a.step == nil {
				boxes++
			} else if a.down != nil {
				roads++
			}
			if a.down != nil && a.down.to != nil {
				free(t, p, []point{{a.x + a.w/2, a.y + a.h}, {a.x + a.w/2, a.down.to.y}})
			}
			for _, q := range a.ports {
				if a.step != nil {
					roads++
				}
				if q.to != nil {
					free(t, p, p.road(q))
				}
			}
		}
		if boxes != len(p.boxes) || roads != len(folded(g)) {
			t.Fatalf("%d boxes and %d roads, want %d and %d", len(p.boxes), roads, boxes, len(folded(g)))
		}
	})
}

// free says that a line crosses no box: it may touch those at its ends.
func free(t *rapid.T, p *picture, line []point) {
	for i, b := range line[1:] {
		a := line[i]
		if a.x != b.x && a.y != b.y {
			t.Fatalf("a line is neither level nor upright: %v", line)
		}
		for _, x := range p.boxes {
			if min(a.x, b.x) < x.x+x.w && x.x < max(a.x, b.x) && min(a.y, b.y) < x.y+x.h && x.y < max(a.y, b.y) {
				t.Fatalf("line %v crosses box %v", line, x.lines)
			}
			if a.x == b.x && a.x > x.x && a.x < x.x+x.w && min(a.y, b.y) < x.y+x.h && x.y < max(a.y, b.y) {
				t.Fatalf("upright line %v crosses box %v", line, x.lines)
			}
			if a.y == b.y && a.y > x.y && a.y < x.y+x.h && min(a.x, b.x) < x.x+x.w && x.x < max(a.x, b.x) {
				t.Fatalf("level line %v crosses box %v", line, x.lines)
			}
		}
	}
}

// TestWrite: every format takes every graph, and the SVG is XML.
func TestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawn(t)
		for _, f := range Formats() {
			var b strings.Builder
			if err := Write(&b, g, f); err != nil || b.Len() == 0 {
				t.Fatalf("%s: %d bytes, %v", f, b.Len(), err)
			}
			if f != "svg" {
				continue
			}
			d := xml.NewDecoder(strings.NewReader(b.String()))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("the SVG is no XML: %v", err)
				}
			}
		}
	})
	if err := Write(io.Discard, &engine.Graph{}, "png"); err == nil {
		t.Error("a format that is not there is taken")
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", wrapAt+5)
	for in, want := range map[string]int{"": 0, "a": 1, "a  b": 1, long: 2, "before " + long + " behind": 3} {
		got := wrap(in)
		if len(got) != want {
			t.Errorf("wrap(%q) is %q, want %d lines", in, got, want)
		}
		for _, l := range got {
			if len(l) > wrapAt {
				t.Errorf("wrap(%q) has a line of %d", in, len(l))
			}
		}
	}
}
