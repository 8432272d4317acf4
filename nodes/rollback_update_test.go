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

// TestRollbackStory goes the whole way: a failed update, the way back by an
// assignment of the device's own, and no second way back.
func TestRollbackStory(t *testing.T) {
	h := newHouse(t, "dev-1")
	back := engine.Source{Name: "back.yaml", Data: []byte(`chain: back
summary: Goes back to the version before when an update has failed, once.
trigger: {event: update_finished, kind: firmware}
steps:
  - {node: filter, with: {if: msg.state == "FAILED" and update.cause != "rollback"}}
  - {node: rollback_update, to: {absent: end}}
`)}
	set, err := compile(t, engine.Deps{}, append(shipped(t), back))
	if err != nil {
		t.Fatal(err)
	}
	h.engine.Use(set)
	h.connect("dev-1")
	h.report("dev-1", `{"current_fw_title":"app","current_fw_version":"1.1"}`)
	h.assign(ref(ota.ProfileRef, string(profile)), app12)
	h.report("dev-1", `{"fw_state":"DOWNLOADING"}`, `{"fw_state":"UPDATING"}`, `{"current_fw_version":"1.2"}`)
	same(t, "after the update", h.stands("dev-1"), []string{"dev-1: app@1.2 UPDATED"})

	h.assign(ref(ota.ProfileRef, string(profile)), app13)
	h.report("dev-1", `{"fw_state":"DOWNLOADING"}`, `{"fw_state":"FAILED","fw_error":"broken"}`)
	u := h.track("dev-1").Update
	same(t, "after the failure", h.stands("dev-1"), []string{"dev-1: app@1.2 UPDATED"})
	same(t, "why", u.Cause, "rollback")
	if a := h.track("dev-1").Assigned; a == nil || a.Package != app12 || a.By != "chain:back" {
		t.Errorf("assigned is %+v", a)
	}
}
