package nodes_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

var (
	nodeName = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	word     = regexp.MustCompile(`^[a-z][a-z_]*$`)
)

// TestSpecs holds what every spec owes to those who read it.
func TestSpecs(t *testing.T) {
	for _, f := range nodes.All(engine.Deps{}) {
		s := f.Spec
		t.Run(s.Name, func(t *testing.T) {
			if !nodeName.MatchString(s.Name) {
				t.Errorf("name %q is not in snake case", s.Name)
			}
			if _, err := os.Stat(s.Name + ".go"); err != nil {
				t.Errorf("the node has no file of its name: %v", err)
			}
			if _, err := os.Stat(s.Name + "_test.go"); err != nil {
				t.Errorf("the node has no test: %v", err)
			}
			if !strings.HasSuffix(s.Summary, ".") || strings.Count(s.Summary, ". ") > 0 {
				t.Errorf("summary %q is not one sentence", s.Summary)
			}
			for i, o := range s.Outlets {
				if !word.MatchString(o.Name) {
					t.Errorf("outlet %q is no word", o.Name)
				}
				if o.Doc == "" && (i > 0 || s.NoMain) {
					t.Errorf("outlet %q says nothing of when it is taken", o.Name)
				}
			}
			for _, x := range s.Fields {
				if !word.MatchString(x.Key) || !strings.HasSuffix(x.Doc, ".") {
					t.Errorf("setting %q has no sentence: %q", x.Key, x.Doc)
				}
			}
			for _, o := range s.Outputs {
				if o.Doc == "" || o.Type == "" {
					t.Errorf("output %q has no type or says nothing", o.Name)
				}
			}
		})
	}
}

// TestExamplesLoad holds every example against the loader, warnings included.
func TestExamplesLoad(t *testing.T) {
	for _, f := range nodes.All(engine.Deps{}) {
		t.Run(f.Spec.Name, func(t *testing.T) {
			if !strings.Contains(f.Spec.Example, "node: "+f.Spec.Name) {
				t.Error("the example does not show the node")
			}
			_, err := compile(t, engine.Deps{}, []engine.Source{{Name: "example.yaml", Data: []byte(f.Spec.Example)}})
			if err != nil {
				t.Errorf("the example does not load:\n%s", engine.FaultsOf(err).Text())
			}
		})
	}
}
