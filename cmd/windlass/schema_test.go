package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// compiledSchema is what `windlass schema` prints, as a validator of the
// standard sees it.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := chainSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("chain.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("chain.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge holds a chain file against the schema; readable is false where YAML
// itself has something to say, which is no schema's business.
func judge(s *jsonschema.Schema, yaml []byte) (readable bool, fault error) {
	root, problems := yamlx.Parse(yaml)
	if root == nil || len(problems) > 0 {
		return false, nil
	}
	return true, s.Validate(root.Value())
}

// goodChains are all chains of the tree that load.
func goodChains(t *testing.T) []engine.Source {
	t.Helper()
	all, err := shippedSources()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"testdata/chains", "chains/examples"} {
		more, err := folderSources(filepath.Join("..", "..", filepath.FromSlash(folder)))
		if err != nil || len(more) == 0 {
			t.Fatalf("chains of %s: %d, %v", folder, len(more), err)
		}
		all = append(all, more...)
	}
	return all
}

func TestSchemaPassesGoodChains(t *testing.T) {
	s := compiledSchema(t)
	for _, c := range goodChains(t) {
		if readable, err := judge(s, c.Data); !readable || err != nil {
			t.Errorf("%s: readable %v, %v", c.Name, readable, err)
		}
	}
}

// TestSchemaPassesExamples holds the examples in the pages of all nodes against
// the schema.
func TestSchemaPassesExamples(t *testing.T) {
	s := compiledSchema(t)
	for _, f := range factories() {
		text := f.Spec.Example
		if !strings.HasPrefix(text, "chain:") {
			text = "chain: example\nsummary: An example.\ntrigger: telemetry\n" + text
		}
		if readable, err := judge(s, []byte(text)); !readable || err != nil {
			t.Errorf("%s: readable %v, %v", f.Spec.Name, readable, err)
		}
	}
}

// unseen are the bad chains whose faults a schema cannot see: they need a second
// file, a road, a type of an expression or the configuration. All others must
// fail.
var unseen = []string{
	"bad_branches", "bad_call", "bad_called", "bad_error_road", "bad_fields", "bad_function", "bad_member", "bad_observer", "bad_range", "bad_set", "bad_split_rounds", "bad_split_states", "bad_template", "bad_where_called",
	"door_taken_1", "door_taken_2", "door_taken_3", "may_be_absent", "missing_param", "needs_proof", "no_device", "no_final_state", "no_offer",
	"no_reply", "not_set_here", "permit_over_wait", "recursion", "recursion_ping", "recursion_pong", "reply_after_nap", "reply_before_wait", "secret_leak", "stale_proof",
	"text_and_number", "trigger_to_end", "typed_door", "unbounded_loop", "undeclared", "unreachable", "wrong_subject",
}

func TestSchemaRefusesBadChains(t *testing.T) {
	s := compiledSchema(t)
	bad, err := folderSources(filepath.Join("..", "..", "testdata", "bad"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range bad {
		name := strings.TrimSuffix(filepath.Base(c.Name), ".yaml")
		readable, fault := judge(s, c.Data)
		switch blind := slices.Contains(unseen, name); {
		case !readable:
		case blind && fault != nil:
			t.Errorf("%s is refused, and stands among those that no schema can see: %v", name, fault)
		case !blind && fault == nil:
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range unseen {
		if _, err := os.Stat(filepath.Join("..", "..", "testdata", "bad", name+".yaml")); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaJudgesSteps(t *testing.T) {
	s := compiledSchema(t)
	tests := []struct {
		step string
		want bool
	}{
		{`{node: save_telemetry}`, true},
		{`{node: save_telemetry, with: }`, true},
		{`{node: save_telemetri}`, false},
		{`{node: log, with: {message: 1.10}}`, true},
		{`{node: log, with: {message: "in ${now}", level: "${vars.level}"}}`, true},
		{`{node: log, with: {message: hi, level: loud}}`, false},
		{`{node: log, with: {message: [hi]}}`, false},
		{`{node: log}`, false},
		{`{node: log, with: {mesage: hi}}`, false},
		{`{node: log, with: {message: hi}, whit: {}}`, false},
		{`{node: log, with: {message: hi}, to: {done: end, error: end}}`, true},
		{`{node: log, with: {message: hi}, to: {donne: end}}`, false},
		{`{node: log, with: {message: hi}, to: {done: The End}}`, false},
		{`{node: resolve_package, with: {pin: true}, to: {absent: away}}`, true},
		{`{node: resolve_package, with: {pin: "true"}, to: {absent: away}}`, false},
		{`{node: resolve_package, with: {pin: "${vars.pin}"}, to: {absent: away}}`, true},
		{`{node: resolve_package, with: {kind: hardware}, to: {absent: away}}`, false},
		{`{node: resolve_package}`, false},
		{`{node: resolve_package, to: {found: next}}`, false},
		{`{node: send_chunk, with: {max_size: 4KiB}, to: {external: end}}`, true},
		{`{node: send_chunk, with: {max_size: 4096}, to: {external: end}}`, true},
		{`{node: send_chunk, with: {max_size: 4 KB}, to: {external: end}}`, false},
		{`{node: send_chunk, with: {max_size: -1}, to: {external: end}}`, false},
		{`{node: retry_update, with: {attempts: 3, backoff: 1h30m, jitter: 20%, factor: 1.5}, to: {exhausted: end}}`, true},
		{`{node: retry_update, with: {backoff: 0}, to: {exhausted: end}}`, true},
		{`{node: retry_update, with: {backoff: 5}, to: {exhausted: end}}`, false},
		{`{node: retry_update, with: {backoff: 5 minutes}, to: {exhausted: end}}`, false},
		{`{node: retry_update, with: {jitter: 0.2}, to: {exhausted: end}}`, false},
		{`{node: retry_update, with: {jitter: 120%}, to: {exhausted: end}}`, false},
		{`{node: retry_update, with: {attempts: three}, to: {exhausted: end}}`, false},
		{`{node: filter, with: {if: device.online}}`, true},
		{`{node: filter, with: {if: "${device.online}"}}`, false},
		{`{node: filter, with: {if: true}, when: [a]}`, false},
		{`{node: push_attributes, with: {keys: [a, "${vars.b}"]}}`, true},
		{`{node: push_attributes, with: {keys: "${vars.keys}"}}`, true},
		{`{node: push_attributes, with: {keys: a}}`, false},
		{`{node: update_status, with: {timeouts: {DOWNLOADING: 1h}}, to: {mismatched: end}}`, true},
		{`{node: update_status, with: {timeouts: {DOWNLOADING: long}}, to: {mismatched: end}}`, false},
		{`{node: set, with: {tries: 1, word: "${vars.tries}"}}`, true},
		{`{node: set, with: {Tries: 1}}`, false},
		{`{node: call, with: {chain: other, args: {kind: firmware}}, to: {gone: end}}`, true},
		{`{node: call, with: {chain: "${vars.chain}"}}`, false},
		{`{node: call, with: {args: {}}}`, false},
		{`{node: switch, with: {value: msg.method, cases: [{name: a, if: 1 < 2}]}, to: {getLimits: a, other: end}}`, true},
		{`{node: switch, with: {value: msg.method}, to: {getLimits: a}}`, false},
		{`{node: switch, with: {cases: [{nam: a, if: 1 < 2}]}, to: {a: end, other: end}}`, false},
		{`{node: save_telemetry, retry: {attempts: 3, backoff: 1s}, timeout: 5s, note: kept}`, true},
		{`{node: save_telemetry, retry: {attempt: 3}}`, false},
		{`{node: save_telemetry, timeout: soon}`, false},
		{`{node: save_telemetry, name: next}`, false},
		{`{node: save_telemetry, name: Keep}`, false},
		{`{name: nothing}`, false},
		{`save_telemetry`, false},
	}
	for _, x := range tests {
		readable, err := judge(s, []byte("chain: a\nsummary: A.\ntrigger: telemetry\nsteps:\n  - "+x.step+"\n"))
		if !readable || (err == nil) != x.want {
			t.Errorf("%s: readable %v, %v, want passes %v", x.step, readable, err, x.want)
		}
	}
}

func TestSchemaJudgesHeads(t *testing.T) {
	s := compiledSchema(t)
	const steps = "\nsteps: [{node: save_telemetry}]"
	tests := []struct {
		head string
		want bool
	}{
		{"trigger: telemetry" + steps, true},
		{"trigger: telemetri" + steps, false},
		{"trigger: {event: telemetry, profiles: [pump], kind: firmware, if: device.online, observe: true}" + steps, true},
		{"trigger: {event: telemetry, profile: pump}" + steps, false},
		{"trigger: {profiles: [pump]}" + steps, false},
		{"trigger: [telemetry, {event: connected}]" + steps, true},
		{"trigger: telemetry", false},
		{"trigger: {event: telemetry, to: a}", true},
		{"trigger: [{event: telemetry, to: a}, {event: connected, to: b}]", true},
		{"trigger: [{event: telemetry, to: a}, connected]", false},
		{"trigger: call\noutlets: [done, gone]\nparams: {kind: {type: kind, note: which}}" + steps, true},
		{"trigger: call\nparams: {kind: {type: kynd}}" + steps, false},
		{"trigger: call\nparams: {wait: {type: duration, default: 5m, min: 1m, max: 2d}}" + steps, true},
		{"trigger: call\nparams: {wait: {type: duration, default: 5 minutes}}" + steps, false},
		{"trigger: call\nparams: {wait: {default: 5m}}" + steps, false},
		{"trigger: telemetry\nvars: {a: 1, b: text, c: [1], d: 5m, e: '$${x}'}" + steps, true},
		{"trigger: telemetry\nvars: {a: '${now}'}" + steps, false},
		{"trigger: telemetry\nfields: {telemetry: {battery: number}}" + steps, true},
		{"trigger: telemetry\nfields: {telemetri: {battery: number}}" + steps, false},
		{"trigger: telemetry\nfields: {telemetry: {battery: volt}}" + steps, false},
		{"trigger: telemetry\nlimits: {steps: 10, time: 2s}\nenabled: false\nx-base: &a [1]" + steps, true},
		{"trigger: telemetry\nlimits: {step: 10}" + steps, false},
		{"trigger: telemetry\nlimits: {steps: 0}" + steps, false},
		{"trigger: telemetry\non_error: away\nbranches: {away: [{node: save_telemetry}]}" + steps, true},
		{"trigger: telemetry\non_error: [away]" + steps, false},
		{"trigger: telemetry\nbranches: {Away: [{node: save_telemetry}]}" + steps, false},
		{"trigger: telemetry\nbranches: {away: []}" + steps, false},
		{"trigger: telemetry\nstep: []" + steps, false},
	}
	for _, x := range tests {
		readable, err := judge(s, []byte("chain: a\nsummary: A.\n"+x.head+"\n"))
		if !readable || (err == nil) != x.want {
			t.Errorf("%s: readable %v, %v, want passes %v", x.head, readable, err, x.want)
		}
	}
}

func TestAServerShowsTheSchema(t *testing.T) {
	l, err := loadChains(t.Context(), &Config{RolloutsChain: "rollout"}, engine.Deps{}, testChains(t), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := chainSchema(); err != nil || !bytes.Equal(l.schema, want) {
		t.Errorf("the server's schema is %d bytes, that of the command %d, %v", len(l.schema), len(want), err)
	}
}
