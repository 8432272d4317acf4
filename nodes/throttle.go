package nodes

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ThrottleConfig is the "with" of a throttle step.
type ThrottleConfig struct {
	Key   engine.Text `yaml:"key"`
	Rate  engine.Rate `yaml:"rate"`
	Burst engine.Int  `yaml:"burst"`
}

// Validate holds burst in its bounds.
func (c ThrottleConfig) Validate() error { return engine.Within("burst", c.Burst, 1, 1_000_000) }

// Throttle defines throttle, which lets so many runs pass and no more.
func Throttle(rates ota.Rates) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "throttle",
		Summary: "Lets runs pass at a rate, counted over all processes.",
		Doc: "Each key has a bucket of `burst` tokens, which is filled at `rate`; a run that finds a token takes it. All chains that name the same key take from the same bucket. " +
			"A token that was taken is not given back, whatever becomes of the run.",
		Outlets: []engine.Outlet{
			{Name: "passed", Doc: "there was a token"},
			{Name: "limited", Doc: "there was none; the next comes at `.retry_at`"},
		},
		Fields: []engine.Field{
			{Key: "key", Doc: "What has the rate, such as `site ${device.attributes.server.site ?? 'none'}`.", Required: true},
			{Key: "rate", Doc: "How many may pass in a time, such as `10/1h`.", Required: true},
			{Key: "burst", Doc: "How many may pass at once after a pause."},
		},
		Outputs: []engine.Output{{Name: "retry_at", Type: engine.TimeType, Doc: "when the next token comes; where one was taken, now"}},
		Writes:  true,
		Example: `chain: example
summary: Offers at most a hundred updates a minute, and queues the others.
trigger: offer_due
steps:
  - node: check_offer
  - {node: throttle, name: gate, with: {key: offers, rate: 100/1m, burst: 20}, to: {limited: wait}}
  - node: admit_update
  - node: offer_update
branches:
  wait: [{node: hold_update, with: {until: "${steps.gate.retry_at}", reason: others come first}, to: {overdue: late}}]
  late: [{node: fail_update, with: {reason: could never be offered}}]
`,
	}, ThrottleConfig{Burst: engine.Lit(1)}, func(c ThrottleConfig) (engine.Node, error) { return &throttle{c, rates}, nil })
}

type throttle struct {
	ThrottleConfig
	rates ota.Rates
}

func (n *throttle) Process(ctx context.Context, r *engine.Run) (string, error) {
	key, err := n.Key.Get(r)
	if err != nil {
		return "", err
	}
	rate, err := n.Rate.Get(r)
	if err != nil {
		return "", err
	}
	burst, err := n.Burst.Get(r)
	if err != nil {
		return "", err
	}
	if n.rates == nil {
		return "", ota.Errorf(ota.Busy, "throttle", "there is nothing to draw from")
	}
	wait, err := engine.Called(ctx, r, "token of "+key, func() (time.Duration, error) {
		return n.rates.Take(ctx, r.Msg.Tenant, "throttle:"+markKey("", key), rate, burst)
	})
	if err != nil {
		return "", err
	}
	r.Set("retry_at", r.Now.Add(wait))
	if wait > 0 {
		return "limited", nil
	}
	return "passed", nil
}
