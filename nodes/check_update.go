package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CheckUpdateConfig is the "with" of a check_update step.
type CheckUpdateConfig struct {
	Kind engine.Kind `yaml:"kind"`
}

// CheckUpdate defines check_update, which says where a device stands between
// what it should run and what it runs.
func CheckUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "check_update",
		Summary: "Compares the package in force, the open update and the device's last report.",
		Subject: engine.Device,
		NoMain:  true,
		Outlets: []engine.Outlet{
			{Name: "queued", Sets: []engine.Root{engine.RootUpdate}, Doc: "its update waits for its turn"},
			{Name: "offered", Sets: []engine.Root{engine.RootUpdate}, Doc: "its update has been offered and is not over"},
			{Name: "outdated", Sets: []engine.Root{engine.RootPackage}, Doc: "it should have a package that it neither runs nor is on the way to"},
			{Name: "settled", Doc: "it runs what it should, or what it should run has failed or left it out, or nothing is in force"},
		},
		Fields: []engine.Field{{Key: "kind", Doc: docKind}},
		Example: `chain: example
summary: Repeats the offer to a device that connects.
trigger: connected
steps:
  - {node: check_update, with: {kind: firmware}, to: {offered: again, queued: end, outdated: end, settled: end}}
branches:
  again: [{node: push_offer}]
`,
	}, CheckUpdateConfig{}, func(c CheckUpdateConfig) (engine.Node, error) { return &checkUpdate{c.Kind}, nil })
}

type checkUpdate struct{ kind engine.Kind }

func (n *checkUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.kind)
	if err != nil {
		return "", err
	}
	r.Concern(k)
	t := r.Track(k)
	eff := ota.FindEffective(r.Device(), r.Profile(), k)
	if eff == nil {
		return "settled", nil
	}
	if u := t.Update; u.Open() && u.Package == eff.Package {
		if u.State == ota.Queued {
			return "queued", nil
		}
		return "offered", nil
	}
	pkg, err := packageOf(ctx, r, eff.Package)
	if err != nil {
		return "", err
	}
	if pkg == nil || !t.Update.Open() && settled(t, eff, pkg) {
		return "settled", nil
	}
	use(r, pkg, eff)
	return "outdated", nil
}

// settled says whether a device with no open update is done with the package
// that is in force.
func settled(t *ota.Track, eff *ota.Effective, pkg *ota.Package) bool {
	if t.Reported.Is(pkg.Version) {
		return true
	}
	if u := t.Update; u != nil && u.Closed == "" && u.State.Final() && u.Package == eff.Package && u.Rollout == eff.Rollout {
		return true
	}
	return t.Skipped != "" && t.Followed.Package == eff.Package && t.Followed.Rollout == eff.Rollout
}
