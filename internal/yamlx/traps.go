package yamlx

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	flowValue  = regexp.MustCompile(`\{[^"'#]*:\s*([^"'\s,{}][^"']*)?\$\{`)
	plainColon = regexp.MustCompile(`^(\s*(?:- )?[\w.-]+: +)([^"'>|&*\[{#].*: .*)$`)
	flowQuery  = regexp.MustCompile(`\{[^"'#]*:\s*[^"'\s,{}][^"',{}]*\?`)
	badStart   = regexp.MustCompile("^(\\s*(?:- )?[\\w.-]+: +)([!\\[\"@`%&*].*)$")
)

// trap looks at the lines about which the library complained for the traps of
// quoting, and says what to do instead of how a parser sees it. The library
// counts lines from where it noticed, which may be one off.
func trap(p *Problem, lines []string) {
	for _, at := range []int{p.Line, p.Line - 1, p.Line + 1} {
		if at < 1 || at > len(lines) {
			continue
		}
		l := lines[at-1]
		if i := strings.IndexByte(l, '\t'); i >= 0 && strings.TrimLeft(l[:i], " ") == "" {
			set(p, at, l, i, "a tab cannot indent; use spaces")
			return
		}
		if m := flowValue.FindStringIndex(l); m != nil {
			set(p, at, l, strings.Index(l[m[0]:], "${")+m[0], "within {…} put quotes round text that holds ${, a comma, a bracket or a ?")
			return
		}
		if m := flowQuery.FindStringIndex(l); m != nil {
			set(p, at, l, m[1]-1, "within {…} put quotes round text that holds ${, a comma, a bracket or a ?")
			return
		}
		if m := plainColon.FindStringSubmatchIndex(l); m != nil {
			set(p, at, l, m[4], `text that holds ": " needs quotes, or >- and a line of its own`)
			return
		}
		if m := badStart.FindStringSubmatchIndex(l); m != nil && startTrap(p, at, l, m[4]) {
			return
		}
	}
	if strings.Contains(p.Message, "did not find expected key") || strings.Contains(p.Message, "did not find expected '-' indicator") {
		for _, at := range []int{p.Line, p.Line + 1} {
			if strayIndent(lines, at) {
				set(p, at, lines[at-1], indent(lines[at-1]), "the indentation does not fit the lines above")
				return
			}
		}
	}
	switch {
	case strings.Contains(p.Message, "did not find expected ',' or '}'"), strings.Contains(p.Message, "did not find expected ',' or ']'"):
		p.Message = "a bracket is not closed, or text within {…} or […] needs quotes"
	case strings.Contains(p.Message, "did not find expected key"), strings.Contains(p.Message, "did not find expected '-' indicator"):
		p.Message = "the indentation does not fit the lines above"
	case strings.Contains(p.Message, "could not find expected ':'"):
		p.Message = "a colon is missing, or a quote is not closed"
	case strings.Contains(p.Message, "found unexpected end of stream"):
		p.Message = "a quote or bracket is not closed"
	}
}

// startTrap judges a text that starts with a mark of YAML's own.
func startTrap(p *Problem, line int, text string, at int) bool {
	mark, rest := text[at], strings.TrimRight(text[at+1:], " ")
	closing := map[byte]string{'[': "]", '"': `"`}[mark]
	switch {
	case closing != "" && !strings.Contains(rest, closing):
		set(p, line, text, at, "a quote or bracket is not closed")
	case mark == '[' && strings.HasSuffix(rest, "]"), mark == '[' && strings.HasSuffix(rest, "}"):
		return false
	default:
		set(p, line, text, at, "text that starts with "+string(mark)+" needs quotes, or >- and a line of its own")
	}
	return true
}

// strayIndent says whether a line is indented as no line above it is, and less
// than the one before it.
func strayIndent(lines []string, at int) bool {
	if at < 2 || at > len(lines) || strings.TrimSpace(lines[at-1]) == "" {
		return false
	}
	n := indent(lines[at-1])
	if n >= indent(lines[at-2]) {
		return false
	}
	for _, l := range lines[:at-1] {
		in := indent(l)
		if in == n || strings.HasPrefix(l[in:], "- ") && in+2 == n {
			return false
		}
	}
	return true
}

func indent(l string) int { return len(l) - len(strings.TrimLeft(l, " ")) }

func set(p *Problem, line int, text string, at int, msg string) {
	p.Line, p.Col, p.Message = line, 1+utf8.RuneCountInString(text[:at]), msg
}
