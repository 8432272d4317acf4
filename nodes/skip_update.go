package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
)

// SkipUpdateConfig is the "with" of a skip_update step.
type SkipUpdateConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// SkipUpdate defines skip_update, which leaves a device out.
func SkipUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "skip_update",
		Summary: "Records why the device does not get the package, and ends the run.",
		Doc:     "An update that is still open, to what the device should have had before, is closed: that is not in force any more.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Sets:    []engine.Root{engine.ProofSettled},
		Fields:  []engine.Field{{Key: "reason", Doc: docReason, Required: true}},
		Writes:  true,
		Example: `chain: example
summary: Leaves devices of one site out.
trigger: assigned
fields: {server: {site: text}}
steps:
  - {node: resolve_package, to: {absent: end}}
  - {node: filter, with: {if: device.attributes.server.site == "museum"}, to: {rejected: queue}}
  - {node: skip_update, with: {reason: "devices of ${device.attributes.server.site} stay as they are"}}
branches:
  queue:
    - {node: check_compatibility, to: {incompatible: end}}
    - node: enqueue_update
`,
	}, SkipUpdateConfig{}, func(c SkipUpdateConfig) (engine.Node, error) { return &skipUpdate{c.Reason}, nil })
}

type skipUpdate struct{ reason engine.Text }

func (n *skipUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	if reason == "" { // "" would say that it was not skipped
		reason = "left out"
	}
	t := r.Track(r.Package.Kind)
	follow(r, t)
	t.Cancel()
	t.Skipped = reason
	return "", nil
}
