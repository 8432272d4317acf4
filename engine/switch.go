package engine

import (
	"context"
	"slices"
)

type switchCase struct {
	Name string `yaml:"name"`
	If   Cond   `yaml:"if"`
}

type switchConfig struct {
	Value Value        `yaml:"value"`
	Cases []switchCase `yaml:"cases"`
}

type switchNode struct {
	value   Value
	cases   []switchCase
	outlets []Outlet
}

func (n *switchNode) Outlets() []Outlet { return n.outlets }

func (n *switchNode) Process(_ context.Context, r *Run) (string, error) {
	if n.value.Given() {
		v, err := n.value.Eval(r)
		if err != nil {
			return "", err
		}
		s, isText := v.(string)
		if !isText && v != nil {
			s = printValue(v)
		}
		for i := range n.outlets {
			if n.outlets[i].Name == s && v != nil {
				return n.outlets[i].Name, nil
			}
		}
	}
	for i := range n.cases {
		ok, err := n.cases[i].If.Eval(r)
		if err != nil {
			return "", err
		}
		if ok {
			return n.cases[i].Name, nil
		}
	}
	return "other", nil
}

// switchWord defines switch.
func switchWord() Factory {
	f := Define(Spec{
		Name: "switch", Summary: "Chooses a road by a value, or by the first case that holds.", Flow: true, NoMain: true,
		Doc: "The outlets are those that `to` wires. `value` chooses the one with its name; else the first of `cases` that holds; else `other`, which is always wired.",
		Fields: []Field{
			{Key: "value", Doc: "An expression; the outlet with this name is taken."},
			{Key: "cases", Doc: "A list of `{name, if}`."},
		},
		Outlets: []Outlet{{Name: "other", Doc: "nothing fits"}},
		Example: "steps:\n  - {node: switch, with: {cases: [{name: left, if: 1 < 2}]}, to: {left: end, other: end}}\n",
	}, switchConfig{}, func(switchConfig) (Node, error) { return &switchNode{}, nil })
	f.build = buildSwitch
	return f
}

func buildSwitch(d *decoder) Node {
	before := d.count()
	var c switchConfig
	d.config(valueOf(&c))
	n := &switchNode{value: c.Value, cases: c.Cases}
	if !c.Value.Given() && len(c.Cases) == 0 && d.count() == before {
		d.fault(d.step, ruleMissing, "switch needs value or cases")
	}
	var names []string
	for i, k := range c.Cases {
		if k.Name == "" || k.If.p == nil && d.count() == before {
			d.fault(d.with.Get("cases").Items[i], ruleMissing, "a case needs name and if")
			continue
		}
		names = append(names, k.Name)
	}
	for _, t := range d.p.doc.to {
		name := t.Key.Text
		switch {
		case name == "error" || name == "other" || slices.Contains(names, name):
		case !c.Value.Given() && d.count() == before:
			d.fault(t.Key, ruleUnknownOutlet, "switch has no case %s%s", name, didYouMean(name, names))
		case c.Value.p != nil && len(c.Value.p.words) > 0 && !slices.Contains(c.Value.p.words, name):
			d.fault(t.Key, ruleBadWord, "%s is never %q; it is one of %s%s", c.Value, name, list(c.Value.p.words), didYouMean(name, c.Value.p.words))
		default:
			names = append(names, name)
		}
	}
	for _, name := range append(names, "other") {
		n.outlets = append(n.outlets, Outlet{Name: name})
	}
	if d.count() > before {
		return nil
	}
	return n
}
