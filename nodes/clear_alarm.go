package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
)

// ClearAlarmConfig is the "with" of a clear_alarm step.
type ClearAlarmConfig struct {
	Key engine.Text `yaml:"key"`
}

// ClearAlarm defines clear_alarm, which takes an alarm away.
func ClearAlarm() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "clear_alarm",
		Summary: "Clears an alarm of what the run is about.",
		Outlets: []engine.Outlet{
			{Name: "cleared"},
			{Name: "absent", MayEnd: true, Doc: "no alarm has that key"},
		},
		Fields: []engine.Field{{Key: "key", Doc: "The key with which it was raised.", Required: true}},
		Writes: true,
		Example: `chain: example
summary: Clears the alarm of a device that comes back.
trigger: connected
steps:
  - {node: clear_alarm, with: {key: away}}
`,
	}, ClearAlarmConfig{}, func(c ClearAlarmConfig) (engine.Node, error) { return &clearAlarm{c.Key}, nil })
}

type clearAlarm struct{ key engine.Text }

func (n *clearAlarm) Process(_ context.Context, r *engine.Run) (string, error) {
	key, err := alarmKey(r, n.key)
	if err != nil {
		return "", err
	}
	if r.Home.Clear(key) {
		return "cleared", nil
	}
	return "absent", nil
}
