package nodes

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// AdmitUpdateConfig is the "with" of an admit_update step: it has no settings.
type AdmitUpdateConfig struct{}

// AdmitUpdate defines admit_update, the door of a rollout.
func AdmitUpdate(doors ota.Doors) engine.Factory {
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
	}, AdmitUpdateConfig{}, func(AdmitUpdateConfig) (engine.Node, error) { return admitUpdate{doors}, nil })
}

type admitUpdate struct{ doors ota.Doors }

func (n admitUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
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
		if why, err = n.ask(ctx, r, u, ro); err != nil {
			return "", err
		}
	}
	u.Held = why
	r.Set("reason", why)
	if why != "" {
		return "held", nil
	}
	return "admitted", nil
}

// ask asks the rollout's door; why is "" where it lets the update pass.
func (n admitUpdate) ask(ctx context.Context, r *engine.Run, u *ota.Update, ro *ota.Rollout) (why string, err error) {
	switch {
	case ro == nil:
		return "its rollout is gone", nil
	case ro.State == ota.RolloutCancelled || ro.State == ota.RolloutReplaced:
		return "its rollout is " + string(ro.State), nil
	case !ro.Permits:
		return heldBecause(u, ro), nil
	case n.doors == nil:
		return "", ota.Errorf(ota.Internal, "admit update", "there are no doors here")
	}
	t := r.Track(u.Kind)
	k := ota.Knock{Rollout: ota.Ref{Tenant: ro.Tenant, Type: ota.RolloutRef, ID: string(ro.ID)}, Device: r.Device().ID, Permit: t.NextPermit(), Has: u.Admission}
	a, err := engine.Called(ctx, r, "admit "+strconv.Itoa(k.Permit), func() (ota.Answer, error) { return n.doors.Admit(ctx, k) })
	if err != nil || !a.Admitted {
		return heldBy(a, u, ro), err
	}
	u.Admit(k.Permit)
	return "", nil
}

// heldBecause says why a rollout without permits does not let updates pass, or "".
func heldBecause(u *ota.Update, ro *ota.Rollout) string {
	switch {
	case ro.State == ota.RolloutPaused:
		return strings.TrimSuffix("its rollout is paused: "+ro.Reason, ": ")
	case !ro.Open():
		return "no stage of its rollout is open"
	case !ro.Reaches(u) && !ro.Permits:
		return fmt.Sprintf("it stands at %.2f %% of the line, which is open up to %.2f %%", u.Place*100, ro.Mark*100)
	}
	return ""
}

// heldBy puts a door's answer into words.
func heldBy(a ota.Answer, u *ota.Update, ro *ota.Rollout) string {
	switch a.Held {
	case ota.HeldQuota:
		return fmt.Sprintf("stage %s of its rollout is full: %d of %d are admitted", ro.Stage, a.Tally.Admitted, a.Door.Allowed)
	case ota.HeldFlight:
		return fmt.Sprintf("%d devices of its rollout are under way, no more than %d may be", a.Tally.InFlight, a.Door.MaxInFlight)
	case ota.HeldCrossed:
		return "too many devices of its rollout have failed: " + a.Tally.Why
	}
	if why := heldBecause(u, ro); why != "" {
		return why
	}
	return "the door of its rollout is shut"
}
