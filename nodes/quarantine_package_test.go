package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestQuarantinePackage(t *testing.T) {
	chain := func(reason string) string {
		return "chain: hold\nsummary: Holds packages back.\ntrigger: package_added\nsteps: [{node: quarantine_package, with: {reason: \"" + reason + "\"}}]\n"
	}
	path := []string{"quarantine_package blocked"}
	because := func(want string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			t.Helper()
			same(t, "quarantine", w.pkg(app12).Quarantine, want)
			if err := ota.CheckAssign(w.pkg(app12), tenant, ota.Firmware, profile); ota.CodeOf(err) != ota.Invalid {
				t.Errorf("it can be assigned: %v", err)
			}
		}
	}
	added := ota.Message{Event: ota.PackageAdded}
	facts(t, []fact{
		{"blocked", nil, chain("${package.version} is not signed"), added, path, nil, "", because("1.2 is not signed")},
		{"without a word", nil, chain("${package.description}"), added, path, nil, "", because("no reason was given")},
	})
}
