package nodes

import (
	"context"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// GetAttributesConfig is the "with" of a get_attributes step.
type GetAttributesConfig struct {
	Scope engine.Text  `yaml:"scope"`
	Keys  engine.Texts `yaml:"keys"`
}

// GetAttributes defines get_attributes, which reads attributes of a device.
// fresh is the store itself; nil means the run's own facts.
func GetAttributes(fresh ota.Facts) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "get_attributes",
		Summary: "Reads attributes of the device from the store.",
		Doc:     "`device.attributes` in an expression is cheaper and may be some seconds old; this is what is stored now, and what this run has set. The attributes of an offer are not among the shared ones: those are made when a device asks.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "read"}},
		Fields: []engine.Field{
			{Key: "scope", Doc: docScope, Required: true, Enum: scopes()},
			{Key: "keys", Doc: "Their names; left out, all of the scope.", Among: "scope"},
		},
		Outputs: []engine.Output{{Name: "values", Type: engine.AnyType, Doc: "an object of names and values; names without a value are left out"}},
		Example: `chain: example
summary: Tells a device in which place the server believes it to be.
trigger: rpc_requested
steps:
  - {node: filter, with: {if: msg.method == "whereAmI"}, to: {rejected: unknown}}
  - {node: get_attributes, name: place, with: {scope: server, keys: [site, room]}}
  - {node: reply, with: {json: "${steps.place.values}"}}
branches:
  unknown: [{node: reply_error, with: {code: not_found, message: unknown method}}]
`,
	}, GetAttributesConfig{}, func(c GetAttributesConfig) (engine.Node, error) { return &getAttributes{c, fresh}, nil })
}

// docScope says what the scopes are.
const docScope = "Whose they are."

type getAttributes struct {
	GetAttributesConfig
	fresh ota.Facts
}

func (n *getAttributes) Process(ctx context.Context, r *engine.Run) (string, error) {
	scope, err := word(r, "scope", n.Scope, scopes()...)
	if err != nil {
		return "", err
	}
	var keys []string
	if n.Keys.Given() {
		if keys, err = n.Keys.Get(r); err != nil {
			return "", err
		}
		if keys == nil {
			keys = []string{}
		}
	}
	from := n.fresh
	if from == nil {
		from = r.Facts
	}
	values, err := r.ValuesFrom(ctx, from, ota.Scope(scope), keys)
	if err != nil {
		return "", err
	}
	out := make(map[string]any, len(values))
	for _, v := range values {
		out[v.Key] = gjson.ParseBytes(v.JSON).Value()
	}
	r.Set("values", out)
	return "read", nil
}
