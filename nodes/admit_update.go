package nodes

import (
	"context"
	"fmt"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// AdmitUpdateConfig is the "with" of an admit_update step: it has no settings.
type AdmitUpdateConfig struct{}

// AdmitUpdate defines admit_update, the door of a rollout.
func AdmitUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "admit_update",
		Summary: "Asks the rollout whether the device may be offered its update now.",
		Doc:     "A device that is held keeps its place in the line and has its turn again when the door opens further. An assignment of the device's own without a conductor has no door.",
		Subject: engine.UpdateSubject,
		Needs:   []engine.Root{engine.RootPackage},
		Outlets: []engine.Outlet{
			{Name: "admitted", Sets: []engine.Root{engine.ProofPermit}, Doc: "it may"},
			{Name: "held", MayEnd: true, Doc: "not yet; `reason` says why"},
		},
		Outputs: []engine.Output{{Name: "reason", Type: engine.TextType, Doc: "why it is held; empty when it is admitted"}},
		Writes:  true,
		Example: `chain: example
summary: Offers a queued update, and says so when its rollout holds it.
trigger: offer_due
steps:
  - node: check_offer
  - {node: admit_update, to: {held: held}}
  - node: offer_update
branches:
  held: [{node: log, with: {level: debug, message: "${steps.admit_update.reason}"}}]
`,
	}, AdmitUpdateConfig{}, func(AdmitUpdateConfig) (engine.Node, error) { return admitUpdate{}, nil })
}

type admitUpdate struct{}

func (admitUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
	u, err := openUpdate(r, "admit update")
	if err != nil {
		return "", err
	}
	why := ""
	if u.Rollout != "" {
		ro, err := rolloutOf(ctx, r, u.Rollout)
		if err != nil {
			return "", err
		}
		r.Rollout = ro
		why = heldBecause(u, ro)
	}
	u.Held = why
	r.Set("reason", why)
	if why != "" {
		return "held", nil
	}
	return "admitted", nil
}

// heldBecause says why a rollout does not let the update pass, or "".
func heldBecause(u *ota.Update, ro *ota.Rollout) string {
	switch {
	case ro == nil:
		return "its rollout is gone"
	case ro.State != ota.RolloutRunning && ro.State != ota.RolloutDone:
		return "its rollout is " + string(ro.State)
	case !ro.Open():
		return "no stage of its rollout is open yet"
	case ro.Permits:
		return "its rollout admits by permits, which this release does not give"
	case u.Place > ro.Mark:
		return fmt.Sprintf("it stands at %.2f %% of the line, which is open up to %.2f %%", u.Place*100, ro.Mark*100)
	}
	return ""
}
