package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ClearOfferConfig is the "with" of a clear_offer step.
type ClearOfferConfig struct {
	Kind engine.Kind `yaml:"kind"`
}

// ClearOffer defines clear_offer, which takes an offer back.
func ClearOffer() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "clear_offer",
		Summary: "Takes the package's attributes away and tells the device so.",
		Doc:     "Where nothing is on offer there is nothing to say. What the device reported stays as it is.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "cleared"}},
		Fields:  []engine.Field{{Key: "kind", Doc: docKind}},
		Writes:  true,
		Example: `chain: example
summary: Withdraws what a device was offered when nothing is assigned to it any more.
trigger: unassigned
steps:
  - {node: cancel_update, with: {reason: unassigned}, to: {absent: next}}
  - node: clear_offer
`,
	}, ClearOfferConfig{}, func(c ClearOfferConfig) (engine.Node, error) { return &clearOffer{c.Kind}, nil })
}

type clearOffer struct{ kind engine.Kind }

func (n *clearOffer) Process(_ context.Context, r *engine.Run) (string, error) {
	k, err := kindOf(r, n.kind)
	if err != nil {
		return "", err
	}
	t := r.Track(k)
	if t.Offer.Package == "" {
		return "cleared", nil
	}
	t.Offer = ota.Offer{}
	r.Push(ota.Reply{Word: ota.SayCancel, Kind: k, Deleted: ota.OfferNames(k)})
	return "cleared", nil
}
