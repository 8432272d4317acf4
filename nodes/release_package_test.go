package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestReleasePackage(t *testing.T) {
	const chain = "chain: free\nsummary: Frees packages.\ntrigger: package_added\nsteps: [{node: release_package, with: {reason: \"${package.version} was tested\"}}]\n"
	path := []string{"release_package released"}
	free := func(t *testing.T, w *world, _ engine.Trial) {
		t.Helper()
		if err := ota.CheckAssign(w.pkg(app12), tenant, ota.Firmware, profile); err != nil {
			t.Errorf("it cannot be assigned: %v", err)
		}
	}
	added := ota.Message{Event: ota.PackageAdded}
	facts(t, []fact{
		{"from quarantine", func(w *world) { w.pkg(app12).Quarantine = "bricks pumps" }, chain, added, path, nil, "", free},
		{"from none", nil, chain, added, path, nil, "", free},
	})
}
