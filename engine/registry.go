package engine

import (
	"fmt"
	"maps"
	"slices"
)

// Registry holds the node types that chains may use. It is never changed once
// made.
type Registry struct{ byName map[string]Factory }

// NewRegistry makes a registry of factories and of the flow words that are part
// of the language. A name given twice is an error.
func NewRegistry(factories []Factory) (*Registry, error) {
	g := &Registry{byName: map[string]Factory{}}
	for _, f := range append(FlowFactories(), factories...) {
		if _, twice := g.byName[f.Spec.Name]; twice {
			return nil, fmt.Errorf("register nodes: %q is given twice", f.Spec.Name)
		}
		if f.Spec.Name == "" || f.build == nil {
			return nil, fmt.Errorf("register nodes: a factory %q was not made by Define", f.Spec.Name)
		}
		g.byName[f.Spec.Name] = f
	}
	return g, nil
}

// Lookup finds a node type by its name.
func (g *Registry) Lookup(name string) (Factory, bool) {
	f, ok := g.byName[name]
	return f, ok
}

// Names lists all node types, sorted.
func (g *Registry) Names() []string { return slices.Sorted(maps.Keys(g.byName)) }

// Specs lists the specs of all node types, sorted by name.
func (g *Registry) Specs() []Spec {
	out := make([]Spec, 0, len(g.byName))
	for _, n := range g.Names() {
		out = append(out, g.byName[n].Spec)
	}
	return out
}
