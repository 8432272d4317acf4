package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

// TestTraced shows the ways of runs through calls: in and out of them by their
// outlets, past steps that are skipped, and by roads of errors.
func TestTraced(t *testing.T) {
	const chains = `chain: top
summary: Calls.
trigger: telemetry
vars: {n: 0}
steps:
  - {node: call, name: one, with: {chain: pick, args: {word: "${text(msg.values.one, '')}"}}, to: {gone: side}}
  - {node: call, name: two, when: msg.values.two != nil, with: {chain: outer, args: {word: "${text(msg.values.two, '')}"}}, to: {error: broken}}
  - {node: set, with: {n: "${vars.n + 1}"}}
branches:
  side: [{node: set, with: {n: 7}}]
  broken: [{node: set, with: {n: "${vars.n + 10}"}}]
---
chain: pick
summary: Leaves by two outlets.
trigger: call
params: {word: {type: text}}
outlets: [done, gone]
steps:
  - {node: switch, with: {value: params.word, cases: [{name: bad, if: params.word == "bad"}, {name: away, if: params.word == "away"}]}, to: {bad: bad, away: away, other: end}}
branches:
  bad: [{node: fail_here}]
  away: [{node: return, with: {outlet: gone}}]
---
chain: outer
summary: Calls another, as its last step.
trigger: call
params: {word: {type: text}}
steps: [{node: call, name: in, with: {chain: pick, args: {word: "${params.word}"}}, to: {gone: end}}]
`
	fails := Define(Spec{Name: "fail_here", Summary: "Fails.", Outlets: []Outlet{{Name: "done"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(context.Context, *Run) (string, error) { panic("on purpose") }), nil
	})
	reg, err := NewRegistry([]Factory{fails})
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, text := range strings.Split(chains, "---\n") {
		s := Source{Data: []byte(text)}
		s.Name = s.ChainName() + ".yaml"
		sources = append(sources, s)
	}
	set, err := Compile(sources, reg, Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	for _, x := range []struct {
		values string
		want   []string
		n      int
	}{
		{`{}`, []string{"one main", "one/switch other", "set done"}, 1},
		{`{"one":"away"}`, []string{"one gone", "one/switch away", "one/away.return gone", "side.set done"}, 7},
		{`{"two":"x"}`, []string{"one main", "one/switch other", "two main", "two/in main", "two/in/switch other", "set done"}, 1},
		{`{"two":"away"}`, []string{"one main", "one/switch other", "two main", "two/in gone", "two/in/switch away", "two/in/away.return gone", "set done"}, 1},
		{`{"two":"bad"}`, []string{"one main", "one/switch other", "two error", "two/in error", "two/in/switch bad", "two/in/bad.fail_here error", "broken.set done"}, 10},
	} {
		got := trace(t, set.Chain("top"), x.values)
		var steps []string
		for _, h := range got.Steps {
			steps = append(steps, h.Step+" "+h.Outlet)
		}
		if diff := cmp.Diff(x.want, steps); diff != "" || got.Vars["n"] != x.n {
			t.Errorf("%s: n is %v, the way (-want +got):\n%s", x.values, got.Vars["n"], diff)
		}
	}
}

// trace runs a chain for a message of a device that says values.
func trace(t *testing.T, c *Chain, values string) Traced {
	t.Helper()
	r := c.newRun(ota.Message{Event: ota.Telemetry, Tenant: ota.DefaultTenant, Device: "d", Values: []byte(values)}, time.Unix(0, 0))
	defer r.release()
	r.device = &ota.Device{ID: "d", Tenant: ota.DefaultTenant, Name: "d"}
	_, err := r.start(t.Context(), &c.Triggers[0])
	if err != nil {
		t.Fatalf("%s: %v", values, err)
	}
	return r.traced(err)
}
