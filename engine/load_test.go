package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

// TestRulesWithoutShippedNodes has the faults that need nodes of their own kind;
// testdata/bad has the rest.
func TestRulesWithoutShippedNodes(t *testing.T) {
	deep := []string{"chain: x\nsummary: A test.\ntrigger: telemetry\nsteps: [{node: call, with: {chain: d1}}]\n"}
	for i := 1; i < 10; i++ {
		deep = append(deep, strings.NewReplacer("N", string(rune('0'+i)), "M", string(rune('0'+i+1))).Replace("chain: dN\nsummary: A test.\ntrigger: call\nsteps: [{node: call, with: {chain: dM}}]\n"))
	}
	deep[9] = "chain: d9\nsummary: A test.\ntrigger: call\nsteps: [{node: filter, with: {if: 1 < 2}}]\n"
	tests := []struct {
		name   string
		chains []string
		want   []string
	}{
		{"shares fall", []string{"chain: x\nsummary: A test.\ntrigger: rollout\nsteps:\n  - {node: stage, name: a, with: {share: 50%}}\n  - {node: stage, name: b, with: {share: 20%}}\n"}, []string{
			"x.yaml:6:12: warning: stage b opens the door to 20%, which is not more than the 50% before it (stage_order)",
			"x.yaml:6:12: warning: the last stage opens the door to 20%; end with 100% (stage_order)"}},
		{"shares that depend on params prove nothing", []string{"chain: x\nsummary: A test.\ntrigger: rollout\nparams: {s: {type: percent, default: 1%}}\nsteps:\n  - {node: stage, name: a, with: {share: \"${params.s}\"}}\n  - {node: stage, name: b, with: {share: 100%}}\n"}, nil},
		{"calls are too deep", deep, []string{"d8.yaml:4:36: calls are nested deeper than 8 (recursion)"}},
		{"a loop with a guard", []string{"chain: x\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: filter, with: {if: 1 < 2}}\n  - {node: guard, to: {again: filter}}\n"}, nil},
		{"an error road that joins the main one", []string{"chain: x\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: boom, to: {error: next}}\n  - {node: say, with: {text: \"${steps.boom.tries}\"}}\n"}, []string{
			"x.yaml:6:33: steps.boom.tries is not set on every road to this step; this road does not: boom.error (not_set_here)"}},
		{"triggers with roads of their own", []string{"chain: x\nsummary: A test.\ntrigger:\n  - {event: telemetry, to: one}\n  - {event: state_timeout, to: two}\nbranches:\n  one: [{node: say, with: {text: \"${update.state}\"}}]\n  two: [{node: say, with: {text: \"${update.state}\"}}]\n"}, []string{
			"x.yaml:7:37: update.state is not set on every road to this step (not_set_here)",
			"x.yaml:8:9: the road over two.say.said leaves the update without a next time-out; retry, hold, fail or cancel it (no_final_state)"}},
		{"members of the message that one trigger has not are any", []string{"chain: x\nsummary: A test.\ntrigger: [chunk_requested, telemetry]\nsteps: [{node: filter, with: {if: msg.size > 1}, to: {rejected: next}}, {node: say, with: {text: a}}]\n"}, []string{
			"x.yaml:4:35: msg.size may be absent, so > cannot reckon with it; write (msg.size ?? 0), or number(msg.size, 0) (may_be_absent)"}},
		{"values of a return keep their type", []string{
			"chain: x\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: call, with: {chain: y}}\n  - {node: filter, with: {if: steps.call.n > 1 and steps.call.s > 1}}\n",
			"chain: y\nsummary: A test.\ntrigger: call\nsteps: [{node: return, with: {values: {n: 1, s: \"${device.name}\"}}}]\n"}, []string{
			"x.yaml:6:65: > cannot take text and int (wrong_type)"}},
		{"a trigger's condition", []string{"chain: x\nsummary: A test.\ntrigger: {event: telemetry, if: 'update.state == \"QUEUED\" and vars.n == 1'}\nvars: {n: 1}\nsteps: [{node: say, with: {text: a}}]\n"}, []string{
			"x.yaml:3:34: update.state is not set yet: telemetry brings device and msg (not_set_here)",
			"x.yaml:3:63: vars begin with the run, after its trigger (not_set_here)"}},
		{"a config's param of the wrong type", []string{"chain: x\nsummary: A test.\ntrigger: telemetry\nparams: {n: {type: int, default: 1}, m: {type: int, default: 1, max: 5}}\nsteps: [{node: say, with: {text: a}}]\n"}, []string{
			"x.yaml:4:10: chains.params.x.n of the configuration: \"many\" is no whole number (bad_literal)",
			"x.yaml:4:38: chains.params.x.m of the configuration: m is 6, which is out of its bounds (bad_literal)"}},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			o := Options{Strict: true, Params: map[string]map[string]string{"x": {"n": "many", "m": "6"}}}
			_, err := Compile(sources(x.chains...), testRegistry(t), o)
			var got []string
			for _, f := range FaultsOf(err) {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarningsStopNoLoad(t *testing.T) {
	files := sources("chain: x\nsummary: A test.\ntrigger: rollout\nsteps: [{node: stage, with: {share: 50%}}]\n")
	set, err := Compile(files, testRegistry(t), Options{})
	if err != nil || len(set.Warnings) != 1 || !set.Warnings[0].Warning {
		t.Errorf("set %v, error %v, want one warning", set, err)
	}
	if _, err = Compile(files, testRegistry(t), Options{Strict: true}); len(FaultsOf(err)) != 1 {
		t.Errorf("strict: %v, want one fault", err)
	}
}

func TestFaultText(t *testing.T) {
	f := Fault{File: "a.yaml", Line: 3, Col: 5, Rule: "unknown_key", Message: "no such key", Source: "\t x: y"}
	want := "a.yaml:3:5: no such key (unknown_key)\n    \t x: y\n    \t   ^"
	if got := f.Text(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestClosest(t *testing.T) {
	known := []string{"telemetry", "attributes", "end", "next"}
	for got, want := range map[string]string{"telemetri": "telemetry", "tlemetry": "telemetry", "attributse": "attributes", "ned": "end", "x": "", "something": ""} {
		if c := closest(got, known); c != want {
			t.Errorf("closest to %s is %q, want %q", got, c, want)
		}
	}
}

func TestRegistry(t *testing.T) {
	if _, err := NewRegistry([]Factory{say(), say()}); err == nil || !strings.Contains(err.Error(), `"say" is given twice`) {
		t.Errorf("error %v", err)
	}
	if _, err := NewRegistry([]Factory{{Spec: Spec{Name: "loose"}}}); err == nil {
		t.Error("a factory that Define did not make is taken")
	}
}

// FuzzCompile: whatever a file holds, the loader answers with faults or a set,
// and what it loads has every edge inside of the chain.
func FuzzCompile(f *testing.F) {
	for _, glob := range []string{"../testdata/bad/*.yaml", "../testdata/chains/*.yaml"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(head + "vars: {n: 1}\nsteps:\n  - {node: set, with: {n: \"${vars.n + 1}\"}}\n  - {node: boom, to: {error: end}}\n"))
	f.Add([]byte(fiveNodes))
	reg := testRegistry(f)
	over, cancel := context.WithCancel(context.Background()) // so that nothing waits
	cancel()
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Compile([]Source{{"x.yaml", data}}, reg, Options{})
		if err != nil {
			for _, x := range FaultsOf(err) {
				if x.Line < 1 || x.Col < 1 || x.Rule == "" || x.Message == "" {
					t.Errorf("fault %+v", x)
				}
				_ = x.Text()
			}
			return
		}
		for _, c := range set.Chains() {
			for i := range c.steps {
				for _, n := range append(slices.Clone(c.steps[i].next), c.steps[i].skip) {
					if n < end || int(n) >= len(c.steps) {
						t.Errorf("step %s leads to %d", c.steps[i].name, n)
					}
				}
			}
			for i := range c.Triggers {
				r := testRun(c, telemetry(`{"a":1,"fw_state":"DOWNLOADING","battery":"x"}`))
				if err := r.exec(over, c.Triggers[i].Start); err != nil && ota.CodeOf(err) == "" {
					t.Errorf("error %v without a code", err)
				}
				_ = r.Path()
				r.release()
			}
		}
	})
}
