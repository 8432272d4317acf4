package nodes

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// OfferUpdateConfig is the "with" of an offer_update step.
type OfferUpdateConfig struct {
	Timeout engine.Duration `yaml:"timeout"`
	Push    engine.Bool     `yaml:"push"`
}

// OfferUpdate defines offer_update, which tells a device of its update.
func OfferUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "offer_update",
		Summary: "Offers the queued update: INITIATED, the package's attributes are the device's from now on, and are pushed.",
		Doc: "All attributes go out in one push, and no names are deleted beside them. A device that is not there finds them when it asks or connects. " +
			"When it says nothing within `timeout` the event `state_timeout` follows.",
		Subject: engine.UpdateSubject,
		Needs:   []engine.Root{engine.RootPackage, engine.ProofPermit},
		Sets:    []engine.Root{engine.RootUpdate, engine.ProofOffered, engine.ProofSettled},
		Outlets: []engine.Outlet{{Name: "offered"}},
		Fields: []engine.Field{
			{Key: "timeout", Doc: "How long the device may be silent about the offer."},
			{Key: "push", Doc: "`false` for devices that are told another way: the attributes are written and not pushed."},
		},
		Writes: true,
		Example: `chain: example
summary: Offers a queued update; the device has two days to begin.
trigger: offer_due
steps:
  - node: check_offer
  - node: admit_update
  - {node: offer_update, with: {timeout: 2d}}
`,
	}, OfferUpdateConfig{Timeout: engine.Lit(24 * time.Hour), Push: engine.Lit(true)}, func(c OfferUpdateConfig) (engine.Node, error) {
		return &offerUpdate{c.Timeout, c.Push}, nil
	})
}

type offerUpdate struct {
	timeout engine.Duration
	push    engine.Bool
}

func (n *offerUpdate) Process(ctx context.Context, r *engine.Run) (string, error) {
	timeout, err := n.timeout.Get(r)
	if err != nil {
		return "", err
	}
	push, err := n.push.Get(r)
	if err != nil {
		return "", err
	}
	u, err := openUpdate(r, "offer update")
	if err != nil {
		return "", err
	}
	if r.Package.ID != u.Package {
		return "", ota.Errorf(ota.Conflict, "offer update", "the update is to %s, the package is %s", u.Target, r.Package.Version)
	}
	if u.Rollout != "" && u.Permit == 0 { // a run that waited since has given its permit back
		ro, err := rolloutOf(ctx, r, u.Rollout)
		if err != nil {
			return "", err
		}
		if ro != nil && ro.Permits {
			return "", ota.Errorf(ota.Conflict, "offer update", "the permit of its rollout was given back; ask for one after the wait")
		}
	}
	if err := r.Track(u.Kind).Initiate(timeout, r.Now); err != nil {
		return "", err
	}
	if push {
		pushOffer(r, r.Package)
	}
	return "offered", nil
}
