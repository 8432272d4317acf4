package engine

import (
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// callee lays out the chain that a step calls.
func (b *builder) callee(p *proto) {
	p.failed = true
	n := p.doc.with.Get("chain")
	if n == nil || n.Kind != yamlx.Scalar {
		return // the settings say so
	}
	d, ok := b.docs[n.Text]
	switch {
	case !ok:
		b.faults.add(p.src(), n, ruleUnknownTarget, "there is no chain %s%s", n.Text, didYouMean(n.Text, callable(b.docs)))
		return
	case len(d.triggers) != 1 || !d.triggers[0].call:
		b.faults.add(p.src(), n, ruleWrongSubject, "chain %s cannot be called; its trigger is not call", n.Text)
		return
	case p.in.depth >= 8:
		b.faults.add(p.src(), n, ruleRecursion, "calls are nested deeper than 8")
		return
	}
	for up := p.in; up != nil; up = up.up {
		if up.doc == d {
			b.faults.add(p.src(), n, ruleRecursion, "chain %s calls itself: %s", d.name, callRoad(p, d))
			return
		}
	}
	p.failed = false
	p.child = b.place(d, p, p.in)
}

func callRoad(p *proto, d *doc) string {
	road := []string{d.name}
	for in := p.in; in != nil; in = in.up {
		road = append([]string{in.doc.name}, road...)
		if in.doc == d {
			break
		}
	}
	return strings.Join(road, " → ")
}

func callable(docs map[string]*doc) []string {
	var out []string
	for _, n := range sortedKeys(docs) {
		if t := docs[n].triggers; len(t) == 1 && t[0].call {
			out = append(out, n)
		}
	}
	return out
}
