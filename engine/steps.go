package engine

import (
	"github.com/windlass-ota/windlass/internal/yamlx"
)

func (rd *reader) steps(n *yamlx.Node, branch string) []*stepDoc {
	if n.Kind != yamlx.List {
		if n.Null() {
			rd.fault(n, ruleMissing, "a list of steps is empty")
		} else {
			rd.fault(n, ruleWrongType, "steps are %s, want a list", n.Kind)
		}
		return nil
	}
	if len(n.Items) == 0 {
		rd.fault(n, ruleMissing, "a list of steps is empty")
	}
	var out []*stepDoc
	for _, x := range n.Items {
		if s := rd.step(x, branch); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (rd *reader) step(n *yamlx.Node, branch string) *stepDoc {
	if n.Kind != yamlx.Map {
		rd.fault(n, ruleWrongType, "a step is %s, want a map with the key node", describeNode(n))
		return nil
	}
	s := &stepDoc{at: n}
	for _, p := range n.Pairs {
		switch p.Key.Text {
		case "node":
			s.node, s.nodeAt = rd.text(p.Value, "node"), p.Value
		case "name":
			s.name, s.named = rd.name(p.Value, "step"), true
			s.at = p.Value
		case "when":
			s.when = p.Value
		case "with":
			s.with = p.Value
		case "to":
			s.to = rd.mapOf(p.Value, "to")
		case "note":
			rd.text(p.Value, "note")
		case "retry":
			s.retry = p.Value
		case "timeout":
			s.timeout = p.Value
		default:
			rd.fault(p.Key, ruleUnknownKey, "a step has no key %s%s", p.Key.Text, didYouMean(p.Key.Text, stepKeys))
		}
	}
	s.at = n
	if s.node == "" {
		if n.Get("node") == nil {
			rd.fault(n, ruleMissing, "a step needs the key node")
		}
		return nil
	}
	if !s.named {
		s.name = s.node
		if branch != "" {
			s.name = branch + "." + s.node
		}
	}
	return s
}

func (rd *reader) branches(d *doc, n *yamlx.Node) {
	for _, p := range rd.mapOf(n, "branches") {
		name := rd.name(p.Key, "branch")
		steps := rd.steps(p.Value, name)
		if name != "" && len(steps) > 0 {
			d.branches = append(d.branches, branchDoc{name, p.Key, steps})
		}
	}
}
