package chaintest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// doer is an act. An error says why it could not be done, and ends the case.
type doer interface {
	do(p *player, at *yamlx.Node) error
}

// verbs are the acts by their words.
var verbs = map[string]func() doer{
	"send":     func() doer { return &sendAct{} },
	"assign":   func() doer { return &assignDoc{} },
	"unassign": func() doer { return &unassignAct{} },
	"upload":   func() doer { return &uploadAct{} },
	"schedule": func() doer { return &scheduleAct{} },
	"operate":  func() doer { return &operateAct{} },
	"answer":   func() doer { return &answerAct{} },
	"pass":     func() doer { return &passAct{} },
	"until":    func() doer { return &untilAct{} },
	"restart":  func() doer { return &restartAct{} },
	"set":      func() doer { return &setAct{} },
	"expect":   func() doer { return &expectAct{} },
}

func verbNames() []string { return slices.Sorted(maps.Keys(verbs)) }

// sendAct is an event, as a device or the server itself would bring it.
type sendAct struct {
	Device     string      `yaml:"device"`
	Event      string      `yaml:"event"`
	Kind       ota.Kind    `yaml:"kind"`
	Values     *yamlx.Node `yaml:"values"`
	TS         *time.Time  `yaml:"ts"`
	ClientKeys []string    `yaml:"client_keys"`
	SharedKeys []string    `yaml:"shared_keys"`
	Title      string      `yaml:"title"`
	Version    string      `yaml:"version"`
	Size       int64       `yaml:"size"`
	Chunk      int64       `yaml:"chunk"`
	Bound      *versionDoc `yaml:"bound"` // what the session downloads already
	Method     string      `yaml:"method"`
	Params     *yamlx.Node `yaml:"params"`
	Result     *yamlx.Node `yaml:"result"`
	Limits     *yamlx.Node `yaml:"limits"`
	Call       int64       `yaml:"call"` // 0: what the device was asked last
	Transport  string      `yaml:"transport"`
	Address    string      `yaml:"address"`
	Cause      string      `yaml:"cause"`
	State      string      `yaml:"state"`

	// By a door that a chain has opened: a topic or a path, and a body.
	Topic   string            `yaml:"topic"`
	Broker  string            `yaml:"broker"`
	Path    string            `yaml:"path"`
	JSON    *yamlx.Node       `yaml:"json"`
	Text    string            `yaml:"text"`
	Headers map[string]string `yaml:"headers"`
}

// sent are the events that a case can send.
var sent = []ota.Event{
	ota.Telemetry, ota.AttributesReported, ota.AttributesRequested, ota.ChunkRequested, ota.RPCRequested, ota.RPCAnswered, ota.Connected,
	ota.Disconnected, ota.Assigned, ota.Unassigned, ota.OfferDue, ota.StateTimeout, ota.UpdateFinished,
}

// ours are those that no transport brings.
var ours = []ota.Event{ota.Assigned, ota.Unassigned, ota.OfferDue, ota.StateTimeout, ota.UpdateFinished}

func (s *sendAct) read(rd *reader, n *yamlx.Node) {
	type plain sendAct
	rd.into(valueOf((*plain)(s)), n, "send")
	given := 0
	for _, key := range []string{"event", "topic", "path"} {
		if n.Get(key) != nil {
			given++
		}
	}
	if given != 1 {
		rd.fault(n, ruleMissing, "send needs the key event, or one of topic and path")
	}
	if e := n.Get("event"); e != nil && !slices.Contains(sent, ota.Event(s.Event)) {
		var names []string
		for _, x := range sent {
			names = append(names, string(x))
		}
		rd.fault(e, ruleBadWord, "there is no event %q that a case can send%s", s.Event, engine.DidYouMean(s.Event, names))
	}
}

func (s *sendAct) do(p *player, _ *yamlx.Node) error {
	w := p.w
	if s.Event == "" {
		return s.arrive(p)
	}
	a, err := w.actor(s.Device)
	if err != nil {
		return err
	}
	e := ota.Event(s.Event)
	m := ota.Message{
		Event: e, Kind: s.Kind, ClientKeys: s.ClientKeys, SharedKeys: s.SharedKeys, Want: ota.Version{Title: s.Title, Version: s.Version},
		Size: s.Size, Chunk: s.Chunk, Method: s.Method, Transport: s.Transport, Address: s.Address, Cause: s.Cause, State: ota.State(s.State),
	}
	for _, x := range []struct {
		to *[]byte
		n  *yamlx.Node
	}{{&m.Values, s.Values}, {&m.Params, s.Params}, {&m.Result, s.Result}, {&m.Limits, s.Limits}} {
		if x.n != nil {
			*x.to = jsonOf(x.n)
		}
	}
	if e == ota.RPCAnswered {
		m.Call = cmp.Or(s.Call, a.call)
	}
	if s.TS != nil {
		m.TS = *s.TS
	}
	if e == ota.ChunkRequested && m.Kind == "" {
		m.Kind = ota.Firmware
	}
	if s.Bound != nil {
		p, err := w.st.Find(w.ctx, tenant, ota.PackageRef, s.Bound.String())
		if err != nil {
			return err
		}
		m.Bound = ota.PackageID(p.ID)
	}
	w.replies, w.refused = nil, nil
	switch {
	case e == ota.Connected:
		err = w.connect(a, s.Transport)
	case e == ota.Disconnected:
		a.online = false
		w.disconnect(a)
	case slices.Contains(ours, e):
		m.Tenant, m.Device = tenant, ota.DeviceID(a.ref.ID)
		w.replies, err = w.eng.Handle(w.ctx, m)
		w.eng.Wait()
	default:
		w.replies, err = w.handle(a, m)
	}
	w.refused = err
	return w.settle()
}

func (d *assignDoc) do(p *player, _ *yamlx.Node) error {
	if err := p.w.assign(*d); err != nil {
		return err
	}
	return p.w.settle()
}

// assign makes an assignment, as an operator would.
func (w *world) assign(d assignDoc) error {
	pkg, err := w.st.Find(w.ctx, tenant, ota.PackageRef, d.Package.String())
	if err != nil {
		return fmt.Errorf("there is no package %s", d.Package)
	}
	target, err := w.target(d.Target)
	if err != nil {
		return err
	}
	if d.Chain != "" {
		c, _ := w.eng.Set().Conductor(d.Chain)
		if c == nil {
			return fmt.Errorf("there is no chain %s that conducts rollouts; there are %s", d.Chain, strings.Join(w.eng.Set().Conductors(), ", "))
		}
		if err := c.CheckArgs(d.Args); err != nil {
			return err
		}
	}
	by := d.By
	if by == "" {
		by = "the test"
	}
	_, err = w.wish.Assign(w.ctx, ota.Wish{Tenant: tenant, Package: pkg, Target: target, By: by, Chain: d.Chain, Args: d.Args})
	return err
}

// target finds what an assignment is for.
func (w *world) target(t targetDoc) (ota.Ref, error) {
	switch t.typ {
	case ota.ProfileRef:
		return w.profile(t.name)
	case ota.DeviceRef:
		a, err := w.actor(t.name)
		if err != nil {
			return ota.Ref{}, err
		}
		return a.ref, nil
	}
	return ota.Ref{}, fmt.Errorf("this version assigns to devices and profiles, not yet to a %s", t.typ)
}

type unassignAct struct {
	Kind   ota.Kind  `yaml:"kind"`
	Target targetDoc `yaml:"target,must"`
}

func (u *unassignAct) do(p *player, _ *yamlx.Node) error {
	target, err := p.w.target(u.Target)
	if err != nil {
		return err
	}
	k := u.Kind
	if k == "" {
		k = ota.Firmware
	}
	if _, err := p.w.wish.Unassign(p.w.ctx, ota.Wish{Tenant: tenant, Kind: k, Target: target, By: "the test"}); err != nil {
		return err
	}
	return p.w.settle()
}

// uploadAct is a new package, looked at by the chain of package_added.
type uploadAct struct{ packageDoc }

func (u *uploadAct) read(rd *reader, n *yamlx.Node) { rd.into(valueOf(&u.packageDoc), n, "upload") }

func (u *uploadAct) do(p *player, _ *yamlx.Node) error {
	w := p.w
	checked := w.eng.Set().Hears(ota.PackageAdded)
	h, err := w.makePackage(u.packageDoc, !checked)
	if err != nil || !checked {
		return err
	}
	w.refused = nil
	_, w.refused = w.eng.Handle(w.ctx, ota.Message{Event: ota.PackageAdded, Tenant: tenant, Home: h.Ref, Kind: h.Package.Kind})
	w.eng.Wait()
	return w.settle()
}

type passAct struct{ d time.Duration }

func (x *passAct) read(rd *reader, n *yamlx.Node) { rd.into(valueOf(&x.d), n, "pass") }

func (x *passAct) do(p *player, _ *yamlx.Node) error {
	_, err := p.w.pass(x.d, 0, func() bool { return false })
	return err
}

type restartAct struct{}

func (x *restartAct) read(rd *reader, n *yamlx.Node) {
	if n.Kind != yamlx.Scalar || n.Text != "kill" {
		rd.fault(n, ruleBadWord, "restart is %s, want kill", describe(n))
	}
}

func (x *restartAct) do(p *player, _ *yamlx.Node) error {
	if err := p.w.kill(); err != nil {
		return err
	}
	return p.w.settle()
}

// setAct changes a device from outside.
type setAct struct {
	Device    string      `yaml:"device"`
	Zone      *string     `yaml:"zone"`
	Groups    *[]string   `yaml:"groups"`
	Online    *bool       `yaml:"online"`
	Telemetry *yamlx.Node `yaml:"telemetry"`
	Client    *yamlx.Node `yaml:"client"`
	Shared    *yamlx.Node `yaml:"shared"`
	Server    *yamlx.Node `yaml:"server"`
	Behaves   *behaviour  `yaml:"behaves"`
}

func (s *setAct) do(p *player, _ *yamlx.Node) error {
	w := p.w
	a, err := w.actor(s.Device)
	if err != nil {
		return err
	}
	h, err := w.st.Load(w.ctx, a.ref)
	if err != nil {
		return err
	}
	if s.Zone != nil {
		h.Device.Zone = *s.Zone
	}
	if s.Groups != nil {
		h.Device.Groups = nil
		for _, g := range *s.Groups {
			h.Device.Groups = append(h.Device.Groups, ota.GroupID(g))
		}
	}
	var values []ota.Value
	now := w.st.Now()
	values = append(values, valuesOf(ota.TelemetryScope, s.Telemetry, now)...)
	values = append(values, valuesOf(ota.ClientScope, s.Client, now)...)
	values = append(values, valuesOf(ota.SharedScope, s.Shared, now)...)
	values = append(values, valuesOf(ota.ServerScope, s.Server, now)...)
	if err := w.write(h, values...); err != nil {
		return err
	}
	if err := w.setOnline(a, s.Online); err != nil {
		return err
	}
	if s.Behaves != nil {
		runs := h.Device.Firmware.Reported
		if a.dev != nil {
			runs = a.dev.Runs
		}
		a.play(*s.Behaves, runs, w.chunk)
	}
	return w.settle()
}

// setOnline connects a device, or cuts it off.
func (w *world) setOnline(a *actor, online *bool) error {
	switch {
	case online == nil || *online == a.online:
	case !*online:
		a.online = false
		w.disconnect(a)
	case a.dev != nil:
		a.online = true
		w.wake(a)
	default:
		return w.connect(a, "mqtt")
	}
	return nil
}
