package nodes

import (
	"context"
	"fmt"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// UnassignPackageConfig is the "with" of an unassign_package step.
type UnassignPackageConfig struct {
	Kind   engine.Kind `yaml:"kind"`
	Target engine.Text `yaml:"target"`
}

// Validate refuses a target that can name nothing.
func (c UnassignPackageConfig) Validate() error {
	if v, ok := c.Target.Literal(); ok {
		if _, _, err := targetName("unassign package", v); err != nil {
			return err
		}
	}
	return nil
}

// UnassignPackage defines unassign_package, which takes an assignment away as an
// operator would.
func UnassignPackage(w engine.Wisher) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "unassign_package",
		Summary: "Takes the package of a device or a profile away, as an operator would.",
		Doc:     "It counts at once and whatever else the run does. What the devices follow then is what else is assigned to them, if anything. A target that does not exist is an error `not_found`.",
		Outlets: []engine.Outlet{
			{Name: "unassigned"},
			{Name: "absent", MayEnd: true, Doc: "nothing of that kind was assigned to the target itself"},
		},
		Fields: []engine.Field{
			{Key: "kind", Doc: docKind},
			{Key: "target", Doc: "From whom: `device:NAME` or `profile:NAME`.", Required: true},
		},
		Writes: true,
		Example: `chain: example
summary: Lets a device follow its profile again when its own update is done.
trigger: update_finished
steps:
  - {node: filter, with: {if: msg.state == "UPDATED"}}
  - {node: unassign_package, with: {target: "device:${device.name}"}}
`,
	}, UnassignPackageConfig{}, func(c UnassignPackageConfig) (engine.Node, error) { return &unassignPackage{c, w}, nil })
}

type unassignPackage struct {
	UnassignPackageConfig
	wishes engine.Wisher
}

func (n *unassignPackage) Process(ctx context.Context, r *engine.Run) (string, error) {
	w := ota.Wish{Tenant: r.Msg.Tenant, By: "chain:" + r.Chain().Name}
	var err error
	if w.Kind, err = kindOf(r, n.Kind); err != nil {
		return "", err
	}
	target, err := n.Target.Get(r)
	if err != nil {
		return "", err
	}
	typ, name, err := targetName("unassign package", target)
	if err != nil {
		return "", err
	}
	if w.Target, err = r.Facts.Find(ctx, w.Tenant, typ, name); err != nil {
		return "", err
	}
	key := fmt.Sprintf("unassign %s of %s", w.Kind, w.Target)
	done, err := engine.Called(ctx, r, key, func() (ota.WishDone, error) { return n.wishes.Unassign(ctx, w) })
	switch {
	case err != nil:
		return "", err
	case done.Changed:
		return "unassigned", nil
	}
	return "absent", nil
}
