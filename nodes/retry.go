package nodes

import (
	"context"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RetryConfig is the "with" of a retry step.
type RetryConfig struct {
	Attempts   engine.Int      `yaml:"attempts"`
	Backoff    engine.Duration `yaml:"backoff"`
	Factor     engine.Number   `yaml:"factor"`
	MaxBackoff engine.Duration `yaml:"max_backoff"`
	Jitter     engine.Share    `yaml:"jitter"`
}

// Validate holds the settings in their bounds.
func (c RetryConfig) Validate() error {
	if err := engine.Within("attempts", c.Attempts, 0, 1000); err != nil {
		return err
	}
	if err := engine.Within("factor", c.Factor, 1, 100); err != nil {
		return err
	}
	return engine.Within("jitter", c.Jitter, 0, 1)
}

// Retry defines retry, the guard of a loop.
func Retry() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "retry",
		Summary: "Guards a loop: waits and goes round again, so many times in a run and no more.",
		Doc: "Wire `again` to a step before. The waits grow and are kept in the store; how often the run came by is kept with them. " +
			"To try one step again after an error, write `retry` at that step instead.",
		NoMain: true,
		Outlets: []engine.Outlet{
			{Name: "again", Doc: "after the wait"},
			{Name: "exhausted", Doc: "the attempts are used up; there is no wait"},
		},
		Fields: []engine.Field{
			{Key: "attempts", Doc: "How often a run may leave by `again`."},
			{Key: "backoff", Doc: "The first wait; 0s goes round at once."},
			{Key: "factor", Doc: "What each further wait is multiplied by."},
			{Key: "max_backoff", Doc: "The longest wait."},
			{Key: "jitter", Doc: "How far a wait may be from its length, either way."},
		},
		Outputs: []engine.Output{{Name: "attempt", Type: engine.IntType, Doc: "how often the run came by, this time included"}},
		Guard:   true,
		Waits:   true,
		Example: `chain: example
summary: Waits up to four times an hour until a device that has updated is charged, then tells people.
trigger: {event: update_finished, if: msg.state == "UPDATED"}
fields: {telemetry: {battery: number}}
steps:
  - {node: filter, with: {if: "(device.telemetry.battery ?? 0) > 20"}, to: {passed: end, rejected: wait}}
branches:
  wait: [{node: retry, with: {attempts: 4, backoff: 1h, factor: 1}, to: {again: filter, exhausted: tell}}]
  tell: [{node: raise_alarm, with: {key: battery, message: "${device.name} is not charged after its update"}}]
`,
	}, RetryConfig{
		Attempts: engine.Lit(3), Backoff: engine.Lit(5 * time.Second), Factor: engine.Lit(2.0),
		MaxBackoff: engine.Lit(10 * time.Minute), Jitter: engine.Lit(engine.Percent(0.2)),
	}, func(c RetryConfig) (engine.Node, error) { return &retry{c}, nil })
}

type retry struct{ RetryConfig }

func (n *retry) Process(_ context.Context, r *engine.Run) (string, error) {
	attempts, err := n.Attempts.Get(r)
	if err != nil {
		return "", err
	}
	visit := r.Visit()
	r.Set("attempt", visit)
	if visit > attempts {
		return "exhausted", nil
	}
	share := ota.Share(r.Key(r.Step()), strconv.Itoa(visit))
	wait, err := backoff{n.Backoff, n.Factor, n.MaxBackoff, n.Jitter}.wait(r, visit+1, share)
	if err != nil {
		return "", err
	}
	if wait == 0 {
		return "again", nil
	}
	return r.Park(engine.Wait{At: r.Now.Add(wait), Outlet: "again"})
}
