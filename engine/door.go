package engine

import (
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// Doorman is the node of a trigger that opens a door of the chain's own. It is
// asked once, at load, and never processed.
type Doorman interface {
	Node
	// Door describes the door, Name and Chain left out. Of the run only secrets
	// and what the configuration gives can be read.
	Door(r *Run) (ota.Inlet, error)
	// Captures lists what the topic or path captures.
	Captures() []string
}

// doorDoc is a trigger with a transport node, as it was written.
type doorDoc struct {
	node    string
	nodeAt  *yamlx.Node
	with    *yamlx.Node
	device  *yamlx.Node // an expression in text, or nil
	unknown string      // refuse or run
	fields  []bodyField // nil: the body may be anything
	typed   bool        // fields were given, though perhaps none

	man Doorman // once its settings are read
}

// bodyField is a member of a body that a door's fields declare.
type bodyField struct {
	name     string
	typ      Type
	optional bool
}

const (
	unknownRefuse = "refuse"
	unknownRun    = "run"
)

var doorKeys = []string{"node", "with", "device", "unknown", "fields", "if", "to"}

// door reads a trigger with a transport node.
func (rd *reader) door(n *yamlx.Node, t *triggerDoc) bool {
	d := &doorDoc{unknown: unknownRefuse}
	t.event, t.door = ota.Arrived, d
	for _, p := range n.Pairs {
		switch p.Key.Text {
		case "node":
			d.node, d.nodeAt = rd.text(p.Value, "node"), p.Value
		case "with":
			d.with = p.Value
		case "device":
			d.device = p.Value
		case "unknown":
			d.unknown = rd.text(p.Value, "unknown")
			if words := []string{unknownRefuse, unknownRun}; !slices.Contains(words, d.unknown) {
				rd.fault(p.Value, ruleBadWord, "unknown is %q, want refuse or run%s", d.unknown, didYouMean(d.unknown, words))
				d.unknown = unknownRefuse
			}
		case "fields":
			d.typed = true
			rd.bodyFields(d, p.Value)
		case "if":
			t.cond = p.Value
		case "to":
			t.to = p.Value
		default:
			rd.fault(p.Key, ruleUnknownKey, "a trigger with a transport node has no key %s%s", p.Key.Text, didYouMean(p.Key.Text, doorKeys))
		}
	}
	if u := n.Get("unknown"); u != nil && d.device == nil {
		rd.fault(u, ruleMissing, "unknown says what becomes of a device that is not known, and no device is named")
	}
	return d.node != ""
}

// String is the door as a picture shows it: its node, and what it listens to.
func (d *doorDoc) String() string {
	for _, key := range []string{"topic", "path", "cron", "every", "rrule"} {
		if n := d.with.Get(key); n != nil && n.Text != "" {
			return d.node + " " + n.Text
		}
	}
	return d.node
}

func (rd *reader) bodyFields(d *doorDoc, n *yamlx.Node) {
	for _, p := range rd.mapOf(n, "fields") {
		f := bodyField{name: p.Key.Text}
		word := rd.text(p.Value, "a field")
		rest, optional := strings.CutPrefix(word, "optional ")
		f.typ, f.optional = Type(strings.TrimSpace(rest)), optional
		if word != "" && !slices.Contains(paramTypes, f.typ) {
			rd.fault(p.Value, ruleBadWord, "there is no type %s%s", f.typ, didYouMean(string(f.typ), words(paramTypes)))
			f.typ = AnyType
		}
		d.fields = append(d.fields, f)
	}
}

func (d *doorDoc) field(name string) (bodyField, bool) {
	i := slices.IndexFunc(d.fields, func(f bodyField) bool { return f.name == name })
	if i < 0 {
		return bodyField{}, false
	}
	return d.fields[i], true
}

func (d *doorDoc) fieldNames() []string {
	out := make([]string, len(d.fields))
	for i, f := range d.fields {
		out[i] = f.name
	}
	slices.Sort(out)
	return out
}

// doorMembers are the members of msg by the node of the door.
var doorMembers = map[string]map[string]Type{
	ota.MQTTIn:     {"json": AnyType, "text": TextType, "body": BytesType, "topic": TextType, "headers": MapType},
	ota.HTTPIn:     {"json": AnyType, "text": TextType, "body": BytesType, "path": TextType, "headers": MapType},
	ota.CoAPIn:     {"json": AnyType, "text": TextType, "body": BytesType, "path": TextType, "headers": MapType},
	ota.ScheduleIn: {"due_at": TimeType, "late": DurationType},
}

// heardAt is one thing that msg may be a message of.
type heardAt struct {
	event ota.Event
	door  *doorDoc
}

// members are those that msg has.
func (h heardAt) members() map[string]Type {
	if h.door != nil {
		return doorMembers[h.door.node]
	}
	return msgTypes[h.event]
}

// word is what a fault calls it.
func (t *triggerDoc) word() string {
	switch {
	case t.call:
		return "a call"
	case t.door != nil:
		return t.door.node
	}
	return string(t.event)
}

// facts are the roots that hold where the trigger starts.
func (t *triggerDoc) facts() []string {
	if t.door == nil {
		return startFacts(t.event)
	}
	if d := t.door; d.ofDevice() || d.device != nil && d.unknown != unknownRun {
		return []string{"device"}
	}
	return nil
}

// ofDevice says whether whoever comes in by the door is a device of ours that
// has proved who it is.
func (d *doorDoc) ofDevice() bool {
	text := func(key, def string) string {
		if n := d.with.Get(key); n != nil {
			return n.Text
		}
		return def
	}
	switch d.node {
	case ota.MQTTIn:
		return text("broker", ota.DevicesBroker) == ota.DevicesBroker
	case ota.HTTPIn:
		return text("auth", "token") == "token" && d.with.Get("key") == nil
	case ota.CoAPIn:
		return text("auth", "none") == "token"
	}
	return false
}

// reaches finds, for each step, by which triggers a run may come to it, as far
// as the file's words tell: a step that no target names counts as reached by
// all of them. It is known before outlets are, and never too little.
func (b *builder) reaches(top *inst) {
	lists := map[string][]*proto{}
	for i, l := range top.lists {
		if i > 0 && len(l) > 0 {
			lists[b.doc.branches[i-1].name] = l
		}
	}
	b.reached = map[*proto][]int{}
	var visit func(trigger int, l []*proto)
	at := func(name string) []*proto {
		if l, ok := lists[name]; ok {
			return l
		}
		for _, l := range top.lists {
			for i, p := range l {
				if p.doc.name == name {
					return l[i:]
				}
			}
		}
		return nil
	}
	visit = func(trigger int, l []*proto) {
		for _, p := range l {
			if slices.Contains(b.reached[p], trigger) {
				return
			}
			b.reached[p] = append(b.reached[p], trigger)
			for _, to := range p.doc.to {
				visit(trigger, at(to.Value.Text))
			}
			for _, key := range []string{"branch", "branches"} {
				n := p.doc.with.Get(key)
				if n == nil {
					continue
				}
				visit(trigger, at(n.Text))
				for _, x := range n.Items {
					visit(trigger, at(x.Text))
				}
			}
		}
	}
	for i, t := range b.doc.triggers {
		var first []*proto
		if t.to != nil {
			first = at(t.to.Text)
		} else if len(top.lists) > 0 {
			first = top.lists[0]
		}
		visit(i, first)
		if b.doc.onError != nil {
			visit(i, at(b.doc.onError.Text))
		}
	}
}

// heardBy is what msg may be at a step.
func (b *builder) heardBy(p *proto) []heardAt {
	for p.in.from != nil { // a chain that is called has its caller's message
		p = p.in.from
	}
	var out []heardAt
	for _, i := range b.reached[p] {
		if t := b.doc.triggers[i]; !t.call {
			out = append(out, heardAt{t.event, t.door})
		}
	}
	if len(out) == 0 {
		return b.heard
	}
	return out
}

// doors reads the settings of the triggers' transport nodes.
func (b *builder) doors(top *inst) {
	for i := range b.doc.triggers {
		d := b.doc.triggers[i].door
		if d == nil {
			continue
		}
		for _, n := range []*yamlx.Node{d.device, b.doc.triggers[i].at.Get("fields")} {
			if n != nil && d.node == ota.ScheduleIn {
				b.faults.add(b.doc.src, n, ruleUnknownKey, "%s brings neither a device nor a body", d.node)
			}
		}
		fac, known := b.reg.Lookup(d.node)
		if !known || !fac.Spec.Source {
			b.noDoor(d, known)
			continue
		}
		sc := *top.sc
		sc.inTrig, sc.heard = true, []heardAt{}
		dec := &decoder{sc: &sc, spec: &fac.Spec, step: d.nodeAt, with: d.with}
		d.man, _ = fac.build(dec).(Doorman)
	}
}

func (b *builder) noDoor(d *doorDoc, known bool) {
	if known {
		b.faults.add(b.doc.src, d.nodeAt, ruleUnknownNode, "%s stands among steps, not in a trigger", d.node)
		return
	}
	var names []string
	for _, n := range b.reg.Names() {
		if b.reg.byName[n].Spec.Source {
			names = append(names, n)
		}
	}
	b.faults.add(b.doc.src, d.nodeAt, ruleUnknownNode, "there is no transport node %s%s", d.node, didYouMean(d.node, names))
}

// whose compiles the expression that names the device.
func (b *builder) whose(top *inst, t *triggerDoc) Text {
	var out Text
	if t.door.device == nil {
		return out
	}
	sc := *top.sc
	sc.inTrig, sc.heard = true, []heardAt{{t.event, t.door}}
	var uses []use
	sc.uses = &uses
	key := Field{Key: "device"}
	d := &decoder{sc: &sc, spec: &Spec{Name: t.door.node, Fields: []Field{key}}, step: t.at, field: &key}
	out.decode(d, t.door.device)
	for _, u := range uses {
		b.faults.put(u.src, u.line, u.col, ruleNotSetHere, false, u.name+" is not set yet: the device is about to be found")
	}
	return out
}
