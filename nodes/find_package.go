package nodes

import (
	"context"
	"errors"
	"fmt"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// FindPackageConfig is the "with" of a find_package step.
type FindPackageConfig struct {
	Title   engine.Text `yaml:"title"`
	Kind    engine.Kind `yaml:"kind"`
	Profile engine.Text `yaml:"profile"`
	Range   engine.Text `yaml:"range"`
}

// Validate refuses what is no range.
func (c FindPackageConfig) Validate() error { return validRange(c.Range) }

// FindPackage defines find_package, which finds a package by what it is called.
func FindPackage(l engine.Lister) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "find_package",
		Summary: "Finds the newest version of a package within a range.",
		Doc: "Packages that nobody may assign, since they are being checked or are in quarantine, are passed over. " +
			"Behind it `package` is the one found, whatever is assigned to the device.",
		Outlets: []engine.Outlet{
			{Name: "found", Sets: []engine.Root{engine.RootPackage}, Doc: "`package` is set"},
			{Name: "absent", Doc: "there is none"},
		},
		Fields: []engine.Field{
			{Key: "title", Doc: "Its title.", Required: true},
			{Key: "kind", Doc: "Firmware or software.", Required: true},
			{Key: "profile", Doc: "The profile that it must be made for. Left out, that of the run's device; where the run has none, any."},
			{Key: "range", Doc: docRange},
		},
		Example: `chain: example
summary: Gives each new pump the latest app of the first line.
trigger: {event: connected, profiles: [pump]}
steps:
  - {node: find_package, with: {title: app, kind: firmware, range: 1.x}, to: {absent: end}}
  - {node: assign_package, with: {package: "${package.title}@${package.version}", target: "device:${device.name}"}, to: {refused: end}}
`,
	}, FindPackageConfig{Range: engine.Lit("*")}, func(c FindPackageConfig) (engine.Node, error) { return &findPackage{c, l}, nil })
}

type findPackage struct {
	FindPackageConfig
	lister engine.Lister
}

// wantedPackage is what find_package looks for.
type wantedPackage struct {
	title, ranges string
	kind          ota.Kind
	profile       ota.ProfileID // "": any
}

func (n *findPackage) Process(ctx context.Context, r *engine.Run) (string, error) {
	w, err := n.wanted(ctx, r)
	if ota.CodeOf(err) == ota.NotFound {
		return "absent", nil // nothing is made for a profile that does not exist
	}
	if err != nil {
		return "", err
	}
	key := fmt.Sprintf("newest of %s, %s, %s, %s", w.title, w.kind, w.ranges, w.profile)
	pkg, err := engine.Called(ctx, r, key, func() (*ota.Package, error) { return n.newest(ctx, r.Msg.Tenant, w) })
	if err != nil || pkg == nil {
		return "absent", err
	}
	use(r, pkg, nil)
	return "found", nil
}

func (n *findPackage) wanted(ctx context.Context, r *engine.Run) (w wantedPackage, err error) {
	if w.title, err = n.Title.Get(r); err != nil {
		return w, err
	}
	if w.kind, err = n.Kind.Get(r); err != nil {
		return w, err
	}
	if w.ranges, err = n.Range.Get(r); err != nil {
		return w, err
	}
	if err := engine.CheckVersions(w.ranges); err != nil {
		return w, ota.Errorf(ota.Invalid, "find package", "range %w", err)
	}
	profile, err := n.Profile.Get(r)
	if err != nil {
		return w, err
	}
	if profile != "" {
		ref, err := r.Facts.Find(ctx, r.Msg.Tenant, ota.ProfileRef, profile)
		w.profile = ota.ProfileID(ref.ID)
		return w, err
	}
	if p := r.Profile(); p != nil {
		w.profile = p.ID
	}
	return w, nil
}

// newest looks through all versions of a title; nil is none.
func (n *findPackage) newest(ctx context.Context, t ota.TenantID, w wantedPackage) (best *ota.Package, err error) {
	if n.lister == nil {
		return nil, errors.New("find package: there is nowhere to look")
	}
	q := ota.Query{Tenant: t, Type: ota.PackageRef, Prefix: w.title + "@", Limit: 200}
	for {
		page, err := n.lister.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, h := range page.Homes {
			in, err := w.takes(h.Package)
			if err != nil {
				return nil, err
			}
			if in && (best == nil || engine.CompareVersions(h.Package.Version.Version, best.Version.Version) > 0) {
				best = h.Package
			}
		}
		if page.Next == "" {
			return best, nil
		}
		q.Cursor = page.Next
	}
}

func (w *wantedPackage) takes(p *ota.Package) (bool, error) {
	if p.Title != w.title || p.Kind != w.kind || w.profile != "" && p.Profile != w.profile || !p.Ready || p.Quarantine != "" {
		return false, nil
	}
	return engine.VersionIn(p.Version.Version, w.ranges)
}
