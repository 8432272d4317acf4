package chaintest

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// sleepers are devices that go on at a time.
type sleepers []sleeper

type sleeper struct {
	at  time.Time
	seq int
	a   *actor
	nap int
}

func (h sleepers) Len() int { return len(h) }
func (h sleepers) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h sleepers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *sleepers) Push(x any) { *h = append(*h, x.(sleeper)) } //nolint:forcetypeassert // ours alone

// Pop implements [heap.Interface].
func (h *sleepers) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// wake lets a device go on when what it waits for has come: at once where that
// is a push, or the end of its connection.
func (w *world) wake(a *actor) {
	at := a.nap.until
	if a.nap.push && (len(a.inbox) > 0 || a.broken || a.online && a.session == (ota.SessionID{})) {
		at = w.st.Now()
	}
	if a.next == nil || at.IsZero() {
		return
	}
	heap.Push(&w.sleep, sleeper{at, a.w.cw.tick(), a, a.asleep})
}

// awake takes the next device whose time has come.
func (w *world) awake(now time.Time) *actor {
	for len(w.sleep) > 0 && !w.sleep[0].at.After(now) {
		if x := heap.Pop(&w.sleep).(sleeper); x.a.asleep == x.nap { //nolint:forcetypeassert // ours alone
			return x.a
		}
	}
	return nil
}

// next is when something happens next; zero where nothing will.
func (w *world) next() time.Time {
	for len(w.sleep) > 0 && w.sleep[0].a.asleep != w.sleep[0].nap {
		heap.Pop(&w.sleep)
	}
	at := w.cw.next()
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if len(w.sleep) > 0 {
		sooner(w.sleep[0].at)
	}
	for _, k := range w.walks {
		sooner(k.at)
	}
	for _, p := range w.plans {
		sooner(p.at)
	}
	return at
}

// settle does all that happens at this moment.
func (w *world) settle() error {
	now := w.st.Now()
	for range maxTurns {
		if x, ok := w.cw.due(now); ok {
			w.due(x, now)
			continue
		}
		if offers := w.cw.offers(now, w.home); len(offers) > 0 {
			for _, c := range offers {
				w.offer(c)
			}
			continue
		}
		if o, ok := w.st.posted(); ok {
			w.deliver(o)
			continue
		}
		if r, ok := w.st.rung(); ok {
			w.ring(r)
			continue
		}
		if k := w.walking(now); k != nil {
			w.walkOn(k)
			continue
		}
		if p := w.planned(now); p != nil {
			w.carryOut(p)
			continue
		}
		if a := w.awake(now); a != nil {
			a.resume()
			continue
		}
		return w.ctx.Err()
	}
	return errStuck
}

// pass lets time go by, and what happens on the way happen at its moment, until
// enough says so or the time is over; it says which. Enough is asked at each
// moment at which anything happens, and each step, where that is not 0.
func (w *world) pass(d, step time.Duration, enough func() bool) (bool, error) {
	for until := w.st.Now().Add(d); ; {
		if err := w.settle(); err != nil {
			return false, err
		}
		if enough() {
			return true, nil
		}
		now := w.st.Now()
		if !now.Before(until) {
			return false, nil
		}
		at := w.next()
		if at.IsZero() || at.After(until) {
			at = until
		}
		if step > 0 && at.Sub(now) > step {
			at = now.Add(step)
		}
		w.st.move(at)
	}
}

func (w *world) home(r ota.Ref) *ota.Home {
	h, err := w.st.Get(w.ctx, r)
	if err != nil {
		return nil
	}
	return h
}

// due works one thing that is due. What cannot be done is tried again later.
func (w *world) due(x coming, now time.Time) {
	m := ota.Message{Event: ota.Due, Tenant: x.ref.Tenant, Key: x.entry.Key, Began: &ota.Origin{Key: x.entry.Key, Due: x.entry.At.UnixMilli()}}
	if x.ref.Type == ota.DeviceRef {
		m.Device = ota.DeviceID(x.ref.ID)
	} else {
		m.Home = x.ref
	}
	var err error
	if h := w.home(x.ref); h != nil && h.Job != nil && h.Work(x.entry.Key, now).What == ota.DueSpread {
		err = w.job(h)
	} else {
		_, err = w.eng.Handle(w.ctx, m)
		w.eng.Wait()
	}
	if err != nil {
		w.note(x.entry.Key + ": " + err.Error())
	}
	if w.cw.stands(x) {
		w.cw.again(x, now)
	}
}

// offer lets a queued update be offered.
func (w *world) offer(c called) {
	d := ota.DeviceID(c.ref.ID)
	m := ota.Message{Event: ota.OfferDue, Tenant: c.ref.Tenant, Device: d, Kind: c.kind, Began: &ota.Origin{Place: &ota.Place{Rollout: c.rollout, Kind: c.kind, Device: d, At: c.place}}}
	if _, err := w.eng.Handle(w.ctx, m); err != nil {
		w.note("offer: " + err.Error())
	}
	w.eng.Wait()
	w.cw.called(c, w.st.Now())
}

// job tells every device of a target what is in force now.
func (w *world) job(h *ota.Home) error {
	j := h.Job
	if j.Type == ota.JobBranch {
		return w.walkJob(h)
	}
	for _, d := range w.st.devices() {
		if d.Device.Profile != ota.ProfileID(j.Target.ID) {
			continue
		}
		_, err := w.eng.Handle(w.ctx, ota.Message{Event: ota.Decide, Tenant: tenant, Device: d.Device.ID, Kind: j.Kind, Cause: j.Cause, Revision: j.Revision})
		w.eng.Wait()
		if err != nil {
			w.note(d.Device.Name + ": decide: " + err.Error())
		}
	}
	is := h.Clone()
	is.Job.Spread = true
	for i := range ota.Shards {
		is.Job.End(i, 0, 0)
	}
	return w.st.Commit(w.ctx, &ota.Turn{ID: ota.NewTurnID(), Home: is, Was: h})
}
