package nodes

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// DelayConfig is the "with" of a delay step.
type DelayConfig struct {
	For    engine.Duration `yaml:"for"`
	Until  engine.Time     `yaml:"until"`
	Jitter engine.Share    `yaml:"jitter"`
}

// Validate asks for one of the two times.
func (c DelayConfig) Validate() error {
	if err := engine.OneOf(map[string]bool{"for": c.For.Given(), "until": c.Until.Given()}); err != nil {
		return err
	}
	return engine.Within("jitter", c.Jitter, 0, 1)
}

// Delay defines delay, which lets time go by.
func Delay() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "delay",
		Summary: "Waits for some time, or until a moment.",
		Doc: "The run is kept in the store meanwhile, whatever happens to the server, and whoever sent the message has its acknowledgement. So `for: 0s` means: acknowledge, then go on. " +
			"A run about an open update ends with that update.",
		Outlets: []engine.Outlet{{Name: "elapsed", Doc: "the time has gone by"}},
		Fields: []engine.Field{
			{Key: "for", Doc: "How long. Either this or `until`."},
			{Key: "until", Doc: "Until when; a moment that is past means at once."},
			{Key: "jitter", Doc: "How much longer the wait may be, as a share of its length, so that a fleet does not go on in step."},
		},
		Waits: true,
		Example: `chain: example
summary: Looks at a device an hour after its update.
trigger: {event: update_finished, if: msg.state == "UPDATED"}
fields: {telemetry: {crashes: int}}
steps:
  - {node: delay, with: {for: 1h, jitter: 10%}}
  - {node: filter, with: {if: "(device.telemetry.crashes ?? 0) > 0"}}
  - {node: raise_alarm, with: {key: crashes, message: "${device.name} crashes since its update"}}
`,
	}, DelayConfig{Jitter: engine.Lit(engine.Percent(0))}, func(c DelayConfig) (engine.Node, error) { return &delay{c}, nil })
}

type delay struct{ DelayConfig }

func (n *delay) Process(_ context.Context, r *engine.Run) (string, error) {
	wait, err := n.For.Get(r)
	if err != nil {
		return "", err
	}
	if n.Until.Given() {
		until, err := n.Until.Get(r)
		if err != nil {
			return "", err
		}
		wait = until.Sub(r.Now)
	}
	jitter, err := n.Jitter.Get(r)
	if err != nil {
		return "", err
	}
	wait = max(wait, 0)
	wait += time.Duration(float64(wait) * float64(jitter) * ota.Share(r.Key(r.Step())))
	return r.Park(engine.Wait{At: r.Now.Add(wait), Outlet: "elapsed"})
}
