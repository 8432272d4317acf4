package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// rouse does what the message of a turn means to what waits in its home: runs
// and held updates that wait for its event are due at once, and runs that are
// bound to an update which is over end with it.
func (e *Engine) rouse(ctx context.Context, facts ota.Facts, t *ota.Turn, j job) {
	if t.Home.Device == nil {
		return
	}
	if j.parked == nil && j.only == "" && j.retrial == nil { // the event is heard here for the first time
		e.wake(ctx, facts, t, j.msg)
	}
	was, home := t.Was.Device, t.Home.Device
	for _, k := range ota.Kinds() {
		u, old := home.Track(k).Update, was.Track(k).Update
		if u != nil && u.State.Final() && (old == nil || old.ID != u.ID || old.State != u.State) {
			m := ota.Message{Event: ota.UpdateFinished, Tenant: j.msg.Tenant, Device: home.ID, Kind: k, State: u.State, Rollout: u.Rollout}
			e.wake(ctx, facts, t, m)
		}
	}
	var over []ota.Parked
	t.Home.Parked = slices.DeleteFunc(t.Home.Parked, func(p ota.Parked) bool {
		if p.Update == "" || !p.Kind.Valid() {
			return false
		}
		u := home.Track(p.Kind).Update
		if u.Open() && u.ID == p.Update {
			return false
		}
		over = append(over, p)
		return true
	})
	for _, p := range over {
		dropped(t.Home, p, e.Homes.Now())
	}
}

// awaits says whether anything that waits in the home would be woken by an event.
func awaits(h *ota.Home, event ota.Event) bool {
	return slices.ContainsFunc(h.Parked, func(p ota.Parked) bool { return eventOf(p) == event })
}

// eventOf is the event that a parked run waits for.
func eventOf(p ota.Parked) ota.Event {
	if !bytes.HasPrefix(p.Data, []byte(`{"Event":`)) {
		return ""
	}
	return ota.Event(gjson.GetBytes(p.Data, "Event").Str)
}

// wake makes due what waits for the message. Runs that this very turn has parked
// wait for the next one.
func (e *Engine) wake(ctx context.Context, facts ota.Facts, t *ota.Turn, m ota.Message) {
	now := e.Homes.Now()
	for _, k := range ota.Kinds() {
		t.Home.Device.Track(k).Wake(m.Event, now)
	}
	for i := range t.Home.Parked {
		p := &t.Home.Parked[i]
		if p.Num > t.Was.NextNum || eventOf(*p) != m.Event {
			continue
		}
		run, err := readParked(p.Data)
		if err != nil || run.Came != nil || run.Call != 0 && run.Call != m.Call || !e.wants(ctx, facts, t.Home, run, *p, m) {
			continue
		}
		run.Came = &awaited{Message: m}
		run.Came.Began, run.Came.Session = nil, ota.SessionID{}
		data, err := json.Marshal(run)
		if len(data) > maxParked && err == nil {
			run.Came.Large, run.Came.Values, run.Came.Params, run.Came.Result = true, nil, nil, nil
			data, err = json.Marshal(run)
		}
		if err == nil {
			p.At, p.Data = now, data
		}
	}
}

// wants asks the step at which a run waits whether the message is the one that
// it waits for. Where that cannot be said the run is woken, and its own turn says
// why.
func (e *Engine) wants(ctx context.Context, facts ota.Facts, h *ota.Home, run parkedRun, p ota.Parked, m ota.Message) bool {
	c, err := e.revision(ctx, run.Chain, p.Digest)
	if err != nil {
		return true
	}
	r := c.newRun(run.Message, e.Homes.Now())
	defer r.release()
	r.Home = h
	r.watch(facts, h)
	if err = r.about(ctx, h); err == nil {
		err = r.recall(ctx, &run)
	}
	if err != nil {
		return true
	}
	run.Came = &awaited{Message: m}
	if r.at, err = r.resume(run, false); err != nil {
		return true
	}
	d := withDeadline(ctx, time.Now(), c.Limits.Time)
	defer d.stop()
	r.ctx = d
	outlet, err := r.looked(d, &c.steps[r.at])
	return err != nil || outlet != ""
}

// looked lets the running step look at the event that came.
func (r *Run) looked(ctx context.Context, s *step) (outlet string, err error) {
	defer r.catch(&err)
	if s.waker == nil {
		return r.wait.Wake, nil
	}
	return s.waker.Wake(ctx, r)
}

// awake does the step at which the run was parked, now that its event came. An
// event that is not the one after all leaves it waiting.
func (r *Run) awake(ctx context.Context, s *step) (string, error) {
	outlet, err := r.looked(ctx, s)
	r.came = nil
	switch {
	case outlet != "" || err != nil:
		return outlet, err
	case r.wait.At.After(r.Now):
		return r.Park(r.wait)
	}
	return r.wait.Outlet, nil
}

// Came is the message of the event for which the run was parked at the running
// step; nil while it has not come.
func (r *Run) Came() *ota.Message { return r.came }

// CameValue is [Run.Came] as expressions would see it: its members by name.
func (r *Run) CameValue() any {
	if r.came == nil {
		return nil
	}
	out := map[string]any{}
	r.asCame(func() {
		for name := range msgTypes[r.Msg.Event] {
			if get := msgMembers[name]; get != nil {
				out[name] = get(r)
			}
		}
	})
	return jsonForm(out)
}

// asCame calls f while the message that came stands in the place of the run's.
func (r *Run) asCame(f func()) {
	if r.came == nil {
		return
	}
	own := r.Msg
	r.Msg = *r.came
	defer func() { r.Msg = own }()
	f()
}

// cameFiller fills a slot from the message that came, which differs each time.
func cameFiller(get func(*Run) any, zero any) filler {
	return func(r *Run, i int32) error {
		var v any
		r.asCame(func() { v = get(r) })
		if v == nil {
			v = zero
		}
		r.put(i, v)
		return nil
	}
}
