package yamlx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The bounds of a document.
const (
	MaxSize    = 1 << 20
	MaxDepth   = 32
	MaxAliases = 100
	MaxNodes   = 20_000 // after aliases were put into their places
)

// Problem is what is wrong with a document, and where.
type Problem struct {
	Line, Col int
	Message   string
	TooLarge  bool // a bound was crossed
}

// Error prints the place and the message.
func (p *Problem) Error() string { return fmt.Sprintf("line %d: %s", p.Line, p.Message) }

// Problems is everything that is wrong with a document. It is an error.
type Problems []*Problem

// Error lists one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Parse reads one document. What can still be used comes back beside the
// problems, so that a caller can find more of them; an empty document is nil.
func Parse(data []byte) (*Node, Problems) {
	if p := precheck(data); p != nil {
		return nil, Problems{p}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := decode(dec, &doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, Problems{explain(data, err)}
	}
	c := converter{}
	var root *Node
	if len(doc.Content) > 0 {
		root = c.node(doc.Content[0], 1)
	}
	var second yaml.Node
	switch err := decode(dec, &second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		c.problems = append(c.problems, explain(data, err))
	default:
		c.problem(&second, "a second document; write one to a file")
	}
	if c.broken {
		root = nil
	}
	return root, c.problems
}

// Unmarshal reads one document into plain Go, see [Node.Value].
func Unmarshal(data []byte, out *any) error {
	n, problems := Parse(data)
	if len(problems) > 0 {
		return problems
	}
	*out = n.Value()
	return nil
}

// decode keeps a panic of the library, which has had some, from ours.
func decode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(n)
}

func precheck(data []byte) *Problem {
	if len(data) > MaxSize {
		return &Problem{1, 1, fmt.Sprintf("the file has %d bytes, 1 MiB at most", len(data)), true}
	}
	if !utf8.Valid(data) {
		line := 1
		for rest := data; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[n:]
		}
		return &Problem{line, 1, "the file is not UTF-8", false}
	}
	return tooMuch(data)
}

// tooMuch stops a document before the library builds a tree of it: one whose
// brackets alone are deeper than any that we take, and one with so many marks of
// YAML that it must hold more nodes than we take, text and comments allowed for.
func tooMuch(data []byte) *Problem {
	deep, marks, line := 0, 0, 1
	for i, b := range data {
		switch b {
		case '[', '{':
			deep++
			marks++
		case ']', '}':
			deep = max(0, deep-1)
		case ',':
			marks++
		case '-', ':':
			if i+1 == len(data) || data[i+1] == ' ' || data[i+1] == '\n' {
				marks++
			}
		case '\n':
			line++
		}
		switch {
		case deep > 1000:
			return &Problem{line, 1, fmt.Sprintf("nested deeper than %d", MaxDepth), true}
		case marks > 3*MaxNodes:
			return &Problem{line, 1, fmt.Sprintf("the file holds more than %d values", MaxNodes), true}
		}
	}
	return nil
}

type converter struct {
	problems Problems
	nodes    int
	aliases  int
	open     map[*yaml.Node]bool
	broken   bool
}

func (c *converter) problem(n *yaml.Node, format string, args ...any) {
	c.problems = append(c.problems, &Problem{n.Line, n.Column, fmt.Sprintf(format, args...), false})
}

func (c *converter) tooLarge(n *yaml.Node, format string, args ...any) {
	if !c.broken {
		c.problems = append(c.problems, &Problem{n.Line, n.Column, fmt.Sprintf(format, args...), true})
	}
	c.broken = true
}

func (c *converter) node(y *yaml.Node, depth int) *Node {
	if c.broken {
		return nil
	}
	if c.nodes++; c.nodes > MaxNodes {
		c.tooLarge(y, "more than %d nodes, aliases counted where they stand", MaxNodes)
		return nil
	}
	if depth > MaxDepth {
		c.tooLarge(y, "nested deeper than %d", MaxDepth)
		return nil
	}
	if y.Kind == yaml.AliasNode {
		return c.alias(y, depth)
	}
	if y.Style&yaml.TaggedStyle != 0 {
		c.problem(y, "tag %s; tags are not allowed, the field decides the type (put quotes round a text that starts with !)", y.Tag)
	}
	n := &Node{Line: y.Line, Col: y.Column}
	switch y.Kind {
	case yaml.MappingNode:
		n.Kind = Map
		c.pairs(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = List
		for _, x := range y.Content {
			n.Items = append(n.Items, c.node(x, depth+1))
		}
	default:
		n.Text = y.Value
		n.Block = y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
		n.Quoted = n.Block || y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	}
	return n
}

func (c *converter) alias(y *yaml.Node, depth int) *Node {
	if len(c.open) == 0 {
		c.aliases++
	}
	if c.aliases > MaxAliases {
		c.tooLarge(y, "more than %d aliases", MaxAliases)
		return nil
	}
	if c.open[y.Alias] {
		c.tooLarge(y, "*%s stands within itself", y.Value)
		return nil
	}
	if c.open == nil {
		c.open = map[*yaml.Node]bool{}
	}
	c.open[y.Alias] = true
	defer delete(c.open, y.Alias)
	return c.node(y.Alias, depth)
}

func (c *converter) pairs(n *Node, y *yaml.Node, depth int) {
	seen := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		switch {
		case k.Kind != yaml.ScalarNode:
			c.problem(k, "a key is plain text%s", braceTrap(k))
			continue
		case k.Value == "<<" && k.Style == 0 || k.Tag == "!!merge":
			c.problem(k, "merge keys (<<) are not allowed; an alias may stand for a whole value")
			continue
		case k.Value == "" && k.Style == 0:
			c.problem(k, "a key is missing before the colon")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			c.problem(k, "key %q is given twice, first in line %d", k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		key, value := c.node(k, depth+1), c.node(v, depth+1)
		if key != nil && value != nil {
			n.Pairs = append(n.Pairs, Pair{key, value})
		}
	}
}

// braceTrap explains the usual reason for a map in the place of a key.
func braceTrap(k *yaml.Node) string {
	if k.Kind == yaml.MappingNode {
		return "; text with ${…} within {…} needs quotes"
	}
	return ""
}

var atLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// explain turns a complaint of the library into words about what was written.
func explain(data []byte, err error) *Problem {
	p := &Problem{Line: 1, Col: 1, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := atLine.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0]); m != nil {
		if m[1] != "" {
			p.Line, _ = strconv.Atoi(m[1])
		}
		p.Message = m[2]
	}
	lines := strings.Split(string(data), "\n")
	if m := noAnchor.FindStringSubmatch(p.Message); m != nil {
		placeAlias(p, lines, m[1])
		return p
	}
	trap(p, lines)
	if p.Line >= 1 && p.Line <= len(lines) && p.Col == 1 {
		l := lines[p.Line-1]
		p.Col = 1 + utf8.RuneCountInString(l[:len(l)-len(strings.TrimLeft(l, " \t"))])
	}
	return p
}

var noAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

// placeAlias finds the alias of an anchor that is not there: the library does
// not say where it stands.
func placeAlias(p *Problem, lines []string, name string) {
	p.Message = "there is no anchor &" + name + " before the alias *" + name
	alias := regexp.MustCompile(`(?:^|[\s,\[{])(\*` + regexp.QuoteMeta(name) + `)(?:$|[\s,\]}])`)
	for i, l := range lines {
		if m := alias.FindStringSubmatchIndex(l); m != nil {
			set(p, i+1, l, m[2], p.Message)
			return
		}
	}
}
