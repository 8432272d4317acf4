package nodes

import (
	"context"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ReplyErrorConfig is the "with" of a reply_error step.
type ReplyErrorConfig struct {
	Code    engine.Text `yaml:"code"`
	Message engine.Text `yaml:"message"`
}

// ReplyError defines reply_error, which answers that something cannot be had.
func ReplyError() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "reply_error",
		Summary: "Answers with an error, and ends the run.",
		Doc:     "What the run has changed is kept: the asker is refused, the run has not failed. Each transport has its own words for a code.",
		Fields: []engine.Field{
			{Key: "code", Doc: "What the asker can do about it.", Required: true, Enum: codes()},
			{Key: "message", Doc: "What went wrong, for people."},
		},
		Sets:    []engine.Root{engine.ProofReplied},
		Replies: true,
		Example: `chain: example
summary: Serves no files at all.
trigger: chunk_requested
steps: [{node: reply_error, with: {code: not_found, message: come back tomorrow}}]
`,
	}, ReplyErrorConfig{}, func(c ReplyErrorConfig) (engine.Node, error) {
		return &replyError{c.Code, c.Message}, nil
	})
}

type replyError struct{ code, message engine.Text }

func (n *replyError) Process(_ context.Context, r *engine.Run) (string, error) {
	code, err := word(r, "code", n.code, codes()...)
	if err != nil {
		return "", err
	}
	message, err := n.message.Get(r)
	if err != nil {
		return "", err
	}
	r.Reply(ota.Refusal(ota.Code(code), message))
	return "", nil
}
