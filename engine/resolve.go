package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// ref is what a path in an expression turned out to be.
type ref struct {
	slot  slot
	used  int // parts of the path that it takes
	m     member
	fact  string // that must hold where it is named, or ""
	group string // "values", or the scope, when it is filled with others
	key   string // in the group
	more  []string
	value any // of a slot that steps write: at the start
	start bool
}

// unknownName is why a path names nothing.
type unknownName struct {
	rule, msg string
	part      int // of the path, where the fault stands
}

func unknown(rule, format string, args ...any) *unknownName {
	return &unknownName{rule, fmt.Sprintf(format, args...), 1}
}

var allRoots = []string{"msg", "capture", "device", "package", "update", "rollout", "params", "vars", "steps", "item", "index", "error", "run", "now", "env", "secret"}

// resolve finds what the path of an expression names.
func (sc *scope) resolve(path []string, x *exprSource) (ref, *unknownName) {
	root := path[0]
	if bad := sc.ofEach(root); bad != nil {
		return ref{}, bad
	}
	if root == "now" {
		return ref{slot: slot{key: "now", name: "now", typ: TimeType}, used: 1, m: member{typ: TimeType, stable: true, get: func(r *Run) any { return r.Now }}}, nil
	}
	switch {
	case root == "item" || root == "index":
		return sc.resolveItem(path), nil
	case len(path) == 1:
		return ref{}, unknown(ruleWrongType, "%s is no value; name one of its members", root)
	}
	switch root {
	case "msg":
		return sc.resolveMsg(path)
	case "params", "vars":
		return sc.resolveOwn(path)
	case "steps":
		return sc.resolveStep(path)
	case "device":
		if r, ok, bad := sc.resolveDeviceValue(path); ok || bad != nil {
			return r, bad
		}
	case "env", "secret":
		return sc.resolveSetting(path, x)
	case "capture":
		return sc.resolveCapture(path)
	}
	members := nounRoots[root]
	m, n, ok := longest(members, path[1:])
	if !ok {
		return ref{}, unknownMember(members, path)
	}
	name := strings.Join(path[:n+1], ".")
	r := ref{slot: slot{key: name, name: name, typ: m.typ, live: !m.stable}, used: n + 1, m: m}
	if root != "run" {
		r.fact = root
	}
	if m.typ == MapType {
		r.more = path[n+1:]
	}
	if f, closed := sc.fields["labels"]; closed && strings.HasSuffix(name, "package.labels") && len(r.more) > 0 {
		if _, ok := f[r.more[0]]; !ok {
			return ref{}, undeclared(f, "labels", path, n+1)
		}
	}
	return r, nil
}

// eachRoots are what an expression about each device of a rollout may name.
var eachRoots = []string{"device", "package", "params", "now", "env"}

// ofEach is why an expression about each device of a rollout cannot name a root:
// it is judged far from the run that conducts the rollout.
func (sc *scope) ofEach(root string) *unknownName {
	switch {
	case !sc.each || root == "secret":
	case !slices.Contains(eachRoots, root):
		return unknown(ruleNotSetHere, "%s is not known here: this is judged for each device when it is queued, and may name %s", root, list(eachRoots))
	case root == "params" && sc.prefix != "":
		return unknown(ruleNotSetHere, "params of a chain that is called are not known here: this is judged for each device when it is queued")
	}
	return nil
}

// resolveItem finds what a branch of for_each is run for. Outside of one the
// roads say that it is not set.
func (sc *scope) resolveItem(path []string) ref {
	m := member{typ: AnyType, absent: true, get: func(r *Run) any { return r.item }}
	if path[0] == factIndex {
		m = member{typ: IntType, get: func(r *Run) any { return r.index }}
	}
	return ref{slot: slot{key: path[0], name: path[0], typ: m.typ, live: true}, used: 1, m: m, fact: path[0], more: restOf(m.typ, path[1:])}
}

// undeclared is why a part of a path is none of the members that fields declare
// in a place.
func undeclared(fields map[string]Type, place string, path []string, part int) *unknownName {
	u := unknown(ruleUnknownKey, "fields.%s does not declare %s%s", place, path[part], didYouMean(path[part], sortedKeys(fields)))
	u.part = part
	return u
}

// unknownMember is why a path names no member of its root, or none of one of
// its members.
func unknownMember(members map[string]member, path []string) *unknownName {
	names := memberWords(members)
	if !slices.Contains(names, path[1]) {
		return unknown(ruleUnknownKey, "%s has no member %s%s", path[0], path[1], didYouMean(path[1], names))
	}
	inner := map[string]member{}
	for k, m := range members {
		if rest, ok := strings.CutPrefix(k, path[1]+"."); ok {
			inner[rest] = m
		}
	}
	if len(path) == 2 {
		return unknown(ruleWrongType, "%s is no value; name one of its members: %s", strings.Join(path, "."), strings.Join(memberWords(inner), ", "))
	}
	u := unknown(ruleUnknownKey, "%s has no member %s%s", strings.Join(path[:2], "."), path[2], didYouMean(path[2], memberWords(inner)))
	u.part = 2
	return u
}

func (sc *scope) resolveMsg(path []string) (ref, *unknownName) {
	name := path[1]
	if near := sc.msgSlip(name); near != "" {
		return ref{}, unknown(ruleUnknownKey, "msg has no member %s here; did you mean %s?", name, near)
	}
	typ, declared := sc.msgType(name)
	m := member{typ: typ, absent: !declared || typ == AnyType, stable: true, get: msgMembers[name]}
	if m.get == nil {
		m.get = func(*Run) any { return nil }
	}
	switch {
	case typ == KindType:
		m.words = kindWords
	case name == "type" && declared:
		m.words = scheduleWords
	case name == "state" && declared:
		m.words = stateWords
	}
	r := ref{slot: slot{key: "msg." + name, name: "msg." + name, typ: typ}, used: 2, m: m, more: path[2:]}
	if !declared {
		m.typ = AnyType
		r.slot.typ = AnyType
	}
	if sc.await != "" {
		return sc.awaited(r, path)
	}
	if name == "json" && declared {
		return sc.resolveJSON(r, path)
	}
	if name == "values" && len(path) > 2 {
		r.group, r.key, r.used, r.more = "values", path[2], 3, path[3:]
		r.slot.key = "msg.values." + path[2]
		r.slot.name = r.slot.key
		r.m.fill = func(r *Run, _ int32) error { return r.fillValues() }
		fields, scope := sc.valueFields()
		if scope == "" {
			return r, nil
		}
		t, ok := fields[path[2]]
		if !ok { // others may come along, but not one that is nearly a declared one
			if near := closest(path[2], sortedKeys(fields)); near != "" {
				return ref{}, undeclared(fields, scope, path, 2)
			}
			return r, nil
		}
		if r.m.typ = t; t != AnyType {
			r.slot.key += "#" + string(t)
		}
	}
	return r, nil
}

// awaited makes a reference to a member of msg one to the message that a step
// waits for.
func (sc *scope) awaited(r ref, path []string) (ref, *unknownName) {
	get := r.m.get
	if path[1] == "values" && len(path) > 2 {
		key, typ := path[2], AnyType
		if fields, scope := sc.valueFields(); scope != "" {
			t, ok := fields[key]
			if near := closest(key, sortedKeys(fields)); !ok && near != "" {
				return ref{}, undeclared(fields, scope, path, 2)
			} else if ok {
				typ = t
			}
		}
		get = func(r *Run) any { return ofType(typ, walk(jsonValue(r.Msg.Values), []string{key})) }
		r.m, r.used, r.more = member{typ: typ, absent: true}, 3, path[3:]
		r.slot.typ, r.slot.name = typ, strings.Join(path[:3], ".")
	}
	zero := r.m.typ.zero()
	if r.m.absent {
		zero = nil
	}
	r.m.fill, r.m.stable, r.slot.live = cameFiller(get, zero), false, true
	r.slot.key = "came." + string(sc.await) + "." + r.slot.name + "#" + string(r.m.typ)
	return r, nil
}

// valueFields are the fields that the chain declares for what its messages
// bring: the values of telemetry are telemetry, those of attributes the client's.
func (sc *scope) valueFields() (fields map[string]Type, scope string) {
	for _, h := range sc.hears() {
		of := map[ota.Event]string{ota.Telemetry: "telemetry", ota.AttributesReported: "client"}[h.event]
		if of == "" || scope != "" && of != scope {
			return nil, ""
		}
		scope = of
	}
	if fields = sc.fields[scope]; fields == nil {
		return nil, ""
	}
	return fields, scope
}

// msgSlip is the member that was meant where the name is none that any trigger
// of the chain declares, and nearly one that some do. A name that is like no
// other stays allowed, and absent.
func (sc *scope) msgSlip(name string) string {
	var known []string
	for _, h := range sc.hears() {
		known = append(known, sortedKeys(h.members())...)
	}
	if slices.Contains(known, name) || msgMembers[name] != nil {
		return ""
	}
	return closest(name, known)
}

// msgType is the type of a message's member, where every trigger of the chain
// agrees about it.
func (sc *scope) msgType(name string) (Type, bool) {
	var typ Type
	for i, h := range sc.hears() {
		t, ok := h.members()[name]
		if !ok || i > 0 && t != typ {
			return AnyType, false
		}
		typ = t
	}
	return typ, len(sc.hears()) > 0
}

func (sc *scope) resolveOwn(path []string) (ref, *unknownName) {
	name := path[1]
	key := sc.prefix + strings.Join(path[:2], ".")
	if path[0] == "params" {
		p, ok := sc.params[name]
		if !ok {
			return ref{}, unknown(ruleUnknownKey, "the chain has no param %s%s", name, didYouMean(name, sortedKeys(sc.params)))
		}
		m := member{typ: p.typ, words: p.enum}
		if p.typ == KindType {
			m.words = kindWords
		}
		return ref{slot: slot{key: key, name: strings.Join(path[:2], "."), typ: p.typ}, used: 2, m: m, start: true, value: p.def, more: restOf(p.typ, path[2:])}, nil
	}
	v, ok := sc.vars[name]
	if !ok {
		return ref{}, unknown(ruleUnknownKey, "the chain has no var %s%s", name, didYouMean(name, sortedKeys(sc.vars)))
	}
	if sc.inTrig {
		return ref{}, unknown(ruleNotSetHere, "vars begin with the run, after its trigger")
	}
	return ref{slot: slot{key: key, name: "vars." + name, typ: v.typ}, used: 2, m: member{typ: v.typ, absent: v.typ == AnyType}, start: true, value: v.value, more: restOf(v.typ, path[2:])}, nil
}

func restOf(t Type, path []string) []string {
	if t == AnyType || t == MapType {
		return path
	}
	return nil
}

func (sc *scope) resolveStep(path []string) (ref, *unknownName) {
	p, ok := sc.steps[path[1]]
	if !ok {
		return ref{}, unknown(ruleUnknownKey, "the chain has no step %s%s", path[1], didYouMean(path[1], sortedKeys(sc.steps)))
	}
	outs := p.outputs()
	if len(path) < 3 {
		return ref{}, unknown(ruleWrongType, "steps.%s is no value; name one of its fields", path[1])
	}
	for _, o := range outs {
		if o.Name != path[2] {
			continue
		}
		name := strings.Join(path[:3], ".")
		m := member{typ: o.Type, absent: o.Type == AnyType}
		return ref{slot: slot{key: sc.prefix + name, name: name, typ: o.Type}, used: 3, m: m, fact: stepFact(p), start: true, value: o.Type.zero(), more: restOf(o.Type, path[3:])}, nil
	}
	names := make([]string, len(outs))
	for i, o := range outs {
		names[i] = o.Name
	}
	if len(names) == 0 {
		return ref{}, unknown(ruleUnknownKey, "%s sets no fields", p.typeName())
	}
	return ref{}, unknown(ruleUnknownKey, "%s sets no %s%s", p.typeName(), path[2], didYouMean(path[2], names))
}

// resolveDeviceValue finds attributes and telemetry of the device.
func (sc *scope) resolveDeviceValue(path []string) (ref, bool, *unknownName) {
	var scope string
	at := 2
	switch {
	case path[1] == "telemetry":
		scope = "telemetry"
	case path[1] == "attributes" && len(path) > 2:
		scope, at = path[2], 3
	default:
		if path[1] == "attributes" {
			return ref{}, false, unknown(ruleWrongType, "device.attributes is no value; name device.attributes.server.KEY")
		}
		return ref{}, false, nil
	}
	n := slices.Index(valueScopes[:], ota.Scope(scope))
	if n < 0 {
		return ref{}, false, unknown(ruleUnknownKey, "attributes have no scope %s%s", scope, didYouMean(scope, []string{"client", "shared", "server"}))
	}
	if len(path) <= at {
		return ref{}, false, unknown(ruleWrongType, "%s is no value; name one of its keys", strings.Join(path, "."))
	}
	key := path[at]
	typ := AnyType
	if f, closed := sc.fields[scope]; closed {
		t, ok := f[key]
		if !ok {
			return ref{}, false, undeclared(f, scope, path, at)
		}
		typ = t
	}
	name := strings.Join(path[:at+1], ".")
	fill := func(r *Run, _ int32) error { return r.fillScope(n) }
	return ref{slot: slot{key: name + "#" + string(typ), name: name, typ: AnyType, live: true}, used: at + 1, fact: "device", group: scope, key: key, more: path[at+1:],
		m: member{typ: typ, absent: true, fill: fill}}, true, nil
}

// resolveSetting finds what the configuration lets chains read.
func (sc *scope) resolveSetting(path []string, x *exprSource) (ref, *unknownName) {
	name := path[1]
	known := sc.b.opts.Env
	if path[0] == "secret" {
		known = sc.b.opts.Secrets
		if x.setting == nil || !x.setting.Secret || x.bare {
			return ref{}, unknown(ruleSecretLeak, "secret.%s may stand in settings that are marked secret alone (URLs, headers, keys)", name)
		}
	}
	v, ok := known[name]
	if !ok {
		return ref{}, unknown(ruleMissing, "the configuration has no %s.%s%s", path[0], name, didYouMean(name, sortedKeys(known)))
	}
	full := path[0] + "." + name
	return ref{slot: slot{key: full, name: full, typ: TextType}, used: 2, m: member{typ: TextType, stable: true, get: func(*Run) any { return v }}}, nil
}
