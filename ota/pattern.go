package ota

import (
	"fmt"
	"regexp"
	"strings"
)

// Pattern is a topic or a path with names for what may stand in it: {serial} is
// one level, {rest...} the tail, one level at least.
type Pattern struct {
	text  string
	parts []patternPart
}

type patternPart struct {
	word string // of a literal
	name string // of a capture
	tail bool
}

// maxLevels bounds the levels of a pattern.
const maxLevels = 32

var captureForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ParsePattern reads a pattern. A slash at its beginning stands for nothing.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	seen := map[string]bool{}
	levels := strings.Split(strings.TrimPrefix(text, "/"), "/")
	if len(levels) > maxLevels || len(text) > 1000 {
		return p, fmt.Errorf("has more than %d levels or 1000 bytes", maxLevels)
	}
	for i, l := range levels {
		inner, open := strings.CutPrefix(l, "{")
		inner, closed := strings.CutSuffix(inner, "}")
		part := patternPart{word: l}
		switch {
		case l == "":
			return p, fmt.Errorf("has an empty level")
		case open && closed:
			part = patternPart{name: inner}
			part.name, part.tail = strings.CutSuffix(inner, "...")
			if !captureForm.MatchString(part.name) {
				return p, fmt.Errorf("captures as %q, which is no name: small letters, digits and _, a letter first", part.name)
			}
			if part.tail && i < len(levels)-1 {
				return p, fmt.Errorf("goes on behind %s, which takes everything", l)
			}
			if seen[part.name] {
				return p, fmt.Errorf("captures %s twice", part.name)
			}
			seen[part.name] = true
		case strings.ContainsAny(l, "{}"):
			return p, fmt.Errorf("has %s: a capture is a whole level", l)
		case strings.ContainsAny(l, "+#"):
			return p, fmt.Errorf("has %s: write {name} for one level and {name...} for the tail", l)
		case strings.ContainsFunc(l, func(r rune) bool { return r < 0x20 || r == 0x7f }):
			return p, fmt.Errorf("has a control character")
		}
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Names lists what the pattern captures.
func (p Pattern) Names() []string {
	var out []string
	for _, x := range p.parts {
		if x.name != "" {
			out = append(out, x.name)
		}
	}
	return out
}

// Filter is the pattern as a topic filter of MQTT. It may let more pass: {rest...}
// takes one level at least.
func (p Pattern) Filter() string {
	words := make([]string, len(p.parts))
	for i, x := range p.parts {
		switch {
		case x.tail:
			words[i] = "#"
		case x.name != "":
			words[i] = "+"
		default:
			words[i] = x.word
		}
	}
	return strings.Join(words, "/")
}

// Match says whether a topic or path is of the pattern, and what it captures.
func (p Pattern) Match(text string) (captured map[string]string, ok bool) {
	rest := strings.TrimPrefix(text, "/")
	captured = map[string]string{}
	for i, x := range p.parts {
		level, tail, more := strings.Cut(rest, "/")
		switch {
		case x.tail:
			captured[x.name] = rest
			return captured, rest != ""
		case x.name != "":
			captured[x.name] = level
			ok = level != ""
		default:
			ok = level == x.word
		}
		if last := i == len(p.parts)-1; !ok || more == last {
			return nil, false
		}
		rest = tail
	}
	return captured, len(p.parts) > 0
}

// Before says whether the pattern is looked at before another one: a word wins
// over a capture, and that over a tail, at the first level where they differ.
func (p Pattern) Before(q Pattern) bool {
	for i := 0; i < len(p.parts) && i < len(q.parts); i++ {
		a, b := p.parts[i].rank(), q.parts[i].rank()
		if a != b {
			return a < b
		}
	}
	return len(p.parts) > len(q.parts)
}

func (x patternPart) rank() int {
	switch {
	case x.tail:
		return 2
	case x.name != "":
		return 1
	}
	return 0
}
