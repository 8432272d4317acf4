package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// CheckOfferConfig is the "with" of a check_offer step: it has no settings.
type CheckOfferConfig struct{}

// CheckOffer defines check_offer, which asks whether a queued update is still
// what its device should get.
func CheckOffer() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "check_offer",
		Summary: "Asks whether the queued update is still what the device should get.",
		Doc:     "Between the place in the line and the turn another package may have come into force; then a newer update follows, and this one has nothing to do.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "due", Sets: []engine.Root{engine.RootPackage}, Doc: "it is; `package` is set"},
			{Name: "stale", MayEnd: true, Doc: "it is not queued any more, waits for something, or another package is in force"},
		},
		Example: `chain: example
summary: Offers a queued update when its turn has come.
trigger: offer_due
steps:
  - node: check_offer
  - node: admit_update
  - {node: offer_update, with: {timeout: 24h}}
`,
	}, CheckOfferConfig{}, func(CheckOfferConfig) (engine.Node, error) { return checkOffer{}, nil })
}

type checkOffer struct{}

func (checkOffer) Process(ctx context.Context, r *engine.Run) (string, error) {
	u := r.Update()
	if !u.Open() || u.State != ota.Queued || u.Away || u.NotBefore.After(r.Now) {
		return "stale", nil
	}
	eff := ota.FindEffective(r.Device(), r.Profile(), u.Kind)
	if eff == nil || eff.Package != u.Package || eff.Rollout != u.Rollout {
		return "stale", nil
	}
	pkg, err := packageOf(ctx, r, u.Package)
	if err != nil || pkg == nil {
		return "stale", err
	}
	use(r, pkg, eff)
	return "due", nil
}
