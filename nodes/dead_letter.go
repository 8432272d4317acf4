package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
)

// DeadLetterConfig is the "with" of a dead_letter step.
type DeadLetterConfig struct {
	Reason engine.Text `yaml:"reason"`
}

// DeadLetter defines dead_letter, which keeps a run for people.
func DeadLetter() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "dead_letter",
		Summary: "Keeps the run for people and ends it.",
		Doc: "It lies among the dead letters with its message and the reason, and can be retried from there on the mended chain. " +
			"What the run has changed and said so far stays; whoever asked and was not answered hears `internal`.",
		Sets:   []engine.Root{engine.ProofReplied},
		Fields: []engine.Field{{Key: "reason", Doc: "Why, in words for people.", Required: true}},
		Writes: true,
		Example: `chain: example
summary: Keeps telemetry, and shows people what could not be understood.
trigger: telemetry
steps:
  - {node: filter, with: {if: msg.values.format == 2}, to: {rejected: odd}}
  - node: save_telemetry
branches:
  odd: [{node: dead_letter, with: {reason: "${device.name} speaks format ${msg.values.format ?? 'none'}"}}]
`,
	}, DeadLetterConfig{}, func(c DeadLetterConfig) (engine.Node, error) { return &deadLetter{c.Reason}, nil })
}

type deadLetter struct{ reason engine.Text }

func (n *deadLetter) Process(_ context.Context, r *engine.Run) (string, error) {
	reason, err := n.reason.Get(r)
	if err != nil {
		return "", err
	}
	r.Dead(clip(reason))
	return "", nil
}
