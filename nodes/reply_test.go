package nodes_test

import (
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestReply(t *testing.T) {
	ask := func(method string) ota.Message { return ota.Message{Event: ota.RPCRequested, Method: method} }
	limits := ask("getSessionLimits")
	limits.Limits = []byte(`{"maxPayloadSize":65536,"maxInflightMessages":100,"rateLimits":{"messages":null}}`)
	facts(t, []fact{
		{"text", nil, "reply_body", ask("text"), []string{"switch text", "text.reply replied"}, []string{"body 201 you are dev-1"}, "", nil},
		{"JSON", nil, "reply_body", ask("json"), []string{"switch json", "json.reply replied"}, []string{`body 200 {"at":"2026-11-23T09:00:00Z","in":"1h30m","name":"dev-1","tags":["a<b",1]}`}, "", nil},
		{"nothing", nil, "reply_body", ask("nothing"), []string{"switch nothing", "nothing.reply replied"}, []string{"body 204 "}, "", nil},
		{"a body that is a list", nil, "reply_body", ask("x"), []string{"switch other", "list.reply error"}, nil, ota.Internal, nil},
		{"the limits of a session, as the transport wrote them", nil, "rpc", limits, []string{"switch getSessionLimits", "limits.reply replied"}, []string{"body 200 " + string(limits.Limits)}, "", nil},
	})
}

func TestReplyRefusesTwoForms(t *testing.T) {
	faults := faultsOf(t, `chain: x
summary: Answers twice.
trigger: rpc_requested
steps: [{node: reply, with: {body: a, json: b}}]
`)
	if want := "x.yaml:4:39: json is given beside body; choose one (bad_literal)"; !strings.Contains(faults, want) {
		t.Errorf("faults %q, want %q", faults, want)
	}
}
