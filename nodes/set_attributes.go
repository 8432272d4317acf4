package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// SetAttributesConfig is the "with" of a set_attributes step.
type SetAttributesConfig struct {
	Scope  engine.Text `yaml:"scope"`
	Values engine.Data `yaml:"values"`
	Push   engine.Bool `yaml:"push"`
}

// SetAttributes defines set_attributes, which sets attributes of a device.
func SetAttributes() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "set_attributes",
		Summary: "Sets attributes of the device.",
		Doc: "`client` attributes are the device's own, `shared` ones are told to it, `server` ones it never sees. Values are kept as they are written; null is left out. " +
			"The attributes of an offer (`fw_title`, `sw_url` and so on) are shared ones that nobody sets by hand.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "set"}},
		Fields: []engine.Field{
			{Key: "scope", Doc: docScope, Required: true, Enum: scopes()},
			{Key: "values", Doc: "An object of names and values.", Required: true, Among: "scope"},
			{Key: "push", Doc: "Tell the device of shared ones at once."},
		},
		Writes: true,
		Example: `chain: example
summary: Notes on the server by which transport a device came.
trigger: connected
steps:
  - {node: set_attributes, with: {scope: server, values: {came_by: "${msg.transport}"}}}
`,
	}, SetAttributesConfig{Push: engine.Lit(true)}, func(c SetAttributesConfig) (engine.Node, error) { return &setAttributes{c}, nil })
}

func scopes() []string {
	return []string{string(ota.ClientScope), string(ota.SharedScope), string(ota.ServerScope)}
}

type setAttributes struct{ SetAttributesConfig }

func (n *setAttributes) Process(_ context.Context, r *engine.Run) (string, error) {
	text, err := word(r, "scope", n.Scope, scopes()...)
	if err != nil {
		return "", err
	}
	push, err := n.Push.Get(r)
	if err != nil {
		return "", err
	}
	raw, err := r.JSON(n.Values)
	if err != nil || raw == nil {
		return "set", err
	}
	scope := ota.Scope(text)
	attrs, err := members(raw)
	if err != nil {
		return "", err
	}
	for _, a := range attrs {
		if err := ownKey("set attributes", scope, a.Name); err != nil {
			return "", err
		}
		r.SetValue(ota.Value{Scope: scope, Key: a.Name, JSON: []byte(a.JSON), TS: r.Now})
	}
	if scope == ota.SharedScope && push && len(attrs) > 0 {
		r.Push(ota.Reply{Word: ota.SayAttributes, Shared: ota.Object(attrs)})
	}
	return "set", nil
}
