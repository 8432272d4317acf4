package nodes

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// ReplyConfig is the "with" of a reply step.
type ReplyConfig struct {
	Body   engine.Data `yaml:"body"`
	JSON   engine.Data `yaml:"json"`
	Status engine.Int  `yaml:"status"`
}

// Validate refuses an answer in two forms and a status that is none.
func (c ReplyConfig) Validate() error {
	if c.Body.Given() && c.JSON.Given() {
		return &engine.FieldError{Key: "json", Err: errors.New("is given beside body; choose one")}
	}
	return engine.Within("status", c.Status, minStatus, maxStatus)
}

const minStatus, maxStatus = 100, 599

// Reply defines reply, which answers in the chain's own form.
func Reply() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "reply",
		Summary: "Answers the asker.",
		Doc:     "It is said after the commit. A transport without a status leaves it out; where nobody asked, nothing is said.",
		Outlets: []engine.Outlet{{Name: "replied"}},
		Fields: []engine.Field{
			{Key: "body", Doc: "Text or bytes, as they are."},
			{Key: "json", Doc: "Anything, said as JSON. With neither, the answer is empty."},
			{Key: "status", Doc: "The status, in HTTP's numbers."},
		},
		Replies: true,
		Example: `chain: example
summary: Answers a device that asks for the time.
trigger: rpc_requested
steps:
  - {node: filter, with: {if: msg.method == "getTime"}, to: {rejected: unknown}}
  - {node: reply, with: {json: {now: "${now}"}}}
branches:
  unknown: [{node: reply_error, with: {code: not_found, message: unknown method}}]
`,
	}, ReplyConfig{Status: engine.Lit(200)}, func(c ReplyConfig) (engine.Node, error) { return &reply{c}, nil })
}

type reply struct{ ReplyConfig }

func (n *reply) Process(_ context.Context, r *engine.Run) (string, error) {
	status, err := n.Status.Get(r)
	if err != nil {
		return "", err
	}
	if err := engine.Between("status", status, minStatus, maxStatus); err != nil {
		return "", &ota.Error{Code: ota.Internal, Op: "reply", Err: err}
	}
	body, err := said(r, "reply", n.Body, n.JSON)
	if err != nil {
		return "", err
	}
	r.Reply(ota.Reply{Word: ota.SayBody, Body: body, Status: status})
	return "replied", nil
}
