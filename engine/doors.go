package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// doorway is what the engine does with whoever comes in by a door.
type doorway struct {
	doc   *doorDoc
	whose Text // the device's name; not given: of no device, or of the one whose connection it is
}

// open describes the doors of the chain, now that its secrets can be read.
func (b *builder) open() {
	n := 0
	for i, t := range b.doc.triggers {
		if t.door == nil {
			continue
		}
		n++
		if t.door.man == nil || b.doc.triggers[0].call {
			continue
		}
		r := b.c.newRun(ota.Message{Event: ota.Arrived}, time.Time{})
		d, err := t.door.man.Door(r)
		r.release()
		if err != nil {
			b.faults.add(b.doc.src, t.door.nodeAt, ruleBadLiteral, "%s", err)
			continue
		}
		d.Node, d.Chain, d.Name = t.door.node, b.doc.name, fmt.Sprintf("%s.%d", b.doc.name, n)
		b.c.Triggers[i].Door = &d
	}
}

// Doors lists the doors that the chains open, in the order of their files.
func (s *Set) Doors() []ota.Inlet {
	var out []ota.Inlet
	for _, c := range s.all {
		for i := range c.Triggers {
			if d := c.Triggers[i].Door; d != nil {
				out = append(out, *d)
			}
		}
	}
	return out
}

// behind finds the chain behind a door by the door's name; nil where there is none.
func (s *Set) behind(door string) (*Chain, *Trigger) {
	name, _, _ := strings.Cut(door, ".")
	if c := s.byName[name]; c != nil {
		for i := range c.Triggers {
			if t := &c.Triggers[i]; t.Door != nil && t.Door.Name == door {
				return c, t
			}
		}
	}
	return nil, nil
}

// doorKey is what no two doors may have in common; "" for one that shares
// nothing.
func doorKey(d *ota.Inlet) string {
	switch d.Node {
	case ota.MQTTIn:
		return "topic " + d.Pattern.Filter() + " of broker " + d.Broker
	case ota.HTTPIn:
		return d.Method + " /in/" + d.Pattern.Filter()
	case ota.CoAPIn:
		return d.Method + " /in/" + d.Pattern.Filter() + " over CoAP"
	}
	return ""
}

// takes says whether the trigger takes the message, by its event and, of a door,
// by which one it came in.
func (t *Trigger) takes(m *ota.Message) bool {
	return t.Event == m.Event && (t.Kind == "" || m.Kind == "" || t.Kind == m.Kind) && (t.Door == nil || t.Door.Name == m.Door)
}

// arrived works what came in by a door of a chain's own.
func (e *Engine) arrived(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	chain, trig := e.Set().behind(m.Door)
	if chain == nil {
		return nil, ota.Errorf(ota.NotFound, "door "+m.Door, "no chain opens it any more")
	}
	if err := trig.door.doc.fits(m.Body); err != nil {
		e.counts.Refused.Add(1)
		return nil, &ota.Error{Code: ota.Invalid, Op: "door " + m.Door, Err: err}
	}
	known, err := e.nameAtDoor(ctx, &m, chain, trig)
	if err != nil {
		if ota.CodeOf(err) == ota.NotFound {
			e.counts.Refused.Add(1)
		}
		return nil, err
	}
	if !known {
		return e.atDoor(ctx, m, chain, trig)
	}
	ref := ota.RefOf(m.Tenant, m.Device)
	home, err := e.Facts.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if m.Transport != "" {
		if _, err := e.heard(ctx, ref, home, m); err != nil {
			return nil, err
		}
	}
	if chain.Asks() {
		a, err := e.known(ctx, ref)
		if err != nil {
			return nil, err
		}
		return e.ask(ctx, a, m, chain, trig)
	}
	return e.move(ctx, m, ref, func(_ context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		if m.Transport != "" {
			h.Device.Hear(e.Homes.Now())
		}
		return job{msg: m, chain: chain, trig: trig, only: chain.Name}, nil
	})
}

// known reads an asker from the copies.
func (e *Engine) known(ctx context.Context, ref ota.Ref) (a asker, err error) {
	a.ref = ref
	if a.home, err = e.Facts.Get(ctx, ref); err == nil {
		a.profile, err = profileOf(ctx, e.Facts, a.home.Device)
	}
	return a, err
}

// nameAtDoor finds the device that m is about. known is false where it is about
// none; an unknown one is NotFound where the door refuses it.
func (e *Engine) nameAtDoor(ctx context.Context, m *ota.Message, c *Chain, t *Trigger) (known bool, err error) {
	w, proved := t.door, ota.DeviceID("")
	if w.doc.ofDevice() || w.doc.node == ota.CoAPIn && w.whose.Given() { // there a proof may come, and then it holds
		proved = m.Device
	}
	m.Device = proved
	if !w.whose.Given() {
		return proved != "", nil
	}
	r := c.newRun(*m, e.Homes.Now())
	r.ctx = ctx
	name, err := w.whose.Get(r)
	r.release()
	if err != nil {
		return false, err
	}
	ref, err := e.Facts.Find(ctx, m.Tenant, ota.DeviceRef, name)
	switch {
	case err == nil && proved != "" && string(proved) != ref.ID:
		return false, ota.Errorf(ota.NotFound, "door "+m.Door, "a device names another one, %s", describe(name))
	case err == nil:
		m.Device = ota.DeviceID(ref.ID)
		return true, nil
	case ota.CodeOf(err) != ota.NotFound:
		return false, err
	case w.doc.unknown == unknownRun:
		m.Device = ""
		return false, nil
	}
	return false, ota.Errorf(ota.NotFound, "door "+m.Door, "there is no device %s", describe(name))
}

// atDoor runs a chain for what is about no device; its home is the door's.
func (e *Engine) atDoor(ctx context.Context, m ota.Message, chain *Chain, trig *Trigger) ([]ota.Reply, error) {
	m.Home = ota.RefOfInlet(m.Tenant, m.Door)
	if chain.Asks() {
		return e.ask(ctx, asker{ref: m.Home, home: ota.NewInletHome(m.Tenant, m.Door)}, m, chain, trig)
	}
	if err := e.homeOfDoor(ctx, m.Home); err != nil {
		return nil, err
	}
	return e.move(ctx, m, m.Home, func(_ context.Context, _ ota.Facts, _ *ota.Home, m ota.Message) (job, error) {
		return job{msg: m, chain: chain, trig: trig, only: chain.Name}, nil
	})
}

// homeOfDoor sees to it that a door has a home.
func (e *Engine) homeOfDoor(ctx context.Context, ref ota.Ref) error {
	_, err := e.Facts.Get(ctx, ref)
	if ota.CodeOf(err) != ota.NotFound {
		return err
	}
	err = e.Homes.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: ota.NewInletHome(ref.Tenant, ref.ID)})
	if ota.CodeOf(err) == ota.Conflict { // somebody else was faster
		return nil
	}
	return err
}

// Arm sees to it that the schedules of the chains in use have their next time
// due in the store. It is called when a set is put to use, by each process;
// called twice it changes nothing. An error is Busy: call again.
func (e *Engine) Arm(ctx context.Context, t ota.TenantID) error {
	for _, d := range e.Set().Doors() {
		if d.Next == nil {
			continue
		}
		if err := e.arm(ctx, t, &d); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) arm(ctx context.Context, t ota.TenantID, d *ota.Inlet) error {
	ref := ota.RefOfInlet(t, d.Name)
	for n := 1; ; n++ {
		h, err := e.Homes.Load(ctx, ref)
		var was *ota.Home
		if ota.CodeOf(err) == ota.NotFound {
			h, err = ota.NewInletHome(t, d.Name), nil
		} else if err == nil {
			was = h.Clone()
		}
		if err != nil {
			return err
		}
		if !h.Arm(d, e.Homes.Now()) {
			return nil
		}
		err = e.Homes.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h, Was: was, Final: true})
		if ota.CodeOf(err) != ota.Conflict || n == maxTries {
			return err
		}
	}
}

// lateEnough is from when on a time counts as missed.
const lateEnough = time.Minute

// isAsked says whether somebody waits for an answer to the message.
func isAsked(m *ota.Message) bool {
	return asked(m.Event) || m.Event == ota.Arrived && m.Transport == "http"
}

// struck is the job of a schedule whose time has come. Its next time is due in
// the same commit, whatever becomes of the run.
func (e *Engine) struck(m ota.Message, p ota.Pending) job {
	now := e.Homes.Now()
	m.Door, m.TS = p.Chain, p.At
	chain, trig := e.Set().behind(p.Chain)
	if chain == nil || trig.Door.Next == nil { // the door is gone: so is its schedule
		return job{msg: m}
	}
	again := func(h *ota.Home) {
		h.Disarm()
		h.Arm(trig.Door, now)
	}
	if trig.Door.Missed == "skip" && now.Sub(p.At) > lateEnough {
		return job{msg: m, after: again, fail: again}
	}
	return job{msg: m, chain: chain, trig: trig, only: chain.Name, after: again, fail: again}
}

// fits holds a body against the fields that the door declares.
func (d *doorDoc) fits(body []byte) error {
	if !d.typed {
		return nil
	}
	if !gjson.ValidBytes(body) || !gjson.ParseBytes(body).IsObject() {
		return fmt.Errorf("the body is no JSON object")
	}
	for _, f := range d.fields {
		v := jsonMember(body, f.name)
		switch {
		case v == nil && f.optional:
		case v == nil:
			return fmt.Errorf("the body has no %s", f.name)
		case ofType(f.typ, v) == nil:
			return fmt.Errorf("%s is %s, want %s", f.name, describe(v), f.typ)
		}
	}
	return nil
}

// jsonMember is a member of a JSON object; nil where it is absent or null. Of a
// key that stands twice the first counts.
func jsonMember(body []byte, name string) (out any) {
	gjson.ParseBytes(body).ForEach(func(k, v gjson.Result) bool {
		if k.String() != name {
			return true
		}
		out = v.Value()
		return false
	})
	return out
}

// resolveJSON finds msg.json and what is below it.
func (sc *scope) resolveJSON(r ref, path []string) (ref, *unknownName) {
	typed := 0
	for _, h := range sc.hears() {
		if h.door != nil && h.door.typed {
			typed++
		}
	}
	if len(path) < 3 || typed == 0 {
		return r, nil
	}
	name := path[2]
	var is bodyField
	for i, h := range sc.hears() {
		f, ok := h.door.field(name)
		if !ok && typed == len(sc.hears()) {
			u := unknown(ruleUnknownKey, "fields of %s do not declare %s%s", h.door.node, name, didYouMean(name, h.door.fieldNames()))
			u.part = 2
			return ref{}, u
		}
		switch {
		case !ok || i > 0 && f.typ != is.typ:
			return r, nil // another body on another road: any
		case i == 0:
			is = f
		}
		is.optional = is.optional || f.optional
	}
	full := "msg.json." + name
	get := func(r *Run) any { return ofType(is.typ, jsonMember(r.Msg.Body, name)) }
	out := ref{used: 3, m: member{typ: is.typ, absent: is.optional || is.typ == AnyType, stable: true, get: get}, more: restOf(is.typ, path[3:])}
	out.slot = slot{key: full + "#" + string(is.typ), name: full, typ: is.typ}
	if is.optional {
		out.slot.key += "?"
		out.slot.typ = AnyType
	}
	return out, nil
}

// resolveCapture finds what a topic or path captures.
func (sc *scope) resolveCapture(path []string) (ref, *unknownName) {
	name := path[1]
	hears := sc.hears()
	if !slices.ContainsFunc(hears, func(h heardAt) bool { return h.door != nil }) {
		return ref{}, unknown(ruleNotSetHere, "capture is set by the topic or path of a transport node, and this chain has none")
	}
	for _, h := range hears {
		if h.door == nil {
			return ref{}, unknown(ruleNotSetHere, "capture is set by the topic or path of a transport node, and %s brings none here", h.event)
		}
		if h.door.man == nil { // its own fault is told
			return ref{slot: slot{key: "capture." + name, name: "capture." + name, typ: TextType}, used: 2, m: member{typ: TextType, stable: true, get: func(*Run) any { return nil }}}, nil
		}
		names := h.door.man.Captures()
		if !slices.Contains(names, name) {
			return ref{}, unknown(ruleNotSetHere, "%s does not capture %s%s", h.door.node, name, didYouMean(name, names))
		}
	}
	full := "capture." + name
	return ref{slot: slot{key: full, name: full, typ: TextType}, used: 2, m: member{typ: TextType, stable: true, get: func(r *Run) any { return r.Msg.Capture[name] }}}, nil
}

// Deliverer takes words to brokers of MQTT.
type Deliverer interface {
	// Deliver returns when the broker has taken the word. An error of code Busy
	// means: say it again later.
	Deliver(ctx context.Context, w ota.BrokerWord) error
}

// deliver says what was written down to be said until it is taken.
func (e *Engine) deliver(ctx context.Context, m ota.Message) error {
	if e.Deliver == nil {
		return ota.Errorf(ota.NotFound, "deliver to broker "+m.Broker, "there are no brokers")
	}
	return e.Deliver.Deliver(ctx, ota.BrokerWord{Broker: m.Broker, Device: ota.RefOf(m.Tenant, m.Device), Topic: m.Topic, Body: m.Body, QoS: 1, Retain: m.Retain})
}

// Writer is a Node that changes its home, or leaves something behind, by its
// settings: a chain with it is a move though its [Spec] does not say so.
type Writer interface{ Writes() bool }

func writes(n Node) bool {
	w, ok := n.(Writer)
	return ok && w.Writes()
}
