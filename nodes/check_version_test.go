package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCheckVersion(t *testing.T) {
	chain := func(ranges string) string {
		return "chain: check\nsummary: Checks a version.\ntrigger: rpc_requested\nsteps:\n" +
			"  - {node: check_version, name: now, with: {kind: firmware, range: \"" + ranges + "\"}, to: {unmet: no}}\n" +
			"  - {node: reply, with: {body: \"${steps.now.version} is in it\"}}\n" +
			"branches:\n  no: [{node: reply, with: {body: \"${steps.now.version} is not\"}}]\n"
	}
	runs := func(v string) func(*world) {
		return func(w *world) { w.firmware().Reported = ota.Version{Title: "app", Version: v} }
	}
	ask := ota.Message{Event: ota.RPCRequested, Params: []byte(`{"range":">=2"}`)}
	met, unmet := []string{"now met", "reply replied"}, []string{"now unmet", "no.reply replied"}
	facts(t, []fact{
		{"within", runs("1.4.2"), chain(">= 1.4, < 2"), ask, met, []string{"body 200 1.4.2 is in it"}, "", nil},
		{"four parts", runs("1.4.2.10"), chain(">1.4.2.9 <2"), ask, met, []string{"body 200 1.4.2.10 is in it"}, "", nil},
		{"outside", runs("2.0.0"), chain("^1.4 || ~1.2"), ask, unmet, []string{"body 200 2.0.0 is not"}, "", nil},
		{"before its release", runs("1.4.0-rc.1"), chain(">=1.4"), ask, unmet, []string{"body 200 1.4.0-rc.1 is not"}, "", nil},
		{"not known", nil, chain("*"), ask, unmet, []string{"body 200  is not"}, "", nil},
		{"a range of the message", runs("2.1"), chain("${text(msg.params.range, '')}"), ask, met, []string{"body 200 2.1 is in it"}, "", nil},
		{"no range", runs("2.1"), chain("${'=>2'}"), ask, []string{"now error"}, nil, ota.Invalid, nil},
	})
}

func TestCheckVersionRefusesNoRange(t *testing.T) {
	got := faultsOf(t, "chain: x\nsummary: A test.\ntrigger: connected\nsteps: [{node: check_version, with: {kind: firmware, range: 1.0 || =>2}, to: {unmet: end}}]\n")
	same(t, "fault", got, `x.yaml:4:54: range "=>2" is no range of versions (bad_literal)`)
}
