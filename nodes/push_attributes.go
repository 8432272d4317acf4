package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// PushAttributesConfig is the "with" of a push_attributes step.
type PushAttributesConfig struct {
	Keys engine.Texts `yaml:"keys"`
}

// PushAttributes defines push_attributes, which tells a device of shared
// attributes.
func PushAttributes() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "push_attributes",
		Summary: "Pushes shared attributes to the device, unasked, as they are now.",
		Doc:     "Names that have no value are left out; where none has one, nothing is said.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "sent"},
			{Name: "offline", MayEnd: true, Doc: "the device has no session"},
		},
		Fields: []engine.Field{{Key: "keys", Doc: "Their names.", Required: true, Among: "shared"}},
		Example: `chain: example
summary: Tells a device that connects how often it shall report.
trigger: connected
steps:
  - {node: push_attributes, with: {keys: [interval]}}
`,
	}, PushAttributesConfig{}, func(c PushAttributesConfig) (engine.Node, error) { return &pushAttributes{c.Keys}, nil })
}

type pushAttributes struct{ keys engine.Texts }

func (n *pushAttributes) Process(ctx context.Context, r *engine.Run) (string, error) {
	keys, err := n.keys.Get(r)
	if err != nil {
		return "", err
	}
	if len(r.Device().Sessions) == 0 {
		return "offline", nil
	}
	if len(keys) == 0 {
		return "sent", nil
	}
	attrs, err := sharedAttributes(ctx, r, keys)
	if err != nil {
		return "", err
	}
	if len(attrs) > 0 {
		r.Push(ota.Reply{Word: ota.SayAttributes, Shared: ota.Object(attrs)})
	}
	return "sent", nil
}
