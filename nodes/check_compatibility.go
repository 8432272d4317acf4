package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CheckCompatibilityConfig is the "with" of a check_compatibility step: it has
// no settings.
type CheckCompatibilityConfig struct{}

// CheckCompatibility defines check_compatibility, which says whether a device
// can take the package.
func CheckCompatibility() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "check_compatibility",
		Summary: "Says whether the device can take the package.",
		Doc:     "The package must be made for the device's profile, hold data or a URL, and not be in quarantine.",
		Subject: engine.Device,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{
			{Name: "compatible", Sets: []engine.Root{engine.ProofCompatible}, Doc: "it can"},
			{Name: "incompatible", Doc: "it cannot; `reason` says why"},
		},
		Outputs: []engine.Output{{Name: "reason", Type: engine.TextType, Doc: "why not; empty when it can"}},
		Example: `chain: example
summary: Queues a device whose package changed, or says why it is left out.
trigger: assigned
steps:
  - {node: resolve_package, to: {absent: end}}
  - {node: check_compatibility, to: {incompatible: skip}}
  - node: enqueue_update
branches:
  skip: [{node: skip_update, with: {reason: "${steps.check_compatibility.reason}"}}]
`,
	}, CheckCompatibilityConfig{}, func(CheckCompatibilityConfig) (engine.Node, error) { return checkCompatibility{}, nil })
}

type checkCompatibility struct{}

func (checkCompatibility) Process(_ context.Context, r *engine.Run) (string, error) {
	why := ota.CheckCompatible(r.Package, r.Device().Profile)
	r.Set("reason", why)
	if why != "" {
		return "incompatible", nil
	}
	return "compatible", nil
}
