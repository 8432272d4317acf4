package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// DeleteAttributesConfig is the "with" of a delete_attributes step.
type DeleteAttributesConfig struct {
	Scope engine.Text  `yaml:"scope"`
	Keys  engine.Texts `yaml:"keys"`
}

// DeleteAttributes defines delete_attributes, which takes attributes of a device
// away.
func DeleteAttributes() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "delete_attributes",
		Summary: "Deletes attributes of the device.",
		Doc:     "The device is told which shared ones are gone. Names that have no value are no error. The attributes of an offer go by clear_offer.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "deleted"}},
		Fields: []engine.Field{
			{Key: "scope", Doc: docScope, Required: true, Enum: scopes()},
			{Key: "keys", Doc: "Their names.", Required: true, Among: "scope"},
		},
		Writes: true,
		Example: `chain: example
summary: Forgets what was asked of a device when its update is over.
trigger: update_finished
steps:
  - {node: delete_attributes, with: {scope: shared, keys: [hold_pump]}}
`,
	}, DeleteAttributesConfig{}, func(c DeleteAttributesConfig) (engine.Node, error) { return &deleteAttributes{c}, nil })
}

type deleteAttributes struct{ DeleteAttributesConfig }

func (n *deleteAttributes) Process(_ context.Context, r *engine.Run) (string, error) {
	text, err := word(r, "scope", n.Scope, scopes()...)
	if err != nil {
		return "", err
	}
	keys, err := n.Keys.Get(r)
	if err != nil {
		return "", err
	}
	scope := ota.Scope(text)
	for _, k := range keys {
		if err := ownKey("delete attributes", scope, k); err != nil {
			return "", err
		}
		r.SetValue(ota.Value{Scope: scope, Key: k})
	}
	if scope == ota.SharedScope && len(keys) > 0 {
		r.Push(ota.Reply{Word: ota.SayAttributes, Deleted: keys})
	}
	return "deleted", nil
}

// ownKey refuses the shared attributes that belong to offers.
func ownKey(op string, s ota.Scope, key string) error {
	if s == ota.SharedScope && ota.IsOfferName(key) {
		return ota.Errorf(ota.Invalid, op, "%s belongs to the package on offer; assign a package instead", key)
	}
	return nil
}
