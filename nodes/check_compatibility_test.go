package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestCheckCompatibility(t *testing.T) {
	assigned := ota.Message{Event: ota.Assigned, Kind: ota.Firmware}
	left := func(reason string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) { same(t, "skipped", w.firmware().Skipped, reason) }
	}
	with := func(change func(p *ota.Package)) func(*world) {
		return func(w *world) {
			w.assign(app12)
			change(w.pkg(app12))
		}
	}
	path := []string{"resolve_package found", "check_compatibility incompatible", "skip.skip_update"}
	facts(t, []fact{
		{"in quarantine", with(func(p *ota.Package) { p.Quarantine = "bricks pumps" }), "assign", assigned, path, nil, "", left("app@1.2 is in quarantine: bricks pumps")},
		{"for another profile", with(func(p *ota.Package) { p.Profile = "profile-valve" }), "assign", assigned, path, nil, "", left("app@1.2 is made for another device profile")},
		{"without data", with(func(p *ota.Package) { p.Blob = "" }), "assign", assigned, path, nil, "", left("app@1.2 has neither data nor a URL")},
		{
			"a URL is enough", with(func(p *ota.Package) { p.Blob, p.URL = "", "https://example.com/app" }), "assign", assigned,
			[]string{"resolve_package found", "check_compatibility compatible", "enqueue_update queued"}, nil, "", left(""),
		},
	})
}
