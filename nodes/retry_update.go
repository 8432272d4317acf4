package nodes

import (
	"context"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// RetryUpdateConfig is the "with" of a retry_update step.
type RetryUpdateConfig struct {
	Attempts   engine.Int      `yaml:"attempts"`
	Backoff    engine.Duration `yaml:"backoff"`
	Factor     engine.Number   `yaml:"factor"`
	MaxBackoff engine.Duration `yaml:"max_backoff"`
	Jitter     engine.Share    `yaml:"jitter"`
}

// RetryUpdate defines retry_update, which tries an update again.
func RetryUpdate() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "retry_update",
		Summary: "Puts the update back into the queue, due after a back-off that grows with each attempt.",
		Doc: "An update that was only offered, to a device that is away, uses no attempt: it waits out of the line until the device is heard. " +
			"A failed update is opened again.",
		Subject: engine.UpdateSubject,
		Sets:    []engine.Root{engine.RootUpdate},
		Outlets: []engine.Outlet{
			{Name: "scheduled", Sets: []engine.Root{engine.ProofSettled}, Doc: "the update is QUEUED again"},
			{Name: "exhausted", Doc: "its attempts are used up, or there is nothing to try again; nothing has changed"},
		},
		Fields: []engine.Field{
			{Key: "attempts", Doc: "How often the update may be tried in all, the first time included."},
			{Key: "backoff", Doc: "The wait before the second attempt."},
			{Key: "factor", Doc: "What each further wait is multiplied by."},
			{Key: "max_backoff", Doc: "The longest wait."},
			{Key: "jitter", Doc: "How far a wait may be from its length, either way, so that a fleet does not come back in step."},
		},
		Guard:  true,
		Writes: true,
		Example: `chain: example
summary: Retries an update that has been silent for too long, then fails it.
trigger: state_timeout
steps:
  - {node: retry_update, with: {attempts: 5, backoff: 10m, max_backoff: 1d}, to: {exhausted: give_up}}
branches:
  give_up: [{node: fail_update, with: {reason: "no word in ${update.state}", verdict: silent}}]
`,
	}, RetryUpdateConfig{
		Attempts: engine.Lit(3), Backoff: engine.Lit(5 * time.Minute), Factor: engine.Lit(2.0),
		MaxBackoff: engine.Lit(6 * time.Hour), Jitter: engine.Lit(engine.Percent(0.2)),
	}, func(c RetryUpdateConfig) (engine.Node, error) { return &retryUpdate{c}, nil })
}

type retryUpdate struct{ RetryUpdateConfig }

func (n *retryUpdate) Process(_ context.Context, r *engine.Run) (string, error) {
	u := r.Update()
	if u == nil {
		return "exhausted", nil
	}
	attempts, err := n.Attempts.Get(r)
	if err != nil {
		return "", err
	}
	wait, err := n.wait(r, u)
	if err != nil {
		return "", err
	}
	if r.Track(u.Kind).Retry(attempts, wait, r.Device().Online(r.Now), r.Now) {
		return "scheduled", nil
	}
	return "exhausted", nil
}

// wait is how long to wait before the attempt after the present one. The jitter
// follows from device and attempt.
func (n *retryUpdate) wait(r *engine.Run, u *ota.Update) (time.Duration, error) {
	share := ota.Share(string(r.Device().ID), u.ID, strconv.Itoa(u.Attempt))
	return backoff{n.Backoff, n.Factor, n.MaxBackoff, n.Jitter}.wait(r, u.Attempt+1, share)
}
