package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestOfferUpdate(t *testing.T) {
	due := ota.Message{Event: ota.OfferDue, Kind: ota.Firmware}
	given := func(w *world) {
		w.assign(app12)
		w.rollout().Quota, w.rollout().Mark = 1, 1
		w.queue(app12)
	}
	path := []string{"check_offer due", "admit_update admitted", "offer_update offered"}
	offered := func(timeout time.Duration) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "moved", moved(u), "QUEUED INITIATED")
			same(t, "deadline", u.Deadline(), start.Add(timeout))
			same(t, "on offer", w.firmware().Offer, ota.Offer{Package: app12, At: start})
		}
	}
	facts(t, []fact{
		{"all keys in one push, after those of a richer offer too", func(w *world) {
			given(w)
			w.pkg(app12).Tag, w.pkg(app12).Checksum = "", ""
			w.firmware().Offer.Package = app11
		}, "offer", due, path, []string{`push offer {"fw_title":"app","fw_version":"1.2","fw_size":10}`}, "", offered(24 * time.Hour)},
		{"a URL", func(w *world) {
			given(w)
			p := w.pkg(app12)
			p.Blob, p.Size, p.Checksum, p.URL = "", 0, "", "https://example.com/a?b=1&c=2"
		}, "offer", due, path, []string{`push offer {"fw_title":"app","fw_version":"1.2","fw_tag":"app 1.2","fw_url":"https://example.com/a?b=1&c=2"}`}, "", offered(24 * time.Hour)},
		{"without a push", given, "offer_quietly", due, path, nil, "", offered(4 * time.Hour)},
	})
}
