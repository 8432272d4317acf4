package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// PushOfferConfig is the "with" of a push_offer step: it has no settings.
type PushOfferConfig struct{}

// PushOffer defines push_offer, which repeats an offer.
func PushOffer() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "push_offer",
		Summary: "Pushes the attributes of an offer made before once more.",
		Doc:     "It moves nothing and may be said any number of times.",
		Subject: engine.UpdateSubject,
		Outlets: []engine.Outlet{
			{Name: "sent"},
			{Name: "offline", MayEnd: true, Doc: "the device has no session; it finds the offer when it asks"},
		},
		Example: `chain: example
summary: Repeats the offer to a device that connects.
trigger: connected
steps:
  - {node: check_update, with: {kind: software}, to: {offered: again, queued: end, outdated: end, settled: end}}
branches:
  again: [{node: push_offer}]
`,
	}, PushOfferConfig{}, func(PushOfferConfig) (engine.Node, error) { return pushOfferNode{}, nil })
}

type pushOfferNode struct{}

func (pushOfferNode) Process(ctx context.Context, r *engine.Run) (string, error) {
	u, err := openUpdate(r, "push offer")
	if err != nil {
		return "", err
	}
	if len(r.Device().Sessions) == 0 {
		return "offline", nil
	}
	pkg, err := packageOf(ctx, r, r.Track(u.Kind).Offer.Package)
	if err != nil {
		return "", err
	}
	if pkg == nil {
		return "", ota.Errorf(ota.Conflict, "push offer", "nothing is on offer")
	}
	pushOffer(r, pkg)
	return "sent", nil
}
