package chaintest

import (
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// expectDevice holds one device against what is expected of it.
func (w *world) expectDevice(n *yamlx.Node, field string) []mismatch {
	name := ""
	if x := n.Get("name"); x != nil {
		name = x.Text
	}
	a, err := w.actor(name)
	if err != nil {
		return []mismatch{{n, field, show(n), err.Error()}}
	}
	return compare(n, w.device(a, kindOf(n)), field)
}

func kindOf(n *yamlx.Node) ota.Kind {
	if x := n.Get("kind"); x != nil && ota.Kind(x.Text).Valid() {
		return ota.Kind(x.Text)
	}
	return ota.Firmware
}

// device is all that a case may expect of a device.
func (w *world) device(a *actor, k ota.Kind) noun {
	h := w.home(a.ref)
	if h == nil {
		return noun{text: "a device that is gone"}
	}
	d, t := h.Device, h.Device.Track(k)
	u := t.Update
	if u == nil {
		u = &ota.Update{State: "none"}
	}
	m := map[string]func() any{
		"name": value(d.Name), "kind": value(string(k)), "state": value(string(u.State)), "closed": value(u.Closed), "target": value(u.Target.String()),
		"from": value(u.From.String()), "held": value(u.Held), "error": value(u.Error), "runs": value(t.Reported.String()), "attempt": value(u.Attempt),
		"silent": value(u.Silent), "away": value(u.Away), "online": value(d.Online(w.st.Now())), "skipped": value(t.Skipped), "cause": value(u.Cause),
		"zone": value(d.Zone), "due": func() any { return due(u) },
		"profile":     func() any { return w.nameOf(ota.ProfileRef, string(d.Profile)) },
		"offered":     func() any { return w.nameOf(ota.PackageRef, string(t.Offer.Package)) },
		"progress":    func() any { return w.progress(u) },
		"groups":      func() any { return words(d.Groups) },
		"history":     func() any { return history(u) },
		"alarms":      func() any { return alarmsOf(h) },
		"assigned_by": func() any { return w.assignedBy(d, k) },
	}
	for _, s := range []ota.Scope{ota.TelemetryScope, ota.ClientScope, ota.SharedScope, ota.ServerScope} {
		m[string(s)] = func() any { return w.values(a.ref, s) }
	}
	return noun{"device " + d.Name, m}
}

func value(v any) func() any { return func() any { return v } }

func words[T ~string](all []T) any {
	out := []any{}
	for _, x := range all {
		out = append(out, string(x))
	}
	return out
}

// due is when the state's time-out runs out, or a queued update comes back.
func due(u *ota.Update) any {
	switch at := u.Deadline(); {
	case !at.IsZero():
		return at
	case !u.NotBefore.IsZero():
		return u.NotBefore
	}
	return nil
}

func (w *world) nameOf(t ota.RefType, id string) any {
	if h := w.home(ota.Ref{Tenant: tenant, Type: t, ID: id}); h != nil {
		return h.Name()
	}
	return nil
}

func (w *world) progress(u *ota.Update) any {
	if h := w.home(ota.Ref{Tenant: tenant, Type: ota.PackageRef, ID: string(u.Package)}); h != nil {
		return u.Percent(h.Package.Size)
	}
	return nil
}

func history(u *ota.Update) any {
	out := []any{}
	for _, s := range u.History {
		out = append(out, string(s.State))
	}
	return out
}

func (w *world) assignedBy(d *ota.Device, k ota.Kind) any {
	h := w.home(ota.Ref{Tenant: tenant, Type: ota.ProfileRef, ID: string(d.Profile)})
	if h == nil {
		return nil
	}
	if e := ota.FindEffective(d, h.Profile, k); e != nil {
		return e.Source.String()
	}
	return nil
}

func (w *world) values(r ota.Ref, s ota.Scope) any {
	all, err := w.st.Values(w.ctx, r, s, nil)
	if err != nil {
		return nil
	}
	out := map[string]any{}
	for _, v := range all {
		out[v.Key] = fromJSON(v.JSON)
	}
	return out
}

func alarmsOf(h *ota.Home) []any {
	out := []any{}
	for _, a := range h.Alarms {
		m := map[string]func() any{
			"key": value(a.Key), "severity": value(string(a.Severity)), "message": value(a.Message), "count": value(a.Count), "device": value(h.Name()),
		}
		out = append(out, noun{string(a.Severity) + " " + a.Key + ": " + a.Message, m})
	}
	return out
}

// alarms are those of all homes.
func (w *world) alarms() any {
	out := []any{}
	for _, h := range w.st.all() {
		out = append(out, alarmsOf(h)...)
	}
	return out
}

func (w *world) deadLetters() any {
	out := []any{}
	all, _ := w.st.DeadLetters(w.ctx, tenant, 1<<20) // a store in memory does not fail
	for _, l := range all {
		m := map[string]func() any{
			"chain": value(l.Chain), "step": value(l.Step), "reason": value(l.Reason), "attempts": value(l.Tries()), "event": value(string(l.Message.Event)),
		}
		out = append(out, noun{l.Chain + ": " + l.Reason, m})
	}
	return out
}

// counts are how many devices are in each state.
func (w *world) counts(n *yamlx.Node) any {
	k := kindOf(n)
	all, _ := w.st.Counts(w.ctx, tenant, k, "") // a store in memory does not fail
	m := map[string]func() any{"kind": value(string(k))}
	for _, s := range ota.States() {
		m[string(s)] = value(all[s])
	}
	return noun{"counts", m}
}

// rollout is the one that was begun last.
func (w *world) rollout() any {
	var r *ota.Rollout
	for _, h := range w.st.all() {
		if h.Rollout != nil {
			r = h.Rollout
		}
	}
	if r == nil {
		return nil
	}
	c := w.st.members(r)
	return noun{"rollout of " + string(r.Kind), map[string]func() any{
		"state": value(string(r.State)), "stage": value(r.Stage), "chain": value(r.Chain), "kind": value(string(r.Kind)), "reason": value(r.Reason), "by": value(r.By),
		"target":  func() any { return string(r.Target.Type) + ":" + printed(w.nameOf(r.Target.Type, r.Target.ID)) },
		"package": func() any { return w.nameOf(ota.PackageRef, string(r.Package)) },
		"members": value(c.Members), "updated": value(c.Updated), "waiting": value(c.Waiting), "in_flight": value(c.InFlight), "held": value(c.Held),
		"failed": value(c.Failed), "silent": value(c.Silent), "decided": value(c.Decided()), "skipped": value(c.Skipped), "paused": value(r.State == ota.RolloutPaused),
	}}
}

// said is a word to a device.
func (w *world) word(r ota.Reply) noun {
	m := map[string]func() any{
		"word": value(string(r.Word)), "kind": value(string(r.Kind)), "code": value(string(r.Code)), "text": value(r.Text), "status": value(r.Status),
		"method": value(r.Method), "shared": func() any { return fromJSON(r.Shared) }, "client": func() any { return fromJSON(r.Client) },
		"body": value(string(r.Body)), "json": func() any { return fromJSON(r.Body) }, "deleted": func() any { return words(r.Deleted) },
		"size": value(int64(len(r.Body))), "offset": value(r.Section.Off), "device": value(nil), "package": value(nil),
	}
	if p := r.Section.Package; p != nil {
		m["package"], m["size"] = value(p.Version.String()), value(r.Section.Len)
	}
	text := string(r.Word)
	if r.Code != "" {
		text += " " + string(r.Code)
	}
	if a := w.byID[r.Device]; a != nil {
		m["device"] = value(a.name)
	}
	return noun{text, m}
}

// answers are the words that the last sender was answered with: an error in words
// where the engine returned one, as every transport does.
func (w *world) answers() []any {
	out := []any{}
	for _, r := range w.replies {
		out = append(out, w.word(r))
	}
	if w.refused != nil {
		out = append(out, w.word(ota.Refusal(ota.CodeOf(w.refused), w.refused.Error())))
	}
	return out
}

// pushes are the words that were said to devices since a case has last asked.
func (w *world) pushes() []any {
	out := []any{}
	for _, r := range w.said {
		out = append(out, w.word(r))
	}
	return out
}

// timing says how long after it was queued an update came to each state.
func (w *world) timing(n *yamlx.Node) any {
	name := ""
	if x := n.Get("device"); x != nil {
		name = x.Text
	}
	a, err := w.actor(name)
	if err != nil {
		return noun{text: err.Error()}
	}
	k := kindOf(n)
	m := map[string]func() any{"device": value(a.name), "kind": value(string(k))}
	u := w.home(a.ref).Device.Track(k).Update
	for _, s := range ota.States() {
		m[string(s)] = value(nil)
	}
	if u != nil {
		for _, s := range u.History {
			if m[string(s.State)]() == nil {
				m[string(s.State)] = value(s.At.Sub(u.Queued))
			}
		}
	}
	return noun{"timing", m}
}

// answered is how often each step was answered for.
func (w *world) answered() any {
	out := map[string]any{}
	w.mocks.mu.Lock()
	defer w.mocks.mu.Unlock()
	for k, m := range w.mocks.all {
		name := k.step
		if k.chain != w.last.chain {
			name = k.chain + "/" + k.step
		}
		out[name] = m.called
	}
	return out
}
