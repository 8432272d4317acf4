package lwm2m

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// updater follows one kind on one client. Its methods are called by the jobs of
// the session alone, one after the other; what else runs puts jobs in line.
type updater struct {
	s *session
	o *object

	at       lwm2mwire.Path // the instance; have: there is one
	have     bool
	state    int64 // -1: unknown
	result   int64
	delivery int64
	name     string
	version  string

	target *ota.Package // what it is on its way to, or was last
	said   ota.State    // what the house was told last of this way
	began  bool         // bytes, or a URI, were written: states and results are about the target
	moving *transfer    // nil: nothing is
	over   time.Time    // when the house was told last that it has ended, well or not
	stale  int64        // a result that was there before the way began: it says nothing until the client has moved; 0: none

	fetched atomic.Int64 // when the client fetched last, in nanoseconds
	reached atomic.Int64 // and how far
}

func newUpdater(s *session, o *object) *updater {
	return &updater{s: s, o: o, state: -1, result: -1, delivery: -1}
}

// greet finds out where the client stands. What was under way, before it was
// away or before this process was there, is taken up.
func (u *updater) greet(ctx context.Context, d *ota.Device) {
	u.at, u.have = u.s.instance(u.o.id)
	u.resume(ctx, d)
	if !u.have {
		u.tellCurrent(ctx)
		return
	}
	u.refresh(ctx)
	for _, x := range []struct {
		resource uint16
		hear     func(context.Context, int64)
	}{{u.o.state, u.onState}, {u.o.result, u.onResult}} {
		_, err := u.s.observe(ctx, u.at.Below(x.resource), func(es []lwm2mwire.Entry) {
			if n, ok := first(es); ok {
				u.s.do(func(ctx context.Context) { x.hear(ctx, n) })
			}
		})
		if err != nil {
			u.s.t.log.Debug("a client does not notify", "device", u.s.ref.ID, "err", err)
		}
	}
	u.settle(ctx)
}

func first(es []lwm2mwire.Entry) (int64, bool) {
	if len(es) == 0 {
		return 0, false
	}
	return es[0].Value.Int()
}

// resume learns from the house what the client is on its way to.
func (u *updater) resume(ctx context.Context, d *ota.Device) {
	if u.target != nil || d == nil {
		return
	}
	x := d.Track(u.o.kind).Update
	if !x.Open() {
		return
	}
	h, err := u.s.t.d.Facts.Get(ctx, ota.Ref{Tenant: u.s.ref.Tenant, Type: ota.PackageRef, ID: string(x.Package)})
	if err != nil || h.Package == nil {
		return
	}
	u.target = h.Package
	if underWay(x.State) {
		u.said = x.State
	}
}

// refresh reads what the object says now.
func (u *updater) refresh(ctx context.Context) {
	u.name, u.version = "", ""
	es, err := u.s.read(ctx, u.at)
	if no := (*answerError)(nil); errors.As(err, &no) || err == nil && len(es) == 0 { // one by one, then
		for _, r := range []uint16{u.o.state, u.o.result, u.o.name, u.o.version, u.o.delivery} {
			if got, err := u.s.read(ctx, u.at.Below(r)); err == nil && (r != 0 || u.o.name == 0) {
				es = append(es, got...)
			}
		}
	}
	for _, e := range es {
		if e.Path.Depth < 3 {
			continue
		}
		switch r := e.Path.ID[2]; {
		case r == u.o.state:
			u.state = orUnknown(e.Value)
		case r == u.o.result:
			u.result = orUnknown(e.Value)
		case r == u.o.name:
			u.name, _ = e.Value.Text()
		case r == u.o.version:
			u.version, _ = e.Value.Text()
		case r == u.o.delivery && r != 0:
			u.delivery = orUnknown(e.Value)
		}
	}
}

func orUnknown(v lwm2mwire.Value) int64 {
	if i, ok := v.Int(); ok {
		return i
	}
	return -1
}

// tells is what the client tells of what it runs. Its object of updates may speak
// of what it has downloaded, or has failed to install.
func (u *updater) tells() told {
	var x told
	if u.o.kind == ota.Firmware {
		x.v3 = u.s.v3
	}
	if o := u.o.outcomeOf(u.result); u.o.states[u.state] == "" && o.state != ota.Failed {
		x.name, x.version = u.name, u.version
	}
	return x
}

func (u *updater) runs() (v ota.Version, known bool) {
	var target ota.Version
	if u.target != nil {
		target = u.target.Version
	}
	return u.tells().runs(target)
}

// current is what the client runs, as telemetry names it.
func (u *updater) current() map[string]any {
	p, m := u.o.kind.Prefix(), map[string]any{}
	if v, known := u.runs(); known {
		m["current_"+p+"_version"] = v.Version
		if v.Title != "" {
			m["current_"+p+"_title"] = v.Title
		}
	}
	return m
}

func (u *updater) tellCurrent(ctx context.Context) {
	if m := u.current(); len(m) > 0 {
		_ = u.s.tell(ctx, m) // it has said so in the log
	}
}

// atTarget says whether the client runs what it is on its way to.
func (u *updater) atTarget() bool {
	v, known := u.runs()
	return known && u.target != nil && v.Is(u.target.Version)
}

// settle takes up what was under way with a client that has just come.
func (u *updater) settle(ctx context.Context) {
	if st := u.o.states[u.state]; st != "" {
		u.say(ctx, st)
		return
	}
	o := u.o.outcomeOf(u.result)
	switch {
	case !underWay(u.said):
		u.tellCurrent(ctx)
	case u.atTarget():
		u.arrived(ctx, true)
	case o.state == ota.Failed:
		u.fail(ctx, u.o.word+" Result: "+u.o.resultName(u.result), o.again)
	case u.said == ota.Updating:
		u.arrived(ctx, true)
	default: // it has lost what it was at, and the offer is said to it again
		u.said = ""
		u.tellCurrent(ctx)
	}
}

// say tells the house how far the client is, each state once.
func (u *updater) say(ctx context.Context, st ota.State) {
	if st == "" || rank(st) <= rank(u.said) && underWay(u.said) {
		return
	}
	if st == ota.Verified && rank(u.said) < rank(ota.Downloaded) { // whoever waits for DOWNLOADED shall see it
		u.say(ctx, ota.Downloaded)
	}
	log := u.o.word + " State: " + u.o.stateName(u.state)
	if st == ota.Verified {
		log = u.o.word + " Result: " + u.o.resultName(u.result)
	}
	if u.s.tell(ctx, map[string]any{u.o.kind.Prefix() + "_state": st, "transportLog": log}) == nil {
		u.said = st
	}
}

// onState hears that the client has come to a state.
func (u *updater) onState(ctx context.Context, n int64) {
	u.state = n
	if !u.began && !underWay(u.said) { // it is of an update that has ended already
		return
	}
	if st := u.o.states[n]; st != "" {
		u.stale = 0
		u.say(ctx, st)
		if u.o.kind == ota.Software && n == u.o.downloaded { // it may have verified what it has
			if r, ok := u.readInt(ctx, u.o.result); ok && u.o.outcomeOf(r).state == ota.Verified {
				u.onResult(ctx, r)
			}
		}
		return
	}
	if u.moving != nil && u.moving.pushes {
		return
	}
	if now, ok := u.readInt(ctx, u.o.state); ok && now != n { // it was on its way for long, and the way has begun anew
		u.state = now
		u.say(ctx, u.o.states[now])
		return
	}
	if n, ok := u.readInt(ctx, u.o.result); ok {
		u.result = n
	}
	if u.stale != 0 && u.result == u.stale {
		return
	}
	switch o := u.o.outcomeOf(u.result); {
	case o.state == ota.Updated || o.state == ota.Failed:
		u.onResult(ctx, u.result)
	case u.said == ota.Updating || n == u.o.installed:
		u.arrived(ctx, false)
	case u.said == ota.Downloading:
		u.fail(ctx, "the client gave the download up: "+u.o.word+" State: "+u.o.stateName(n), false)
	}
}

func (u *updater) readInt(ctx context.Context, resource uint16) (int64, bool) {
	es, err := u.s.read(ctx, u.at.Below(resource))
	if err != nil {
		return 0, false
	}
	return first(es)
}

// onResult hears how it went.
func (u *updater) onResult(ctx context.Context, n int64) {
	u.result = n
	if !u.began && !underWay(u.said) || n != 0 && n == u.stale { // of an update before
		return
	}
	u.stale = 0
	switch o := u.o.outcomeOf(n); o.state {
	case ota.Updated:
		u.arrived(ctx, false)
	case ota.Failed:
		if now, ok := u.readInt(ctx, u.o.result); ok && now != n { // as above
			u.result = now
			return
		}
		u.fail(ctx, u.o.word+" Result: "+u.o.resultName(n), o.again)
	case ota.Downloading, ota.Verified:
		u.say(ctx, o.state)
	}
}

// arrived tells that the client is done, and what it runs. One that has not
// restarted since may run something else still: it is asked once more a little
// later.
func (u *updater) arrived(ctx context.Context, restarted bool) {
	u.stop()
	u.s.readVersion(ctx)
	u.refresh(ctx)
	m := map[string]any{u.o.kind.Prefix() + "_state": ota.Updated, "transportLog": u.o.word + " Result: " + u.o.resultName(u.result)}
	sure := restarted || u.atTarget()
	if sure {
		for k, v := range u.current() {
			m[k] = v
		}
	}
	u.said, u.began, u.over = ota.Updated, false, time.Now()
	_ = u.s.tell(ctx, m) // it has said so in the log
	if sure {
		return
	}
	u.s.later(u.s.t.c.Settle, func(ctx context.Context) {
		u.s.readVersion(ctx)
		u.refresh(ctx)
		u.tellCurrent(ctx)
	})
}

// fail tells that the client, or the way to it, has failed. again says that
// another try may help; whether there is one is for a chain.
func (u *updater) fail(ctx context.Context, text string, again bool) {
	u.stop()
	u.said, u.began, u.over = ota.Failed, false, time.Now()
	p := u.o.kind.Prefix()
	m := map[string]any{p + "_state": ota.Failed, p + "_error": text, "transportLog": text}
	if again {
		m["transportRetry"] = true
	}
	_ = u.s.tell(ctx, m) // it has said so in the log
}
