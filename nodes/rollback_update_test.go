package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestRollbackUpdate(t *testing.T) {
	const chain = `chain: back
summary: Goes back.
trigger: update_finished
steps:
  - {node: rollback_update, name: to, with: {cause: "${msg.state == 'FAILED' ? 'failed' : 'rollback'}"}, to: {absent: no}}
  - {node: raise_alarm, with: {key: back, message: "back to ${steps.to.package}"}}
branches:
  no: [{node: raise_alarm, with: {key: back, message: "no way back${steps.to.package}"}}]
`
	failed := ota.Message{Event: ota.UpdateFinished, Kind: ota.Firmware, State: ota.Failed}
	from := func(v ota.Version) func(*world) {
		return func(w *world) {
			w.offer(app12).From = v
			w.firmware().Fail("broken", false, start)
		}
	}
	was := from(ota.Version{Title: "app", Version: "1.1"})
	with := func(given, change func(w *world)) func(*world) {
		return func(w *world) {
			given(w)
			change(w)
		}
	}
	assigned, absent := []string{"to assigned", "raise_alarm raised"}, []string{"to absent", "no.raise_alarm raised"}
	back := func(cause string, pending int) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, r engine.Trial) {
			t.Helper()
			a := w.firmware().Assigned
			if a == nil || a.Package != app11 || a.Cause != cause {
				t.Errorf("assigned is %+v", a)
			}
			events := []string{}
			for _, p := range r.Home.Pending {
				events = append(events, string(p.Event)+" "+string(p.Kind)+" "+p.Cause)
			}
			same(t, "to itself", events, []string{"decide firmware " + cause}[:pending])
			same(t, "alarm", r.Home.Alarms[0].Message, "back to app@1.1")
		}
	}
	stays := func(t *testing.T, w *world, r engine.Trial) {
		t.Helper()
		if a := w.firmware().Assigned; a != nil || len(r.Home.Pending) > 0 {
			t.Errorf("assigned is %+v, to itself %+v", a, r.Home.Pending)
		}
		same(t, "alarm", r.Home.Alarms[0].Message, "no way back")
	}
	facts(t, []fact{
		{"to what it ran", was, chain, failed, assigned, nil, "", back("failed", 1)},
		{"a device that names only its version", from(ota.Version{Version: "1.1"}), chain, failed, assigned, nil, "", back("failed", 1)},
		{"assigned already", with(was, func(w *world) { w.firmware().Assigned = &ota.Assignment{Package: app11, Cause: "mine"} }), chain, failed, assigned, nil, "", back("mine", 0)},
		{"nobody knows what it ran", from(ota.Version{}), chain, failed, absent, nil, "", stays},
		{"it ran the target", from(ota.Version{Title: "app", Version: "1.2"}), chain, failed, absent, nil, "", stays},
		{"there is no such package", from(ota.Version{Title: "app", Version: "1.0"}), chain, failed, absent, nil, "", stays},
		{"it is in quarantine", with(was, func(w *world) { w.pkg(app11).Quarantine = "bricks pumps" }), chain, failed, absent, nil, "", stays},
		{"it is for another profile", with(was, func(w *world) { w.pkg(app11).Profile = "profile-valve" }), chain, failed, absent, nil, "", stays},
		{"it is software", with(was, func(w *world) { w.pkg(app11).Kind = ota.Software }), chain, failed, absent, nil, "", stays},
		{"no update", nil, chain, failed, []string{"to error"}, nil, ota.Conflict, nil},
	})
}
