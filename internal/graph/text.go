package graph

import (
	"strings"
	"unicode/utf8"

	"github.com/windlass-ota/windlass/engine"
)

// line is one line of text in a box.
type line struct {
	text  string
	bold  bool
	faint bool
	slant bool
}

const (
	textSize  = 12.0
	labelSize = 10.5
	wrapAt    = 38 // characters of a note or a condition
)

func (l line) width() float64 { return textWidth(l.text, textSize, l.bold) }

func labelWidth(s string) float64 { return textWidth(s, labelSize, false) }

// textWidth guesses how wide text is in a common sans serif, rather too wide than
// too narrow, since nobody knows which font a reader has.
func textWidth(s string, size float64, bold bool) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("ijl.,:;'|!()[] ", r):
			w += 0.35
		case strings.ContainsRune("mwMW@%", r):
			w += 0.92
		case r >= 'A' && r <= 'Z' || r == '_':
			w += 0.72
		case r >= 0x2e80:
			w += 1.05
		default:
			w += 0.61
		}
	}
	if bold {
		w *= 1.06
	}
	return w * size
}

// stepText is what stands in a step's box.
func stepText(s engine.GraphStep) []line {
	out := []line{{text: title(s), bold: true}}
	for _, l := range stepLines(s) {
		for _, w := range wrap(l) {
			out = append(out, line{text: w})
		}
	}
	if s.Waits {
		out = append(out, line{text: "may wait here", faint: true})
	}
	if s.Note != "" {
		for _, w := range wrap(s.Note) {
			out = append(out, line{text: w, slant: true, faint: true})
		}
	}
	return out
}

func startText(s engine.GraphStart) []line {
	var out []line
	for i, l := range startLines(s) {
		for _, w := range wrap(l) {
			out = append(out, line{text: w, bold: i == 0})
		}
	}
	return out
}

// wrap breaks text into lines at its blanks; a word that is too long is cut.
func wrap(s string) []string {
	var out []string
	now := ""
	for _, word := range strings.Fields(s) {
		for utf8.RuneCountInString(word) > wrapAt {
			if now != "" {
				out, now = append(out, now), ""
			}
			rs := []rune(word)
			out, word = append(out, string(rs[:wrapAt])), string(rs[wrapAt:])
		}
		switch {
		case now == "":
			now = word
		case utf8.RuneCountInString(now)+1+utf8.RuneCountInString(word) > wrapAt:
			out, now = append(out, now), word
		default:
			now += " " + word
		}
	}
	if now != "" {
		out = append(out, now)
	}
	return out
}
