package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// SaveTelemetryConfig is the "with" of a save_telemetry step.
type SaveTelemetryConfig struct {
	Values engine.Data `yaml:"values"`
}

// SaveTelemetry defines save_telemetry, which keeps what a device measured.
func SaveTelemetry() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "save_telemetry",
		Summary: "Keeps the latest value of each telemetry key.",
		Doc:     "Values are kept as they were written, with the time that the device gave them; null is left out.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{{Name: "saved"}},
		Fields:  []engine.Field{{Key: "values", Doc: "An object of keys and values; left out, that of the message.", Among: "telemetry"}},
		Writes:  true,
		Example: `chain: example
summary: Keeps one value of what a device sends.
trigger: telemetry
steps:
  - {node: save_telemetry, with: {values: {battery: "${msg.values.battery}"}}}
`,
	}, SaveTelemetryConfig{}, func(c SaveTelemetryConfig) (engine.Node, error) { return &saveTelemetry{c.Values}, nil })
}

type saveTelemetry struct{ values engine.Data }

func (n *saveTelemetry) Process(_ context.Context, r *engine.Run) (string, error) {
	raw := r.Msg.Values
	if n.values.Given() {
		var err error
		if raw, err = r.JSON(n.values); err != nil {
			return "", err
		}
	}
	if len(raw) == 0 {
		return "saved", nil
	}
	ts := r.Msg.TS
	if ts.IsZero() {
		ts = r.Now
	}
	attrs, err := members(raw)
	if err != nil {
		return "", err
	}
	for _, a := range attrs {
		r.SetValue(ota.Value{Scope: ota.TelemetryScope, Key: a.Name, JSON: []byte(a.JSON), TS: ts})
	}
	return "saved", nil
}
