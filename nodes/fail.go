package nodes

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// FailConfig is the "with" of a fail step.
type FailConfig struct {
	Code    engine.Text `yaml:"code"`
	Message engine.Text `yaml:"message"`
}

// Fail defines fail, which raises an error on purpose.
func Fail() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "fail",
		Summary: "Raises an error.",
		Doc:     "It goes the way of every error: to the step's `error` outlet, else to the chain's `on_error`, else it is handled by its code. `internal` keeps the run as a dead letter. Whoever asked and was not answered hears the code.",
		Sets:    []engine.Root{engine.ProofReplied},
		Fields: []engine.Field{
			{Key: "code", Doc: "What the asker can do about it.", Enum: codes()},
			{Key: "message", Doc: "What went wrong, for people.", Required: true},
		},
		Example: `chain: example
summary: Refuses telemetry that is not of this decade.
trigger: telemetry
steps:
  - {node: filter, with: {if: msg.ts > time("2020-01-01T00:00:00Z")}, to: {rejected: old}}
  - node: save_telemetry
branches:
  old: [{node: fail, with: {code: invalid, message: "the clock stands at ${msg.ts}"}}]
`,
	}, FailConfig{Code: engine.Lit(string(ota.Internal))}, func(c FailConfig) (engine.Node, error) {
		return &fail{c.Code, c.Message}, nil
	})
}

// codes lists the codes of errors as a setting has them.
func codes() []string {
	var out []string
	for _, c := range ota.Codes() {
		out = append(out, string(c))
	}
	return out
}

type fail struct{ code, message engine.Text }

func (n *fail) Process(_ context.Context, r *engine.Run) (string, error) {
	code, err := word(r, "code", n.code, codes()...)
	if err != nil {
		return "", err
	}
	message, err := n.message.Get(r)
	if err != nil {
		return "", err
	}
	return "", &ota.Error{Code: ota.Code(code), Err: errors.New(message)}
}
