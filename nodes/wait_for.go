package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// WaitForConfig is the "with" of a wait_for step.
type WaitForConfig struct {
	Event   string          `yaml:"event"`
	If      *engine.Cond    `yaml:"if"`
	Timeout engine.Duration `yaml:"timeout"`
}

// WaitFor defines wait_for, which waits for an event of the device.
func WaitFor() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "wait_for",
		Summary: "Waits for an event of the device.",
		Doc: "The event goes through its own chain first, if there is one; what that wrote is what `if` and the steps behind see. The run is kept in the store meanwhile. " +
			"Events that came before are not looked at, and of the event and the end of the time, what is stored first counts. " +
			"A run about an open update ends with that update, save where it waits for `update_finished`.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "happened", Doc: "the event came"},
			{Name: "timed_out", Doc: "it did not come in time"},
		},
		Fields: []engine.Field{
			{Key: "event", Doc: "The event, of this device.", Required: true, Enum: engine.DeviceEvents()},
			{Key: "if", Doc: "Only where this holds; `msg` is the message of the event here.", Of: "event"},
			{Key: "timeout", Doc: "How long to wait.", Required: true},
		},
		Outputs: []engine.Output{{Name: "msg", Type: engine.AnyType, Doc: "the message of the event; times in it are text"}},
		Waits:   true,
		Example: `chain: example
summary: Tells people where a device that has updated does not report its health within ten minutes.
trigger: {event: update_finished, if: msg.state == "UPDATED"}
steps:
  - {node: wait_for, name: health, with: {event: telemetry, if: msg.values.healthy != nil, timeout: 10m}, to: {timed_out: tell}}
  - {node: log, with: {message: "healthy: ${steps.health.msg.values.healthy}"}}
branches:
  tell: [{node: raise_alarm, with: {key: health, message: "${device.name} says nothing of its health"}}]
`,
	}, WaitForConfig{}, func(c WaitForConfig) (engine.Node, error) { return &waitFor{c}, nil })
}

type waitFor struct{ WaitForConfig }

var _ engine.Waker = (*waitFor)(nil)

func (n *waitFor) Process(_ context.Context, r *engine.Run) (string, error) {
	timeout, err := n.Timeout.Get(r)
	if err != nil {
		return "", err
	}
	return r.Park(engine.Wait{At: r.Now.Add(timeout), Outlet: "timed_out", Event: ota.Event(n.Event)})
}

// Wake implements [engine.Waker].
func (n *waitFor) Wake(_ context.Context, r *engine.Run) (string, error) {
	if n.If != nil {
		if ok, err := n.If.Eval(r); err != nil || !ok {
			return "", err
		}
	}
	r.Set("msg", r.CameValue())
	return "happened", nil
}
