package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ResolvePackageConfig is the "with" of a resolve_package step.
type ResolvePackageConfig struct {
	Kind engine.Kind `yaml:"kind"`
	Pin  engine.Bool `yaml:"pin"`
}

// ResolvePackage defines resolve_package, which finds the package that a device
// should have.
func ResolvePackage() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "resolve_package",
		Summary: "Finds the package that is in force for the device: its own assignment, else its profile's.",
		Doc: "With `pin`, for a download, it is the package that the device's session is bound to, so that a download keeps its package; else the one on offer. " +
			"Where none is on offer it is the one in force, provided that its rollout takes no permits (a closed door cannot be walked round by asking), else the one offered before.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "found", Sets: []engine.Root{engine.RootPackage}, Doc: "`package` is set"},
			{Name: "absent", Doc: "nothing is assigned"},
		},
		Fields: []engine.Field{
			{Key: "kind", Doc: docKind},
			{Key: "pin", Doc: "For a download: stay with what the device has been offered."},
		},
		Outputs: []engine.Output{{Name: "assigned_by", Type: engine.TextType, Doc: "`device` or `profile`; empty where the package is not the one in force now"}},
		Example: `chain: example
summary: Says which package is in force for a device that connects.
trigger: connected
steps:
  - {node: resolve_package, with: {kind: firmware}, to: {absent: end}}
  - {node: log, with: {message: "${package.title} ${package.version}, by ${steps.resolve_package.assigned_by}"}}
`,
	}, ResolvePackageConfig{Pin: engine.Lit(false)}, func(c ResolvePackageConfig) (engine.Node, error) {
		return &resolvePackage{kind: c.Kind, pin: c.Pin}, nil
	})
}

type resolvePackage struct {
	kind engine.Kind
	pin  engine.Bool
}

func (n *resolvePackage) Process(ctx context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.kind)
	if err != nil {
		return "", err
	}
	pin, err := n.pin.Get(r)
	if err != nil {
		return "", err
	}
	eff := ota.FindEffective(r.Device(), r.Profile(), k)
	pkg, err := chosen(ctx, r, k, eff, pin)
	if err != nil || pkg == nil {
		return "absent", err
	}
	if eff != nil && eff.Package != pkg.ID {
		eff = nil
	}
	use(r, pkg, eff)
	if u := r.Track(k).Update; eff == nil && u != nil && u.Package == pkg.ID {
		r.By = u.Rollout
	}
	if r.Wanted("assigned_by") {
		by := ""
		if eff != nil {
			by = eff.Source.String()
		}
		r.Set("assigned_by", by)
	}
	return "found", nil
}

// chosen is the package to use: the one in force, or for a download the one
// that the device may fetch. It is nil where there is none.
func chosen(ctx context.Context, r *engine.Run, k ota.Kind, eff *ota.Effective, pin bool) (*ota.Package, error) {
	if !pin {
		if eff == nil {
			return nil, nil
		}
		return packageOf(ctx, r, eff.Package)
	}
	if r.Msg.Bound != "" {
		pkg, err := packageOf(ctx, r, r.Msg.Bound)
		if err != nil || pkg != nil && pkg.Kind == k {
			return pkg, err
		}
	}
	id, err := fetchable(ctx, r, r.Track(k), eff)
	if err != nil {
		return nil, err
	}
	return packageOf(ctx, r, id)
}

// fetchable is what a device may fetch that is bound to nothing.
func fetchable(ctx context.Context, r *engine.Run, t *ota.Track, eff *ota.Effective) (ota.PackageID, error) {
	switch u := t.Update; {
	case u.Open() && u.Offered && t.Offer.Package != "":
		return t.Offer.Package, nil
	case eff == nil:
		return "", nil
	case eff.Rollout == "" || eff.Package == t.Offer.Package:
		return eff.Package, nil
	}
	ro, err := rolloutOf(ctx, r, eff.Rollout)
	if err != nil {
		return "", err
	}
	if ro != nil && !ro.Permits {
		return eff.Package, nil
	}
	return t.Offer.Package, nil
}
