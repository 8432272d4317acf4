package engine

import (
	"reflect"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// hasExpression says whether text holds a ${…} that is not escaped.
func hasExpression(s string) bool {
	for i := strings.Index(s, "${"); i >= 0; {
		if i == 0 || s[i-1] != '$' {
			return true
		}
		j := strings.Index(s[i+2:], "${")
		if j < 0 {
			return false
		}
		i += 2 + j
	}
	return false
}

// unescape turns $${ into ${.
func unescape(s string) string { return strings.ReplaceAll(s, "$${", "${") }

// piece is a part of a text: literal, or the source of an expression that
// stands at byte off.
type piece struct {
	text string
	expr bool
	off  int
}

// splitTemplate cuts text at its expressions; ok is false where one is not
// closed. A brace within an expression's own braces or quotes does not close it.
func splitTemplate(s string) (out []piece, ok bool) {
	start := 0
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			i += 3
		case strings.HasPrefix(s[i:], "${"):
			if i > start {
				out = append(out, piece{text: unescape(s[start:i])})
			}
			end := closing(s, i+2)
			if end < 0 {
				return nil, false
			}
			out = append(out, piece{s[i+2 : end], true, i + 2})
			i = end + 1
			start = i
		default:
			i++
		}
	}
	if start < len(s) {
		out = append(out, piece{text: unescape(s[start:])})
	}
	return out, true
}

func closing(s string, from int) int {
	depth := 0
	var quote byte
	for i := from; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

// template compiles a scalar with expressions. One expression alone keeps its
// type, which must be want; otherwise the pieces are printed into text.
func (d *decoder) template(n *yamlx.Node, want Type) *evaluator {
	pieces, ok := splitTemplate(n.Text)
	if !ok {
		d.fault(n, ruleBadLiteral, "%s: an expression is not closed by }", d.field.Key)
		return nil
	}
	if len(pieces) > maxPieces {
		d.fault(n, ruleTooLarge, "%s has %d pieces, %d at most", d.field.Key, len(pieces), maxPieces)
		return nil
	}
	ev := &evaluator{pos: d.sc.place(n)}
	if len(pieces) == 1 && pieces[0].expr {
		ev.one = d.sc.compile(exprSource{text: pieces[0].text, at: n, off: pieces[0].off, want: want, setting: d.field})
		return ev
	}
	if want != TextType && want != AnyType {
		d.fault(n, ruleWrongType, "%s is text with expressions within, want %s", d.field.Key, want)
		return nil
	}
	for _, p := range pieces {
		if !p.expr {
			ev.parts = append(ev.parts, part{lit: p.text})
			continue
		}
		ev.parts = append(ev.parts, part{p: d.sc.compile(exprSource{text: p.text, at: n, off: p.off, setting: d.field})})
	}
	return ev
}

func (s *Setting[T]) decode(d *decoder, n *yamlx.Node) {
	*s = Setting[T]{given: true}
	if n.Kind == yamlx.Scalar && hasExpression(n.Text) {
		s.eval = d.template(n, typeOf[T]())
		return
	}
	switch p := any(&s.lit).(type) {
	case *[]string:
		s.eval = d.texts(p, n)
	case *map[string]string:
		s.eval = d.textMap(p, n)
	case *any:
		t := d.tree(n)
		if t.fixed {
			*p = t.value
		} else {
			s.eval = &evaluator{tree: t.eval, pos: d.sc.place(n)}
		}
	default:
		d.literal(reflect.ValueOf(p).Elem(), n)
	}
}

func (d *decoder) texts(p *[]string, n *yamlx.Node) *evaluator {
	if n.Kind != yamlx.List {
		d.fault(n, ruleWrongType, "%s is %s, want a list", d.field.Key, n.Kind)
		return nil
	}
	fixed := true
	for _, x := range n.Items {
		if x.Kind != yamlx.Scalar {
			d.fault(x, ruleWrongType, "%s holds %s, want texts", d.field.Key, x.Kind)
			return nil
		}
		fixed = fixed && !hasExpression(x.Text)
		*p = append(*p, unescape(x.Text))
		if !hasExpression(x.Text) {
			d.enum(x, x.Text)
		}
	}
	if fixed {
		return nil
	}
	t := d.textTree(n)
	return &evaluator{tree: t.eval, pos: d.sc.place(n)}
}

func (d *decoder) textMap(p *map[string]string, n *yamlx.Node) *evaluator {
	if n.Kind != yamlx.Map {
		d.fault(n, ruleWrongType, "%s is %s, want a map", d.field.Key, n.Kind)
		return nil
	}
	fixed := true
	*p = map[string]string{}
	for _, x := range n.Pairs {
		if x.Value.Kind != yamlx.Scalar {
			d.fault(x.Value, ruleWrongType, "%s.%s is %s, want text", d.field.Key, x.Key.Text, x.Value.Kind)
			return nil
		}
		fixed = fixed && !hasExpression(x.Value.Text)
		(*p)[x.Key.Text] = unescape(x.Value.Text)
	}
	if fixed {
		return nil
	}
	t := d.textTree(n)
	return &evaluator{tree: t.eval, pos: d.sc.place(n)}
}

// tree is YAML with expressions within.
type tree struct {
	fixed bool
	value any // where fixed
	ev    *evaluator
	keys  []string // of a map, beside kids
	kids  []tree
	isMap bool
}

func (d *decoder) tree(n *yamlx.Node) tree     { return d.treeOf(n, (*yamlx.Node).Value) }
func (d *decoder) textTree(n *yamlx.Node) tree { return d.treeOf(n, scalarText) }

func scalarText(n *yamlx.Node) any { return n.Text }

func (d *decoder) treeOf(n *yamlx.Node, scalar func(*yamlx.Node) any) tree {
	if n.Kind == yamlx.Scalar {
		if hasExpression(n.Text) {
			return tree{ev: d.template(n, AnyType)}
		}
		v := scalar(n)
		if s, ok := v.(string); ok {
			v = unescape(s)
		}
		return tree{fixed: true, value: v}
	}
	t := tree{fixed: true, isMap: n.Kind == yamlx.Map}
	for _, p := range n.Pairs {
		t.keys = append(t.keys, p.Key.Text)
		t.kids = append(t.kids, d.treeOf(p.Value, scalar))
	}
	for _, x := range n.Items {
		t.kids = append(t.kids, d.treeOf(x, scalar))
	}
	for _, k := range t.kids {
		t.fixed = t.fixed && k.fixed
	}
	if t.fixed {
		t.value, _ = t.build(func(k tree) (any, error) { return k.value, nil })
	}
	return t
}

func (t tree) eval(r *Run) (any, error) {
	switch {
	case t.fixed:
		return t.value, nil
	case t.ev != nil:
		return t.ev.eval(r)
	}
	return t.build(func(k tree) (any, error) { return k.eval(r) })
}

func (t tree) build(of func(tree) (any, error)) (any, error) {
	if t.isMap {
		m := make(map[string]any, len(t.kids))
		for i, k := range t.kids {
			v, err := of(k)
			if err != nil {
				return nil, err
			}
			m[t.keys[i]] = v
		}
		return m, nil
	}
	l := make([]any, len(t.kids))
	for i, k := range t.kids {
		v, err := of(k)
		if err != nil {
			return nil, err
		}
		l[i] = v
	}
	return l, nil
}

func (c *Cond) decode(d *decoder, n *yamlx.Node) {
	if p := d.bare(n, BoolType); p != nil {
		c.p = p
	}
}

func (v *Value) decode(d *decoder, n *yamlx.Node) { v.p = d.bare(n, AnyType) }

// bare compiles a setting that is an expression without ${}.
func (d *decoder) bare(n *yamlx.Node, want Type) *program {
	if d.field.Each {
		sc := *d.sc
		sc.each, sc.uses = true, nil
		return sc.bare(n, want, d.field)
	}
	if d.field.Of == "" {
		return d.sc.bare(n, want, d.field)
	}
	event := d.with.Get(d.field.Of)
	if event == nil || msgTypes[ota.Event(event.Text)] == nil {
		return nil // the fault stands at that setting
	}
	sc := *d.sc
	sc.await = ota.Event(event.Text)
	return sc.bare(n, want, d.field)
}
