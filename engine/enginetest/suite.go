// Package enginetest is what node types are held against, the built-in ones and
// those of plugins alike, and a world in memory in which one message can be run
// through a chain.
//
// It checks what can be said of any node. What a node does is for its own tests.
package enginetest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
)

var (
	typeName = regexp.MustCompile(`^([a-z][a-z0-9]*\.)?[a-z]+(_[a-z]+)*$`)
	word     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// called is the chain that an example of call may name.
const called = "chain: called\nsummary: Is called by examples.\ntrigger: call\nparams: {kind: {type: kind, default: firmware}}\nsteps: [{node: return}]\n"

// Factories holds each factory's spec against what readers, the loader and the
// reference pages need: names, sentences, one documented field for each yaml tag
// of its config, and an example that loads with the node in it. besides are
// factories that examples use too.
func Factories(t *testing.T, factories []engine.Factory, besides ...engine.Factory) {
	t.Helper()
	all := slices.DeleteFunc(append(slices.Clone(factories), besides...), func(f engine.Factory) bool { return f.Spec.Flow }) // every registry has those
	reg, err := engine.NewRegistry(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range factories {
		t.Run(f.Spec.Name, func(t *testing.T) {
			spec(t, f.Spec)
			fields(t, f)
			example(t, reg, f.Spec)
		})
	}
}

func spec(t *testing.T, s engine.Spec) {
	t.Helper()
	if !typeName.MatchString(s.Name) {
		t.Errorf("name %q is not in snake case", s.Name)
	}
	if !strings.HasSuffix(s.Summary, ".") {
		t.Errorf("summary %q is no sentence", s.Summary)
	}
	seen := map[string]bool{"error": true}
	for i, o := range s.Outlets {
		switch {
		case !word.MatchString(o.Name):
			t.Errorf("outlet %q is no word", o.Name)
		case seen[o.Name]:
			t.Errorf("outlet %s is given twice, or is error, which every node has", o.Name)
		case o.MayEnd && i == 0 && !s.NoMain:
			t.Errorf("outlet %s is the main one, which leads on and may not end", o.Name)
		}
		seen[o.Name] = true
	}
	for _, o := range s.Outputs {
		if !word.MatchString(o.Name) || o.Type == "" {
			t.Errorf("output %q has no name or no type", o.Name)
		}
	}
	if s.Replies && s.Waits {
		t.Error("a node that may wait cannot reply: waiting has acknowledged the message")
	}
}

// fields compares the documented fields with the yaml tags of the config.
func fields(t *testing.T, f engine.Factory) {
	t.Helper()
	keys := f.Keys()
	var documented []string
	for _, x := range f.Spec.Fields {
		if x.Doc == "" {
			t.Errorf("setting %s says nothing of itself", x.Key)
		}
		if slices.Contains(documented, x.Key) {
			t.Errorf("setting %s is documented twice", x.Key)
		}
		documented = append(documented, x.Key)
		if !slices.Contains(keys, x.Key) {
			t.Errorf("setting %s is documented and cannot be set", x.Key)
		}
	}
	for _, k := range keys {
		if !slices.Contains(documented, k) {
			t.Errorf("setting %s can be set and is not documented", k)
		}
	}
}

func example(t *testing.T, reg *engine.Registry, s engine.Spec) {
	t.Helper()
	if !strings.Contains(s.Example, "node: "+s.Name) {
		t.Errorf("the example does not show the node:\n%s", s.Example)
		return
	}
	text := s.Example
	if !strings.HasPrefix(text, "chain:") {
		text = "chain: example\nsummary: An example.\ntrigger: call\n" + text
	}
	files := []engine.Source{{Name: "example.yaml", Data: []byte(strings.Replace(text, "trigger: call\n", trigger(s), 1))}, {Name: "called.yaml", Data: []byte(called)}}
	if _, err := engine.Compile(files, reg, engine.Options{}); err != nil {
		t.Errorf("the example does not load:\n%s", engine.FaultsOf(err).Text())
	}
}

// trigger lets the example of return stand in a chain that has a param, as it
// would.
func trigger(s engine.Spec) string {
	if strings.Contains(s.Example, "params.kind") && !strings.Contains(s.Example, "params:") {
		return "trigger: call\nparams: {kind: {type: kind, default: firmware}}\n"
	}
	return "trigger: call\n"
}
