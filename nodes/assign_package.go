package nodes

import (
	"context"
	"fmt"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// AssignPackageConfig is the "with" of an assign_package step.
type AssignPackageConfig struct {
	Package engine.Text `yaml:"package"`
	Target  engine.Text `yaml:"target"`
	Chain   engine.Text `yaml:"chain"`
	Args    engine.Map  `yaml:"args"`
}

// Validate refuses a package or a target that can name nothing.
func (c AssignPackageConfig) Validate() error {
	if v, ok := c.Package.Literal(); ok {
		if _, err := packageName(v); err != nil {
			return err
		}
	}
	if v, ok := c.Target.Literal(); ok {
		if _, _, err := targetName("assign package", v); err != nil {
			return err
		}
	}
	return nil
}

// AssignPackage defines assign_package, which assigns as an operator would.
func AssignPackage(w engine.Wisher) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "assign_package",
		Summary: "Assigns a package to a device or a profile, as an operator would.",
		Doc:     "The assignment counts at once and whatever else the run does. Assigning what is assigned already changes nothing.",
		Outlets: []engine.Outlet{
			{Name: "assigned"},
			{Name: "unchanged", MayEnd: true, Doc: "the target has the package already, with the same conductor"},
			{Name: "refused", Doc: "there is no such package or target, or they do not fit; `reason` says why"},
		},
		Fields: []engine.Field{
			{Key: "package", Doc: "The package: `title@version`.", Required: true},
			{Key: "target", Doc: "Who gets it: `device:NAME` or `profile:NAME`.", Required: true},
			{Key: "chain", Doc: "The chain that conducts the rollout; left out, the one configured."},
			{Key: "args", Doc: "Its params."},
		},
		Outputs: []engine.Output{
			{Name: "rollout", Type: engine.TextType, Doc: "the id of the rollout; empty where there is none"},
			{Name: "reason", Type: engine.TextType, Doc: "why it was refused"},
		},
		Writes: true,
		Example: `chain: example
summary: Gives a device the service tool when it asks for it.
trigger: rpc_requested
steps:
  - {node: filter, with: {if: msg.method == "fetchServiceTool"}, to: {rejected: unknown}}
  - {node: assign_package, name: tool, with: {package: tool@1.0, target: "device:${device.name}"}, to: {unchanged: next, refused: refused}}
  - {node: reply, with: {json: {ok: true}}}
branches:
  unknown: [{node: reply_error, with: {code: not_found, message: unknown method}}]
  refused: [{node: reply_error, with: {code: conflict, message: "${steps.tool.reason}"}}]
`,
	}, AssignPackageConfig{}, func(c AssignPackageConfig) (engine.Node, error) {
		return &assignPackage{c, w}, nil
	})
}

type assignPackage struct {
	AssignPackageConfig
	wishes engine.Wisher
}

func (n *assignPackage) Process(ctx context.Context, r *engine.Run) (string, error) {
	wish, err := n.wish(ctx, r)
	var done ota.WishDone
	if err == nil {
		key := fmt.Sprintf("assign %s to %s", wish.Package.ID, wish.Target)
		done, err = engine.Called(ctx, r, key, func() (ota.WishDone, error) { return n.wishes.Assign(ctx, wish) })
	}
	switch ota.CodeOf(err) {
	case "":
	case ota.Invalid, ota.NotFound, ota.Conflict:
		r.Set("rollout", "")
		r.Set("reason", err.Error())
		return "refused", nil
	default:
		return "", err
	}
	r.Set("rollout", string(done.Rollout))
	r.Set("reason", "")
	if !done.Changed {
		return "unchanged", nil
	}
	return "assigned", nil
}

func (n *assignPackage) wish(ctx context.Context, r *engine.Run) (ota.Wish, error) {
	w := ota.Wish{Tenant: r.Msg.Tenant, By: "chain:" + r.Chain().Name}
	pkg, err := n.Package.Get(r)
	if err != nil {
		return w, err
	}
	target, err := n.Target.Get(r)
	if err != nil {
		return w, err
	}
	if w.Chain, err = n.Chain.Get(r); err != nil {
		return w, err
	}
	if w.Args, err = n.Args.Get(r); err != nil {
		return w, err
	}
	if pkg, err = packageName(pkg); err != nil {
		return w, err
	}
	typ, name, err := targetName("assign package", target)
	if err != nil {
		return w, err
	}
	if w.Package, err = r.Facts.Find(ctx, w.Tenant, ota.PackageRef, pkg); err != nil {
		return w, err
	}
	w.Target, err = r.Facts.Find(ctx, w.Tenant, typ, name)
	return w, err
}

// packageName checks "title@version". A title may hold an @, a version may not.
func packageName(s string) (string, error) {
	if i := strings.LastIndexByte(s, '@'); i < 1 || i == len(s)-1 {
		return "", ota.Errorf(ota.Invalid, "assign package", "package is %q, want title@version", s)
	}
	return s, nil
}

// targetName takes "device:NAME" or "profile:NAME" apart.
func targetName(op, s string) (ota.RefType, string, error) {
	typ, name, ok := strings.Cut(s, ":")
	if t := ota.RefType(typ); ok && name != "" && (t == ota.DeviceRef || t == ota.ProfileRef) {
		return t, name, nil
	}
	return "", "", ota.Errorf(ota.Invalid, op, "target is %q, want device:NAME or profile:NAME", s)
}
