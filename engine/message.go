package engine

import (
	"time"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// msgTypes says which members the message of an event has. Others are absent.
var msgTypes = map[ota.Event]map[string]Type{
	ota.Telemetry:           {"values": AnyType, "ts": TimeType},
	ota.AttributesReported:  {"values": AnyType, "ts": TimeType},
	ota.AttributesRequested: {"client_keys": ListType, "shared_keys": ListType},
	ota.ChunkRequested:      {"kind": KindType, "title": TextType, "version": TextType, "size": IntType, "chunk": IntType},
	ota.RPCRequested:        {"method": TextType, "params": AnyType, "limits": AnyType},
	ota.RPCAnswered:         {"method": TextType, "result": AnyType},
	ota.Connected:           {"transport": TextType, "address": TextType},
	ota.Disconnected:        {"transport": TextType, "address": TextType},
	ota.Assigned:            {"kind": KindType, "cause": TextType, "rollout": TextType},
	ota.Unassigned:          {"kind": KindType, "cause": TextType, "rollout": TextType},
	ota.OfferDue:            {"kind": KindType},
	ota.StateTimeout:        {"kind": KindType},
	ota.UpdateFinished:      {"kind": KindType, "state": TextType},
	ota.RolloutStarted:      {},
	ota.RolloutFinished:     {"state": TextType},
	ota.PackageAdded:        {"kind": KindType},
	ota.Scheduled: {"name": TextType, "type": TextType, "target": TextType, "package": TextType, "scope": TextType, "method": TextType,
		"values": AnyType, "params": AnyType, "due_at": TimeType, "late": DurationType},
}

// DeviceEvents lists the events that are about a device: those that a run of the
// device can wait for.
func DeviceEvents() []string {
	return words([]ota.Event{
		ota.Telemetry, ota.AttributesReported, ota.AttributesRequested, ota.ChunkRequested, ota.RPCRequested, ota.RPCAnswered, ota.Connected, ota.Disconnected,
		ota.Assigned, ota.Unassigned, ota.OfferDue, ota.StateTimeout, ota.UpdateFinished,
	})
}

// scheduleWords are the types of scheduled events.
var scheduleWords = ota.PlannedTypes()

// ofPlan reads a member of what an operator has scheduled.
func ofPlan(get func(*ota.Planned) string) func(*Run) any {
	return func(r *Run) any {
		if r.Msg.Plan == nil {
			return nil
		}
		return get(r.Msg.Plan)
	}
}

// msgMembers gives the members of messages; values are read apart, see msgValues.
var msgMembers = map[string]func(r *Run) any{
	"values":      func(r *Run) any { return jsonValue(r.Msg.Values) },
	"ts":          func(r *Run) any { return messageTime(r) },
	"client_keys": func(r *Run) any { return anyList(r.Msg.ClientKeys) },
	"shared_keys": func(r *Run) any { return anyList(r.Msg.SharedKeys) },
	"kind":        func(r *Run) any { return string(r.Msg.Kind) },
	"title":       func(r *Run) any { return r.Msg.Want.Title },
	"version":     func(r *Run) any { return r.Msg.Want.Version },
	"size":        func(r *Run) any { return int(r.Msg.Size) },
	"chunk":       func(r *Run) any { return int(r.Msg.Chunk) },
	"method":      func(r *Run) any { return r.Msg.Method },
	"params":      func(r *Run) any { return jsonValue(r.Msg.Params) },
	"result":      func(r *Run) any { return jsonValue(r.Msg.Result) },
	"limits":      func(r *Run) any { return jsonValue(r.Msg.Limits) },
	"transport":   func(r *Run) any { return r.Msg.Transport },
	"address":     func(r *Run) any { return r.Msg.Address },
	"cause":       func(r *Run) any { return r.Msg.Cause },
	"rollout":     func(r *Run) any { return string(r.Msg.Rollout) },
	"state":       func(r *Run) any { return string(r.Msg.State) },
	"json":        func(r *Run) any { return jsonValue(r.Msg.Body) },
	"text":        func(r *Run) any { return string(r.Msg.Body) },
	"body":        func(r *Run) any { return r.Msg.Body },
	"topic":       func(r *Run) any { return r.Msg.Topic },
	"path":        func(r *Run) any { return r.Msg.Topic },
	"headers":     func(r *Run) any { return anyMap(r.Msg.Headers) },
	"name":        ofPlan(func(p *ota.Planned) string { return p.Name }),
	"type":        ofPlan(func(p *ota.Planned) string { return p.Type }),
	"target":      ofPlan(func(p *ota.Planned) string { return p.Target }),
	"package":     ofPlan(func(p *ota.Planned) string { return p.Package }),
	"scope":       ofPlan(func(p *ota.Planned) string { return string(p.Scope) }),
	"due_at":      func(r *Run) any { return r.Msg.TS },
	"late":        func(r *Run) any { return r.Now.Sub(r.Msg.TS) },
}

func messageTime(r *Run) time.Time {
	if r.Msg.TS.IsZero() {
		return r.Now
	}
	return r.Msg.TS
}

// jsonValue reads JSON into maps, lists, text, float64 and bool; nil where it
// is none.
func jsonValue(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return gjson.ParseBytes(b).Value()
}

// group is the slots that one reading fills.
type group []groupSlot

type groupSlot struct {
	key  string
	slot int32
	typ  Type // declared by "fields": a value of another type counts as absent
}

// give puts a JSON value into the slots of its key.
func (g group) give(r *Run, key string, v any) {
	for i := range g {
		if g[i].key == key {
			r.put(g[i].slot, ofType(g[i].typ, v))
		}
	}
}

// ofType is v where it is of the type, else absent.
func ofType(t Type, v any) any {
	if t == AnyType || v == nil {
		return v
	}
	if t == TextType { // numbers print, but they are no text
		if _, ok := v.(string); !ok {
			return nil
		}
	}
	x, err := asType(t, v)
	if err != nil {
		return nil
	}
	return x
}

func (g group) index(key string) int {
	for i := range g {
		if g[i].key == key {
			return i
		}
	}
	return -1
}

// fillValues puts every named member of msg.values in one pass, which ends when
// all are found: of a key that stands twice the first counts.
func (r *Run) fillValues() error {
	g := r.chain.frame.values
	for i := range g {
		r.put(g[i].slot, nil)
	}
	if len(r.Msg.Values) == 0 {
		return nil
	}
	// Nobody changes the bytes of a message, so text may go on lying in them.
	text := unsafe.String(unsafe.SliceData(r.Msg.Values), len(r.Msg.Values))
	left := len(g)
	var found uint64
	gjson.Parse(text).ForEach(func(k, v gjson.Result) bool {
		i := g.index(k.Str)
		if i < 0 || i < 64 && found&(1<<i) != 0 {
			return true
		}
		if i < 64 {
			found |= 1 << i
		}
		for j := i; j < len(g); j++ { // a chain that is called may declare another type
			if g[j].key == g[i].key {
				r.put(g[j].slot, ofType(g[j].typ, v.Value()))
				if i < 64 {
					left--
				}
			}
		}
		return left > 0
	})
	return nil
}

// facts is what a run has read of its device's values.
type facts struct {
	scopes [4][]ota.Value
	read   [4]bool
}

var valueScopes = [4]ota.Scope{ota.TelemetryScope, ota.ClientScope, ota.SharedScope, ota.ServerScope}

// fillScope puts every named value of one scope: what the run itself has set,
// else what is stored.
func (r *Run) fillScope(n int) error {
	g := r.chain.frame.scopes[n]
	e := &r.env
	if !e.read.read[n] && r.device != nil && r.Facts != nil {
		keys := make([]string, len(g))
		for i := range g {
			keys[i] = g[i].key
		}
		vs, err := r.Facts.Values(r.ctx, ota.RefOf(r.Msg.Tenant, r.device.ID), valueScopes[n], keys)
		if err != nil {
			return err
		}
		e.read.scopes[n] = vs
	}
	e.read.read[n] = true
	for i := range g {
		r.put(g[i].slot, nil)
	}
	for _, v := range e.read.scopes[n] {
		g.give(r, v.Key, jsonValue(v.JSON))
	}
	for _, v := range r.wants.values {
		if v.Scope == valueScopes[n] && r.own == nil {
			g.give(r, v.Key, jsonValue(v.JSON))
		}
	}
	return nil
}
