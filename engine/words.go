package engine

import (
	"context"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// The flow words that the loader knows by name.
const (
	wordCall   = "call"
	wordReturn = "return"
)

// FlowFactories are the words that are part of the language: call, return, set,
// switch, and those that run branches apart. Every registry has them.
func FlowFactories() []Factory {
	return []Factory{callWord(), returnWord(), setWord(), switchWord(), splitWord(), joinWord(), forEachWord()}
}

// assigns puts values into slots.
type assigns []*bind

// run works all values out before it puts the first: the order of a map's keys
// says nothing.
func (as assigns) run(r *Run) error {
	var few [4]any
	values := few[:0]
	for _, b := range as {
		v, err := b.value(r)
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	for i, b := range as {
		if b.slot < 0 {
			continue
		}
		if r.trace != nil {
			r.trace.set(b.key, values[i])
		}
		r.put(b.slot, values[i])
	}
	return nil
}

// value works a binding out, in its type. What nobody names is not worked out.
func (b *bind) value(r *Run) (any, error) {
	if b.ev == nil || b.slot < 0 {
		return b.lit, nil
	}
	v, err := b.ev.eval(r)
	if err != nil {
		return nil, err
	}
	return asType(b.typ, v)
}

// bindings decodes free names: each a literal or an expression of its type.
func (d *decoder) bindings(n *yamlx.Node, prefix string, typ func(key *yamlx.Node) (Type, bool)) []*bind {
	if n == nil {
		return nil
	}
	if n.Kind != yamlx.Map {
		d.fault(n, ruleWrongType, "is %s, want a map", n.Kind)
		return nil
	}
	var out []*bind
	for _, p := range n.Pairs {
		t, ok := typ(p.Key)
		if !ok {
			continue
		}
		d.field = &Field{Key: p.Key.Text}
		out = append(out, d.binding(prefix+p.Key.Text, t, p.Value))
	}
	return out
}

func (d *decoder) binding(key string, t Type, n *yamlx.Node) *bind {
	b := &bind{key: key, typ: t, slot: -1}
	switch {
	case n.Kind == yamlx.Scalar && hasExpression(n.Text):
		b.ev = d.template(n, t)
		if b.ev != nil && t == AnyType {
			b.typ = b.ev.typ()
		}
	case n.Kind != yamlx.Scalar && (t == AnyType || t == ListType || t == MapType):
		if tr := d.tree(n); tr.fixed {
			b.lit = tr.value
		} else {
			b.ev = &evaluator{tree: tr.eval, pos: d.sc.place(n)}
		}
	default:
		v, err := readLiteral(t, n)
		if err != nil {
			d.fault(n, ruleBadLiteral, "%s %s", d.field.Key, err)
		}
		b.lit = v
		if t == AnyType {
			b.typ = literalType(v)
		}
	}
	return b
}

func literalType(v any) Type {
	switch v.(type) {
	case string:
		return TextType
	case bool:
		return BoolType
	case int:
		return IntType
	case float64:
		return NumberType
	}
	return AnyType
}

type setNode struct{ as assigns }

func (n *setNode) Process(_ context.Context, r *Run) (string, error) { return "done", n.as.run(r) }

// setWord defines set, whose settings are vars of the chain.
func setWord() Factory {
	return Factory{
		Spec: Spec{
			Name: "set", Summary: "Sets vars of the chain.", Flow: true, Open: true,
			Doc:     "The settings are names of `vars`; each is a literal or text with expressions, of the var's type. All are worked out before the first is set.",
			Outlets: []Outlet{{Name: "done", Doc: "the vars are set"}},
			Example: "vars: {tries: 0}\nsteps:\n  - {node: set, with: {tries: \"${vars.tries + 1}\"}}\n",
		},
		build: func(d *decoder) Node {
			before := d.count()
			if d.with == nil || len(d.with.Pairs) == 0 {
				d.fault(d.step, ruleMissing, "set needs at least one var")
				return nil
			}
			d.p.binds = d.bindings(d.with, d.sc.prefix+"vars.", func(k *yamlx.Node) (Type, bool) {
				v, ok := d.sc.vars[k.Text]
				if !ok {
					d.fault(k, ruleUnknownKey, "the chain has no var %s%s", k.Text, didYouMean(k.Text, sortedKeys(d.sc.vars)))
					return AnyType, false
				}
				return v.typ, true
			})
			if d.count() > before {
				return nil
			}
			return &setNode{d.p.binds}
		},
	}
}

type callConfig struct {
	Chain string            `yaml:"chain"`
	Args  map[string]string `yaml:"args"`
}

type callNode struct {
	resets []start
	as     assigns
}

func (n *callNode) Process(_ context.Context, r *Run) (string, error) {
	for _, s := range n.resets {
		r.put(s.slot, s.value)
	}
	return "enter", n.as.run(r)
}

// callWord defines call. The chain that it names is compiled in its place.
func callWord() Factory {
	f := Define(Spec{
		Name: wordCall, Summary: "Runs a chain whose trigger is call, as if it stood here.", Flow: true,
		Doc: "The outlets of the chain are the outlets of the step, and what its `return` gives are the step's fields. It has its own vars; `msg` and the nouns are the same.",
		Fields: []Field{
			{Key: "chain", Doc: "The chain's name.", Required: true},
			{Key: "args", Doc: "Values for the chain's params."},
		},
		Example: "steps:\n  - {node: call, with: {chain: called, args: {kind: firmware}}}\n",
	}, callConfig{}, func(callConfig) (Node, error) { return &callNode{}, nil })
	f.build = buildCall
	return f
}

func buildCall(d *decoder) Node {
	before := d.count()
	if d.with != nil && d.with.Kind == yamlx.Map {
		for _, p := range d.with.Pairs {
			if p.Key.Text != "chain" && p.Key.Text != "args" {
				d.fault(p.Key, ruleUnknownKey, "call has no setting %s%s", p.Key.Text, didYouMean(p.Key.Text, []string{"chain", "args"}))
			}
		}
	}
	if d.with.Get("chain") == nil {
		d.fault(d.step, ruleMissing, "call needs the setting chain")
	}
	child := d.p.child
	if child == nil {
		if d.count() == before {
			return &callNode{} // the fault is recorded where the chain was looked for
		}
		return nil
	}
	params := child.sc.params
	d.p.binds = d.bindings(d.with.Get("args"), child.sc.prefix+"params.", func(k *yamlx.Node) (Type, bool) {
		p, ok := params[k.Text]
		if !ok {
			d.fault(k, ruleUnknownKey, "chain %s has no param %s%s", child.doc.name, k.Text, didYouMean(k.Text, sortedKeys(params)))
			return AnyType, false
		}
		return p.typ, true
	})
	for _, b := range d.p.binds {
		p := params[strings.TrimPrefix(b.key, child.sc.prefix+"params.")]
		p.given = true
		if b.ev == nil && b.lit != nil {
			if err := p.check(b.lit); err != nil {
				d.fault(d.with.Get("args").Get(p.name), ruleBadLiteral, "%s", err)
			}
		}
	}
	d.sc.b.configured(child, d.p.doc.nodeAt, d.p.src())
	if d.count() > before {
		return nil
	}
	return &callNode{as: d.p.binds}
}

type returnConfig struct {
	Outlet string `yaml:"outlet"`
	Values Map    `yaml:"values"`
}

type returnNode struct {
	outlet string
	as     assigns
}

func (n *returnNode) Process(_ context.Context, r *Run) (string, error) {
	return "out", n.as.run(r)
}

// returnWord defines return.
func returnWord() Factory {
	f := Define(Spec{
		Name: wordReturn, Summary: "Leaves a chain that was called, or ends a branch that is run apart.", Flow: true,
		Fields: []Field{
			{Key: "outlet", Doc: "By which of the chain's `outlets`; left out, the first."},
			{Key: "values", Doc: "Fields for the step that called, or for the results of the branches."},
		},
		Example: "steps:\n  - {node: return, with: {outlet: done, values: {kind: \"${params.kind}\"}}}\n",
	}, returnConfig{}, func(returnConfig) (Node, error) { return &returnNode{}, nil })
	f.build = buildReturn
	return f
}

func buildReturn(d *decoder) Node {
	before := d.count()
	in := d.p.in
	n := &returnNode{outlet: in.doc.outlets[0]}
	if !d.p.sub && (len(in.doc.triggers) == 0 || !in.doc.triggers[0].call) {
		d.fault(d.step, ruleWrongSubject, "return leaves a chain that is called, or a branch that is run apart, and this is neither (trigger: call)")
		return nil
	}
	var values, outlet *yamlx.Node
	if d.with != nil {
		for _, p := range d.with.Pairs {
			switch p.Key.Text {
			case "outlet":
				n.outlet, outlet = p.Value.Text, p.Value
			case "values":
				values = p.Value
			default:
				d.fault(p.Key, ruleUnknownKey, "return has no setting %s%s", p.Key.Text, didYouMean(p.Key.Text, []string{"outlet", "values"}))
			}
		}
	}
	if d.p.sub {
		r := d.branchReturned(outlet, values)
		if d.count() > before {
			return nil
		}
		return r
	}
	prefix := "steps."
	if in.from != nil {
		prefix = in.up.sc.prefix + "steps." + in.from.doc.name + "."
	}
	d.p.binds = d.bindings(values, prefix, func(*yamlx.Node) (Type, bool) { return AnyType, true })
	n.as = d.p.binds
	if d.count() > before {
		return nil
	}
	return n
}
