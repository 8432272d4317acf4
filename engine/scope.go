package engine

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// source is a chain file as text, for the lines in faults.
type source struct {
	name  string
	lines []string
}

func newSource(s Source) *source { return &source{s.Name, strings.Split(string(s.Data), "\n")} }

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return strings.TrimRight(s.lines[n-1], "\r")
}

// faultList gathers what is wrong while a load goes on.
type faultList struct{ all Faults }

func (l *faultList) count() int { return len(l.all) }

func (l *faultList) add(src *source, at *yamlx.Node, rule, format string, args ...any) {
	l.put(src, at.Line, at.Col, rule, false, fmt.Sprintf(format, args...))
}

func (l *faultList) warn(src *source, at *yamlx.Node, rule, format string, args ...any) {
	l.put(src, at.Line, at.Col, rule, true, fmt.Sprintf(format, args...))
}

func (l *faultList) put(src *source, line, col int, rule string, warning bool, msg string) {
	l.all = append(l.all, Fault{File: src.name, Line: line, Col: max(col, 1), Rule: rule, Message: msg, Warning: warning, Source: src.line(line)})
}

// scope is what a chain, in one place where it is compiled, lets expressions
// name. A chain that is called has one for each call.
type scope struct {
	b      *builder
	from   *source
	prefix string // of its steps in paths and of its slots: "" or "call/"
	params map[string]*paramDecl
	vars   map[string]*varDecl
	steps  map[string]*proto // by name
	fields map[string]map[string]Type
	uses   *[]use    // where the roots that an expression names are noted
	inTrig bool      // an expression of a trigger: no steps, no vars
	heard  []heardAt // what msg may be a message of; nil: of any trigger
	each   bool      // about each device of a rollout: see Field.Each
	await  ota.Event // msg is the message of this event, which a step waits for
}

// use is one thing that an expression needs to have been set on every road.
type use struct {
	fact string
	name string // as written
	src  *source
	line int
	col  int
}

type paramDecl struct {
	name     string
	typ      Type
	at       *yamlx.Node
	def      any // nil: required
	given    bool
	enum     []string
	min, max *float64
}

type varDecl struct {
	name  string
	typ   Type
	value any
}

func (sc *scope) faults() *faultList { return sc.b.faults }
func (sc *scope) src() *source       { return sc.from }

// hears is what msg may be a message of.
func (sc *scope) hears() []heardAt {
	switch {
	case sc.await != "":
		return []heardAt{{event: sc.await}}
	case sc.heard != nil:
		return sc.heard
	}
	return sc.b.heard
}

func (sc *scope) place(n *yamlx.Node) string {
	return fmt.Sprintf("%s:%d:%d", sc.from.name, n.Line, n.Col)
}

// exprSource is an expression and where it stands.
type exprSource struct {
	text    string
	at      *yamlx.Node
	off     int // in the node's text
	want    Type
	setting *Field
	bare    bool
}

// where finds line and column of a byte of the expression.
func (x *exprSource) where(sc *scope, byteOff int) (line, col int) {
	n := x.at
	before := x.off + byteOff
	if before > len(n.Text) {
		before = len(n.Text)
	}
	if n.Block {
		return blockPlace(sc.from, n, x.text)
	}
	col = n.Col + utf8.RuneCountInString(n.Text[:before])
	if n.Quoted {
		col++
	}
	return n.Line, col
}

func blockPlace(src *source, n *yamlx.Node, text string) (line, col int) {
	head, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	for l := n.Line + 1; l <= n.Line+100 && l <= len(src.lines); l++ {
		if i := strings.Index(src.line(l), head[:min(len(head), 12)]); i >= 0 {
			return l, 1 + utf8.RuneCountInString(src.line(l)[:i])
		}
	}
	return n.Line, n.Col
}

func (sc *scope) bare(n *yamlx.Node, want Type, f *Field) *program {
	if f == nil {
		f = &Field{}
	}
	if n.Kind != yamlx.Scalar {
		sc.faults().add(sc.from, n, ruleWrongType, "%s is %s, want an expression%s", f.Key, n.Kind, quoteHint(n))
		return nil
	}
	if pieces, ok := splitTemplate(n.Text); ok && len(pieces) == 1 && pieces[0].expr {
		sc.faults().add(sc.from, n, ruleBadLiteral, "%s holds a bare expression; leave ${ and } away", f.Key)
		return nil
	}
	if strings.TrimSpace(n.Text) == "" {
		sc.faults().add(sc.from, n, ruleMissing, "%s is empty", f.Key)
		return nil
	}
	return sc.compile(exprSource{text: n.Text, at: n, want: want, setting: f, bare: true})
}

func quoteHint(n *yamlx.Node) string {
	if n.Kind == yamlx.List {
		return "; one that starts with [ needs quotes"
	}
	return ""
}

// slotOf returns the number of the slot for a reference, making it at the first
// time.
func (b *builder) slotOf(s slot) int32 {
	if i, ok := b.slots[s.key]; ok {
		return i
	}
	i := int32(len(b.c.frame.slots))
	b.c.frame.slots = append(b.c.frame.slots, s)
	b.slots[s.key] = i
	return i
}

// defaultValues are the start values of params and vars that slots were made for.
func (b *builder) startWith(i int32, v any) {
	b.c.frame.start = append(b.c.frame.start, start{i, v})
}

func words[T ~string](xs []T) []string {
	out := make([]string, len(xs))
	for i, x := range xs {
		out[i] = string(x)
	}
	return out
}

var (
	stateWords = words(ota.States())
	kindWords  = []string{string(ota.Firmware), string(ota.Software)}
	codeWords  = words(ota.Codes())
)
