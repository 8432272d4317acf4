package engine

import (
	"slices"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

func (rd *reader) triggers(d *doc, n *yamlx.Node) {
	items := []*yamlx.Node{n}
	if n.Kind == yamlx.List {
		items = n.Items
	}
	if len(items) == 0 || n.Null() {
		rd.fault(n, ruleMissing, "trigger is empty")
	}
	for _, x := range items {
		if t, ok := rd.oneTrigger(x); ok {
			d.triggers = append(d.triggers, t)
		}
	}
	for _, t := range d.triggers {
		if t.call && len(d.triggers) > 1 {
			rd.fault(t.at, ruleWrongType, "a chain that is called has no other trigger")
		}
	}
}

func (rd *reader) oneTrigger(n *yamlx.Node) (triggerDoc, bool) {
	t := triggerDoc{at: n}
	if n.Kind == yamlx.Scalar {
		return t, rd.event(n, &t) && n.Text != ""
	}
	if n.Kind != yamlx.Map {
		rd.fault(n, ruleWrongType, "a trigger is %s, want an event or a map", n.Kind)
		return t, false
	}
	if n.Get("node") != nil {
		return t, rd.door(n, &t)
	}
	ok := true
	for _, p := range n.Pairs {
		switch p.Key.Text {
		case "event":
			ok = rd.event(p.Value, &t)
		case "profiles":
			t.profiles = rd.texts(p.Value, "profiles")
		case "kind":
			k, err := parseKind(p.Value.Text)
			if err != nil {
				rd.fault(p.Value, ruleBadWord, "%s", err)
			}
			t.kind = k
		case "if":
			t.cond = p.Value
		case "observe":
			t.observe = rd.flag(p.Value, "observe", false)
		case "to":
			t.to = p.Value
		default:
			rd.fault(p.Key, ruleUnknownKey, "a trigger has no key %s%s", p.Key.Text, didYouMean(p.Key.Text, triggerKeys))
		}
	}
	if n.Get("event") == nil {
		rd.fault(n, ruleMissing, "a trigger needs the key event")
		return t, false
	}
	return t, ok
}

func (rd *reader) event(n *yamlx.Node, t *triggerDoc) bool {
	word := rd.text(n, "event")
	if word == "call" {
		t.call = true
		return true
	}
	t.event = ota.Event(word)
	if _, ok := msgTypes[t.event]; !ok {
		if word != "" {
			known := append(sortedKeys(eventWords()), "call")
			rd.fault(n, ruleBadWord, "there is no event %s%s", word, didYouMean(word, known))
		}
		return false
	}
	return true
}

func eventWords() map[string]bool {
	out := map[string]bool{}
	for e := range msgTypes {
		out[string(e)] = true
	}
	return out
}

func (rd *reader) outlets(d *doc, n *yamlx.Node) {
	if n.Kind != yamlx.List || len(n.Items) == 0 {
		rd.fault(n, ruleWrongType, "outlets is %s, want a list of names", describeNode(n))
		return
	}
	d.outlets = nil
	for _, x := range n.Items {
		if s := rd.name(x, "outlet"); s != "" {
			if slices.Contains(d.outlets, s) {
				rd.fault(x, ruleNameTaken, "outlet %s is given twice", s)
				continue
			}
			d.outlets = append(d.outlets, s)
		}
	}
	if len(d.outlets) == 0 {
		d.outlets = []string{"done"}
	}
}
