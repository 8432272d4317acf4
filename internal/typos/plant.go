package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// The kinds of faults. Those of words say what the word stands for.
const (
	ofKey     = "key"
	ofNode    = "node"
	ofOutlet  = "outlet"
	ofTarget  = "target"
	ofEvent   = "event"
	ofName    = "name"
	ofValue   = "value" // a word that a setting takes
	exitGone  = "exit"  // an entry of "to" is dropped
	stepGone  = "step"  // a step is dropped
	stepsSwap = "order" // two neighbouring steps change places
	wordChars = `[A-Za-z_][A-Za-z_0-9]*`
)

var (
	wordKinds = []string{ofKey, ofNode, ofOutlet, ofTarget, ofEvent, ofName}
	allKinds  = append(slices.Clone(wordKinds), ofValue, exitGone, stepGone, stepsSwap)

	oneWord = regexp.MustCompile(`^` + wordChars + `$`)
	onePath = regexp.MustCompile(`^` + wordChars + `(?:\.` + wordChars + `)+$`)
	words   = regexp.MustCompile(wordChars)
	holes   = regexp.MustCompile(`\$\{[^}]*\}`)
)

// A plant is one chain file with one fault in it.
type plant struct {
	line, col    int
	kind, what   string
	text         []byte
	node, outlet string // of a dropped entry of "to": whose it was
}

// planter walks a file and collects every fault that can be planted in it.
type planter struct {
	text
	out []plant
}

// plants makes every faulty version of a chain file. The file must be sound.
func plants(src []byte) ([]plant, error) {
	root, problems := yamlx.Parse(src)
	if len(problems) > 0 {
		return nil, fmt.Errorf("read the file: %w", problems)
	}
	p := &planter{text: newText(src)}
	p.walk(root, nil)
	return p.out, nil
}

// walk plants below n; path is the keys that lead to it.
func (p *planter) walk(n *yamlx.Node, path []string) {
	switch n.Kind {
	case yamlx.Map:
		for _, pair := range n.Pairs {
			p.word(pair.Key, keyKind(path))
			p.walk(pair.Value, append(slices.Clone(path), pair.Key.Text))
		}
		if to := n.Get("to"); to != nil && n.Get("node") != nil && to.Kind == yamlx.Map {
			p.exits(n.Get("node").Text, to)
		}
	case yamlx.List:
		for _, x := range n.Items {
			p.walk(x, path)
		}
		if isSteps(n) {
			p.steps(n)
		}
	case yamlx.Scalar:
		p.scalar(n, path)
	}
}

// isSteps knows a list of steps by its items.
func isSteps(n *yamlx.Node) bool {
	return len(n.Items) > 0 && !slices.ContainsFunc(n.Items, func(x *yamlx.Node) bool { return x.Get("node") == nil })
}

func keyKind(path []string) string {
	if len(path) == 0 {
		return ofKey
	}
	switch path[len(path)-1] {
	case "to":
		return ofOutlet
	case "branches", "params", "vars", "args":
		return ofName
	}
	return ofKey
}

// scalar plants in a value, by what its key says it is. Of sentences only the
// expressions in them are touched: a language cannot know a person's words.
func (p *planter) scalar(n *yamlx.Node, path []string) {
	last, before := "", ""
	if len(path) > 0 {
		last = path[len(path)-1]
	}
	if len(path) > 1 {
		before = path[len(path)-2]
	}
	switch {
	case last == "summary" || last == "note":
	case last == "node":
		p.word(n, ofNode)
	case last == "to" || before == "to":
		p.word(n, ofTarget)
	case last == "trigger" || last == "event":
		p.word(n, ofEvent)
	case last == "name" || last == "chain":
		p.word(n, ofName)
	case last == "when" || last == "if" || onePath.MatchString(n.Text):
		p.expression(n, n.Text, 0)
	case oneWord.MatchString(n.Text):
		p.word(n, ofValue)
	default:
		for _, at := range holes.FindAllStringIndex(n.Text, -1) {
			p.expression(n, n.Text[at[0]:at[1]], at[0])
		}
	}
}

// expression plants in each word of an expression that begins at byte from of n.
func (p *planter) expression(n *yamlx.Node, expr string, from int) {
	for _, at := range words.FindAllStringIndex(expr, -1) {
		p.misspell(n, expr[at[0]:at[1]], from+at[0], ofName)
	}
}

func (p *planter) word(n *yamlx.Node, kind string) { p.misspell(n, n.Text, 0, kind) }

// misspell plants the swap of the first two neighbouring letters that differ
// in a word which begins at byte from of n. A word that does not stand in the
// file as it is read (a block, an escape) is left alone.
func (p *planter) misspell(n *yamlx.Node, word string, from int, kind string) {
	begin := p.at(n.Line, n.Col)
	if n.Quoted {
		begin++
	}
	wrong, ok := swapped(word)
	if !ok || n.Block || !strings.HasPrefix(string(p.src[begin:]), n.Text) {
		return
	}
	begin += from
	p.add(begin, kind, fmt.Sprintf("%s for %s", wrong, word), p.splice(begin, begin+len(word), wrong))
}

func swapped(word string) (string, bool) {
	r := []rune(word)
	for i := range len(r) - 1 {
		if r[i] != r[i+1] {
			r[i], r[i+1] = r[i+1], r[i]
			return string(r), true
		}
	}
	return "", false
}

// exits drops each entry of a step's "to".
func (p *planter) exits(node string, to *yamlx.Node) {
	for _, pair := range to.Pairs {
		begin := p.at(pair.Key.Line, pair.Key.Col)
		text := p.without(begin)
		p.add(begin, exitGone, fmt.Sprintf("%s without its outlet %s", node, pair.Key.Text), text)
		last := &p.out[len(p.out)-1]
		last.node, last.outlet = node, pair.Key.Text
	}
}

// steps drops each step of a list, and swaps each with the next.
func (p *planter) steps(list *yamlx.Node) {
	for i, x := range list.Items {
		begin := p.at(x.Line, x.Col)
		p.add(begin, stepGone, "without "+title(x), p.without(begin))
		if i > 0 {
			before := list.Items[i-1]
			p.add(begin, stepsSwap, title(x)+" before "+title(before), p.exchanged(p.at(before.Line, before.Col), begin))
		}
	}
}

// title is the name of a step, or its node.
func title(step *yamlx.Node) string {
	if n := step.Get("name"); n != nil {
		return n.Text
	}
	return step.Get("node").Text
}

func (p *planter) add(at int, kind, what string, text []byte) {
	line, col := p.place(at)
	p.out = append(p.out, plant{line: line, col: col, kind: kind, what: what, text: text})
}
