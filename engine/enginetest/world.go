package enginetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Now is the moment at which every run of a [World] happens.
var Now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// World is stored state in memory, which a run may read. It is an [ota.Facts].
type World struct {
	Homes  []*ota.Home // with Ref
	Latest []ota.Value // attributes and telemetry of every device
}

var _ ota.Facts = (*World)(nil)

// Get returns a home, or NotFound.
func (w *World) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	for _, h := range w.Homes {
		if h.Ref == r {
			return h, nil
		}
	}
	return nil, ota.Errorf(ota.NotFound, "get", "%s", r)
}

// Find returns the home with a name, or NotFound.
func (w *World) Find(_ context.Context, t ota.TenantID, typ ota.RefType, name string) (ota.Ref, error) {
	for _, h := range w.Homes {
		if h.Ref.Tenant == t && h.Ref.Type == typ && nameOf(h) == name {
			return h.Ref, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find", "%s %s", typ, name)
}

func nameOf(h *ota.Home) string {
	switch {
	case h.Device != nil:
		return h.Device.Name
	case h.Profile != nil:
		return h.Profile.Name
	case h.Package != nil:
		return h.Package.Version.String()
	}
	return ""
}

// ByKey returns the device with a key, or NotFound.
func (w *World) ByKey(_ context.Context, key string) (ota.Ref, error) {
	for _, h := range w.Homes {
		if h.Device != nil && h.Device.Credentials.Has(key) {
			return h.Ref, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "key", "nobody has it")
}

// Values returns the values of a scope, sorted by key.
func (w *World) Values(_ context.Context, _ ota.Ref, s ota.Scope, keys []string) ([]ota.Value, error) {
	var out []ota.Value
	for _, v := range w.Latest {
		if v.Scope == s && (keys == nil || slices.Contains(keys, v.Key)) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b ota.Value) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// Revision is 1: nothing changes while a run reads.
func (w *World) Revision(context.Context, ota.TenantID) (int64, error) { return 1, nil }

// Load compiles one chain, and those that it calls, from YAML with the given
// node types. A fault ends the test.
func Load(t testing.TB, factories []engine.Factory, texts ...string) *engine.Set {
	t.Helper()
	reg, err := engine.NewRegistry(factories)
	if err != nil {
		t.Fatal(err)
	}
	var files []engine.Source
	for _, text := range texts {
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "chain: "), "\n")
		files = append(files, engine.Source{Name: name + ".yaml", Data: []byte(text)})
	}
	set, err := engine.Compile(files, reg, engine.Options{})
	if err != nil {
		t.Fatal(engine.FaultsOf(err).Text())
	}
	return set
}

// Run takes one message through the chain of set that answers it, and returns
// what the run did and wants; nothing is stored. The message's home must be in
// the world, and stays there as it was.
func (w *World) Run(t testing.TB, set *engine.Set, m ota.Message) engine.Trial {
	t.Helper()
	ref := m.Home
	if m.Device != "" {
		ref = ota.RefOf(m.Tenant, m.Device)
	}
	home, err := w.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	profile := ""
	if home.Device != nil {
		if p, err := w.Get(t.Context(), ota.Ref{Tenant: m.Tenant, Type: ota.ProfileRef, ID: string(home.Device.Profile)}); err == nil {
			profile = p.Profile.Name
		}
	}
	chain, _ := set.Answer(m.Event, profile, m.Kind)
	if chain == nil {
		t.Fatalf("no chain answers %s", m.Event)
	}
	return chain.Try(t.Context(), m, home.Clone(), w, Now)
}

// Path prints the steps of a run: "step.outlet", one after the other.
func Path(r engine.Trial) string {
	var out []string
	for _, h := range r.Path {
		out = append(out, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	return strings.Join(out, " ")
}
