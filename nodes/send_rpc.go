package nodes

import (
	"context"
	"time"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// SendRPCConfig is the "with" of a send_rpc step.
type SendRPCConfig struct {
	Method  engine.Text     `yaml:"method"`
	Params  engine.Data     `yaml:"params"`
	Timeout engine.Duration `yaml:"timeout"`
	Oneway  engine.Bool     `yaml:"oneway"`
}

// SendRPC defines send_rpc, which calls a method of the device.
func SendRPC() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "send_rpc",
		Summary: "Calls a method of the device and waits for its answer.",
		Doc: "The call is said once, after the run was stored; the answer is told from others by the number of the call, and goes through the chain of `rpc_answered` first, where there is one. " +
			"A call that is lost on its way ends as `timed_out`. A run about an open update ends with that update.",
		Subject: engine.Device,
		Outlets: []engine.Outlet{
			{Name: "answered", Doc: "the device has answered; with `oneway`, the call was said"},
			{Name: "timed_out", Doc: "no answer came in time"},
			{Name: "offline", Doc: "nobody heard the call"},
		},
		Fields: []engine.Field{
			{Key: "method", Doc: "Name of the method.", Required: true},
			{Key: "params", Doc: "What goes with it."},
			{Key: "timeout", Doc: "How long to wait for the answer."},
			{Key: "oneway", Doc: "The device does not answer."},
		},
		Outputs: []engine.Output{{Name: "result", Type: engine.AnyType, Doc: "what the device has answered"}},
		Writes:  true,
		Waits:   true,
		Example: `chain: example
summary: Lets a device that has updated test itself, and tells people where it finds something.
trigger: {event: update_finished, if: msg.state == "UPDATED"}
steps:
  - {node: send_rpc, name: test, with: {method: self_test, params: {deep: true}, timeout: 2m}, to: {timed_out: end, offline: end}}
  - {node: filter, with: {if: "not flag(steps.test.result?.ok, true)"}}
  - {node: raise_alarm, with: {key: self test, message: "${device.name} has failed its self test"}}
`,
	}, SendRPCConfig{Timeout: engine.Lit(30 * time.Second), Oneway: engine.Lit(false)}, func(c SendRPCConfig) (engine.Node, error) { return &sendRPC{c}, nil })
}

type sendRPC struct{ SendRPCConfig }

var _ engine.Waker = (*sendRPC)(nil)

func (n *sendRPC) Process(_ context.Context, r *engine.Run) (string, error) {
	method, err := n.Method.Get(r)
	if err != nil {
		return "", err
	}
	params, err := r.JSON(n.Params)
	if err != nil {
		return "", err
	}
	timeout, err := n.Timeout.Get(r)
	if err != nil {
		return "", err
	}
	oneway, err := n.Oneway.Get(r)
	if err != nil {
		return "", err
	}
	r.Set("result", nil)
	if !r.Home.Device.Online(r.Now) {
		return "offline", nil
	}
	call := int64(r.Home.Number())
	r.Push(ota.Reply{Word: ota.SayRPC, Method: method, Body: params, Call: call})
	if oneway {
		return "answered", nil
	}
	return r.Park(engine.Wait{At: r.Now.Add(timeout), Outlet: "timed_out", Event: ota.RPCAnswered, Call: call})
}

// Wake implements [engine.Waker].
func (n *sendRPC) Wake(_ context.Context, r *engine.Run) (string, error) {
	m := r.Came()
	if m.Cause == ota.Unheard {
		return "offline", nil
	}
	r.Set("result", gjson.ParseBytes(m.Result).Value())
	return "answered", nil
}
