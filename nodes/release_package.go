package nodes

import (
	"context"
	"log/slog"

	"github.com/windlass-ota/windlass/engine"
)

// ReleasePackageConfig is the "with" of a release_package step.
type ReleasePackageConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// ReleasePackage defines release_package, which lets a package be assigned again.
func ReleasePackage(l *slog.Logger) engine.Factory {
	l = orNoLog(l)
	return engine.Define(engine.Spec{
		Name:    "release_package",
		Summary: "Takes the package out of quarantine.",
		Doc:     "A package that is in none is left as it is.",
		Subject: engine.PackageSubject,
		Outlets: []engine.Outlet{{Name: "released"}},
		Fields:  []engine.Field{{Key: "reason", Doc: "Why, for the server's log."}},
		Writes:  true,
		Example: `chain: example
summary: Trusts what the build server has labelled as tested.
trigger: package_added
steps:
  - {node: quarantine_package, with: {reason: not tested yet}}
  - {node: filter, with: {if: package.labels.tested == "yes"}}
  - {node: release_package, with: {reason: the build server has tested it}}
`,
	}, ReleasePackageConfig{}, func(c ReleasePackageConfig) (engine.Node, error) { return &releasePackage{c.Reason, l}, nil })
}

type releasePackage struct {
	reason engine.Text
	log    *slog.Logger
}

func (n *releasePackage) Process(_ context.Context, r *engine.Run) (string, error) {
	p, err := homePackage(r, "release package")
	if err != nil {
		return "", err
	}
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	if was := p.Quarantine; was != "" {
		name, chain := p.Version.String(), r.Chain().Name
		r.After(func() {
			n.log.Info("a package was released", "package", name, "chain", chain, "reason", reason, "was", was)
		})
	}
	p.Quarantine = ""
	return "released", nil
}
