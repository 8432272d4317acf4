package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestCheckOffer(t *testing.T) {
	due := ota.Message{Event: ota.OfferDue, Kind: ota.Firmware}
	open := func(change func(w *world)) func(*world) {
		return func(w *world) {
			w.assign(app12)
			w.rollout().Quota, w.rollout().Mark = 1, 1
			w.queue(app12)
			change(w)
		}
	}
	stale := []string{"check_offer stale"}
	facts(t, []fact{
		{
			"due", open(func(*world) {}), "offer", due,
			[]string{"check_offer due", "admit_update admitted", "offer_update offered"}, []string{"push " + offer12}, "", nil,
		},
		{"another is in force", open(func(w *world) { w.assign(app11) }), "offer", due, stale, nil, "", nil},
		{"nothing is in force", open(func(w *world) { w.profile().Firmware = nil }), "offer", due, stale, nil, "", nil},
		{"in force by another rollout", open(func(w *world) { w.profile().Firmware.Rollout = "rollout-2" }), "offer", due, stale, nil, "", nil},
		{"offered already", open(func(w *world) { _ = w.firmware().Initiate(time.Hour, start) }), "offer", due, stale, nil, "", nil},
		{"held until later", open(func(w *world) { w.firmware().Hold(start.Add(time.Hour), "night") }), "offer", due, stale, nil, "", nil},
		{"out of the line", open(func(w *world) { w.firmware().Update.Away = true }), "offer", due, stale, nil, "", nil},
		{"closed", open(func(w *world) { w.firmware().Cancel() }), "offer", due, stale, nil, "", nil},
	})
}
