package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// QuarantinePackageConfig is the "with" of a quarantine_package step.
type QuarantinePackageConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// QuarantinePackage defines quarantine_package, which keeps a package from being
// assigned.
func QuarantinePackage() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "quarantine_package",
		Summary: "Keeps the package from being assigned until it is released.",
		Doc:     "Devices that have been offered it already are left alone.",
		Subject: engine.PackageSubject,
		Outlets: []engine.Outlet{{Name: "blocked"}},
		Fields:  []engine.Field{{Key: "reason", Doc: "Why, in words for people; whoever tries to assign it reads this.", Required: true}},
		Writes:  true,
		Example: `chain: example
summary: Lets packages without a checksum wait for somebody's word.
trigger: package_added
steps:
  - {node: filter, with: {if: package.checksum == ""}}
  - {node: quarantine_package, with: {reason: it has no checksum}}
`,
	}, QuarantinePackageConfig{}, func(c QuarantinePackageConfig) (engine.Node, error) { return &quarantinePackage{c.Reason}, nil })
}

type quarantinePackage struct{ reason engine.Text }

func (n *quarantinePackage) Process(_ context.Context, r *engine.Run) (string, error) {
	p, err := homePackage(r, "quarantine package")
	if err != nil {
		return "", err
	}
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	if reason == "" { // "" would say that it may be assigned
		reason = "no reason was given"
	}
	p.Quarantine = clip(reason)
	return "blocked", nil
}

// homePackage is the package that the run is about.
func homePackage(r *engine.Run, op string) (*ota.Package, error) {
	if r.Home == nil || r.Home.Package == nil {
		return nil, ota.Errorf(ota.Internal, op, "the run is not about a package")
	}
	return r.Home.Package, nil
}
