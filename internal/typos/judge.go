package main

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/nodes"
)

// verdicts is what became of all plants.
type verdicts struct {
	planted, refused map[string]int // by kind
	through          []string       // file:line:column kind: what
	required         []string       // those of through that drop an outlet which must be wired
}

// judge compiles every plant of every file that match finds in dir, beside the
// company that the file ships with.
type judge struct {
	reg   *engine.Registry
	house engine.Options
	verdicts
}

func newJudge() (*judge, error) {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	return &judge{reg: reg, verdicts: verdicts{planted: map[string]int{}, refused: map[string]int{}}}, nil
}

// folder judges the shipped chains of dir, then its examples, each of which
// stands in for the shipped chains whose name or event it takes.
func (j *judge) folder(dir fs.FS) error {
	shipped, err := sources(dir, "*.yaml")
	if err != nil {
		return err
	}
	examples, err := sources(dir, "examples/*.yaml")
	if err != nil {
		return err
	}
	j.furnish(slices.Concat(shipped, examples))
	for i, f := range shipped {
		others := slices.Concat(shipped[:i], shipped[i+1:])
		if err := j.file(f, others); err != nil {
			return err
		}
	}
	for _, f := range examples {
		others := shipped
		if j.compile(f, others) != nil {
			others = slices.DeleteFunc(slices.Clone(shipped), func(s engine.Source) bool {
				return head(s, "chain") == head(f, "chain") || head(s, "trigger") == head(f, "trigger")
			})
		}
		if err := j.file(f, others); err != nil {
			return err
		}
	}
	return nil
}

// furnish gives the house what files ask of it.
func (j *judge) furnish(files []engine.Source) {
	j.house = engine.Options{Env: map[string]string{}, Secrets: map[string]string{}, Brokers: map[string]bool{}}
	for _, f := range files {
		for _, m := range spokenTo.FindAllSubmatch(f.Data, -1) {
			j.house.Brokers[string(m[1])] = true
		}
		for _, m := range asked.FindAllSubmatch(f.Data, -1) {
			into := j.house.Env
			if string(m[1]) == "secret" {
				into = j.house.Secrets
			}
			into[string(m[2])] = "x"
		}
	}
}

func sources(dir fs.FS, pattern string) ([]engine.Source, error) {
	names, err := fs.Glob(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("list the chains: %w", err)
	}
	var out []engine.Source
	for _, name := range names {
		if test, _ := path.Match("*_test.yaml", path.Base(name)); test {
			continue
		}
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("read a chain: %w", err)
		}
		out = append(out, engine.Source{Name: name, Data: data})
	}
	return out, nil
}

// head is what a file says under a key, or its event where that is a map.
func head(s engine.Source, key string) string {
	root, _ := yamlx.Parse(s.Data)
	if root == nil || root.Get(key) == nil {
		return ""
	}
	n := root.Get(key)
	if e := n.Get("event"); e != nil {
		n = e
	}
	return n.Text
}

// file judges the plants of one file.
func (j *judge) file(f engine.Source, others []engine.Source) error {
	if err := j.compile(f, others); err != nil {
		return fmt.Errorf("%s has faults of its own: %w", f.Name, err)
	}
	all, err := plants(f.Data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	for _, p := range all {
		j.planted[p.kind]++
		if j.compile(engine.Source{Name: f.Name, Data: p.text}, others) != nil {
			j.refused[p.kind]++
			continue
		}
		line := fmt.Sprintf("%s:%d:%d %s: %s", f.Name, p.line, p.col, p.kind, p.what)
		j.through = append(j.through, line)
		if p.kind == exitGone && j.mustWire(p.node, p.outlet) {
			j.required = append(j.required, line)
		}
	}
	return nil
}

var asked = regexp.MustCompile(`\$\{(env|secret)\.(\w+)`)

// spokenTo are the brokers of MQTT that chains name.
var spokenTo = regexp.MustCompile(`broker: (\w+)`)

// compile loads a file among others, and says what is wrong. The house has
// what the sound files ask of its environment and its secrets, so that a name
// which a plant misspells is not there.
func (j *judge) compile(f engine.Source, others []engine.Source) error {
	files := append(slices.Clone(others), f)
	slices.SortFunc(files, func(a, b engine.Source) int { return strings.Compare(a.Name, b.Name) })
	_, err := engine.Compile(files, j.reg, j.house)
	return err //nolint:wrapcheck // the caller says of which file
}

// mustWire says whether an outlet of a node may not be left open. Outlets that
// a step names itself (the cases of a switch) are not known here.
func (j *judge) mustWire(node, outlet string) bool {
	f, ok := j.reg.Lookup(node)
	if !ok {
		return false
	}
	i := slices.IndexFunc(f.Spec.Outlets, func(o engine.Outlet) bool { return o.Name == outlet })
	return i >= 0 && !f.Spec.Outlets[i].MayEnd && (i > 0 || f.Spec.NoMain)
}
