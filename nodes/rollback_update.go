package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RollbackUpdateConfig is the "with" of a rollback_update step.
type RollbackUpdateConfig struct {
	Cause engine.Text `yaml:"cause"`
}

// RollbackUpdate defines rollback_update, which gives a device back what it ran.
func RollbackUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "rollback_update",
		Summary: "Assigns to this device alone the version that it ran before the update.",
		Doc: "That is what the device reported when the update began. The assignment is the device's own and wins over those of its profile until it is taken away; " +
			"it comes to be an update of its own by the event `assigned`, whose `msg.cause` tells the two apart. The update at hand stays as it is: fail or cancel it first where it is open.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "assigned"},
			{Name: "absent", Doc: "the device reported no other version, or there is no package of it that the device can have"},
		},
		Fields:  []engine.Field{{Key: "cause", Doc: "Why, in one word; `msg.cause` and `update.cause` of what follows."}},
		Outputs: []engine.Output{{Name: "package", Type: engine.TextType, Doc: "what is assigned now, as `title@version`; empty where nothing is"}},
		Writes:  true,
		Example: `chain: example
summary: Goes back to the version before when an update of firmware has failed, once.
trigger: {event: update_finished, kind: firmware}
steps:
  - {node: filter, with: {if: msg.state == "FAILED" and update.cause != "rollback"}}
  - {node: rollback_update, to: {absent: alone}}
branches:
  alone: [{node: raise_alarm, with: {key: no way back, severity: critical, message: "${device.name} has failed and ran nothing that is known"}}]
`,
	}, RollbackUpdateConfig{Cause: engine.Lit("rollback")}, func(c RollbackUpdateConfig) (engine.Node, error) {
		return &rollbackUpdate{c.Cause}, nil
	})
}

type rollbackUpdate struct{ cause engine.Text }

func (n *rollbackUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
	u := r.Update()
	if u == nil {
		return "", ota.Errorf(ota.Conflict, "roll back update", "there is no update")
	}
	cause, err := n.cause.Get(r)
	if err != nil {
		return "", err
	}
	r.Set("package", "")
	pkg, err := before(ctx, r, u)
	if err != nil || pkg == nil {
		return "absent", err
	}
	r.Set("package", pkg.Version.String())
	t := r.Track(u.Kind)
	if a := t.Assigned; a != nil && a.Package == pkg.ID {
		return "assigned", nil
	}
	cause = clip(cause)
	t.Assigned = &ota.Assignment{Package: pkg.ID, At: r.Now, By: "chain:" + r.Chain().Name, Cause: cause}
	r.Home.Post(ota.Pending{At: r.Now, Event: ota.Decide, Kind: u.Kind, Cause: cause})
	return "assigned", nil
}

// before is the package that the device ran when the update began, where it can
// have it again.
func before(ctx context.Context, r *engine.Run, u *ota.Update) (*ota.Package, error) {
	from := u.From
	if from.Title == "" { // a device that names only its version
		from.Title = u.Target.Title
	}
	if from.Version == "" || from.Is(u.Target) {
		return nil, nil
	}
	ref, err := r.Facts.Find(ctx, r.Msg.Tenant, ota.PackageRef, from.String())
	if ota.CodeOf(err) == ota.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pkg, err := packageOf(ctx, r, ota.PackageID(ref.ID))
	if err != nil || pkg == nil || ota.CheckAssign(pkg, r.Msg.Tenant, u.Kind, r.Device().Profile) != nil {
		return nil, err
	}
	return pkg, nil
}
