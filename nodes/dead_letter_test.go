package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
)

func TestDeadLetter(t *testing.T) {
	const chain = `chain: odd
summary: Keeps what it cannot understand.
trigger: telemetry
steps:
  - node: save_telemetry
  - {node: filter, with: {if: msg.values.format == 2}, to: {rejected: strange}}
branches:
  strange: [{node: dead_letter, with: {reason: "format ${msg.values.format ?? 'none'}"}}]
`
	kept := func(reason string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			t.Helper()
			same(t, "dead letter", r.Dead, reason)
			if len(r.Values) != 1 {
				t.Errorf("the run keeps %d values", len(r.Values))
			}
		}
	}
	facts(t, []fact{
		{"kept", nil, chain, says(`{"format":3}`), []string{"save_telemetry saved", "filter rejected", "strange.dead_letter"}, nil, "", kept("format 3")},
		{"not kept", nil, chain, says(`{"format":2}`), []string{"save_telemetry saved", "filter passed"}, nil, "", kept("")},
	})
}

// Whoever asks may be left to the engine's own answer.
func TestDeadLetterOfAnAsker(t *testing.T) {
	load(t, "chain: x\nsummary: A test.\ntrigger: rpc_requested\nsteps: [{node: dead_letter, with: {reason: unknown}}]\n", newWorld())
}
