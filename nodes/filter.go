package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
)

// FilterConfig is the "with" of a filter step.
type FilterConfig struct {
	If *engine.Cond `yaml:"if"`
}

// Filter defines filter, which lets pass what fulfils a condition.
func Filter() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "filter",
		Summary: "Goes on where a condition holds.",
		Doc:     "A condition of the whole chain belongs into its trigger's `if`, where it costs no run.",
		Outlets: []engine.Outlet{
			{Name: "passed", Doc: "it holds"},
			{Name: "rejected", MayEnd: true, Doc: "it does not"},
		},
		Fields: []engine.Field{{Key: "if", Doc: "An expression that is true or false.", Required: true}},
		Example: `chain: example
summary: Warns of a low battery.
trigger: telemetry
fields: {telemetry: {battery: number}}
steps:
  - node: save_telemetry
  - {node: filter, with: {if: "(device.telemetry.battery ?? 100) < 20"}}
  - {node: log, with: {level: warn, message: "battery of ${device.name} is low"}}
`,
	}, FilterConfig{}, func(c FilterConfig) (engine.Node, error) { return &filter{c.If}, nil })
}

type filter struct{ cond *engine.Cond }

func (n *filter) Process(_ context.Context, r *engine.Run) (string, error) {
	ok, err := n.cond.Eval(r)
	if err != nil {
		return "", err
	}
	if ok {
		return "passed", nil
	}
	return "rejected", nil
}
