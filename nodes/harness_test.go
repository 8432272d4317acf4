package nodes_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
	"github.com/windlass-ota/windlass/ota"
)

// fact is one thing that holds of a node, seen from a chain that has it.
type fact struct {
	name  string
	given func(w *world) // on top of newWorld
	chain string         // a shipped chain, a file of testdata/chains, or the text of one
	msg   ota.Message    // Tenant and Device are filled in
	path  []string       // "step outlet"
	said  []string       // replies, then pushes, as said prints them
	code  ota.Code       // of the error that no road took
	then  func(t *testing.T, w *world, r engine.Trial)
}

func facts(t *testing.T, all []fact) {
	t.Helper()
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			w := newWorld()
			if f.given != nil {
				f.given(w)
			}
			r := w.run(t, f.chain, f.msg)
			if ota.CodeOf(r.Err) != f.code {
				t.Fatalf("error %v, want code %q", r.Err, f.code)
			}
			if diff := cmp.Diff(f.path, pathOf(r)); diff != "" {
				t.Errorf("path (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(f.said, saidBy(r)); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
			if f.then != nil {
				f.then(t, w, r)
			}
		})
	}
}

// run tries a chain and keeps the home as it left it.
func (w *world) run(t *testing.T, chain string, m ota.Message) engine.Trial {
	t.Helper()
	m.Tenant = tenant
	home := ref(ota.RolloutRef, string(rollout))
	switch m.Event {
	case ota.RolloutStarted:
	case ota.PackageAdded:
		home = ref(ota.PackageRef, string(app12))
		m.Home, m.Kind = home, ota.Firmware
	default:
		m.Device, home = device, ota.RefOf(tenant, device)
	}
	r := load(t, chain, w).Try(context.Background(), m, w.homes[home].Clone(), w, w.now)
	if r.Home != nil {
		w.homes[home] = r.Home
	}
	if r.Err == nil {
		for _, f := range r.After {
			f()
		}
	}
	return r
}

// load compiles a chain of testdata/chains, or one of the shipped ones.
func load(t *testing.T, name string, w *world) *engine.Chain {
	t.Helper()
	return loadWith(t, name, engine.Deps{Wishes: w, Doors: w, Slots: w, Lister: w, Fresh: w, Blobs: w.blobs, Links: w, Metrics: w, Rates: w, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
}

func loadWith(t *testing.T, name string, d engine.Deps) *engine.Chain {
	t.Helper()
	sources := shipped(t)
	if text, ok := strings.CutPrefix(name, "chain: "); ok {
		name, _, _ = strings.Cut(text, "\n")
		sources = []engine.Source{{Name: name + ".yaml", Data: []byte("chain: " + text)}}
	} else if data, err := os.ReadFile("../testdata/chains/" + name + ".yaml"); err == nil {
		sources = []engine.Source{{Name: name + ".yaml", Data: data}}
	}
	set, err := compile(t, d, sources)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	c := set.Chain(name)
	if c == nil {
		t.Fatalf("there is no chain %s", name)
	}
	return c
}

func shipped(t testing.TB) []engine.Source {
	t.Helper()
	names, err := fs.Glob(chains.Shipped(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []engine.Source
	for _, name := range names {
		data, err := fs.ReadFile(chains.Shipped(), name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, engine.Source{Name: name, Data: data})
	}
	return out
}

// faultsOf is what is wrong with a chain called x.
func faultsOf(t *testing.T, text string) string {
	t.Helper()
	_, err := compile(t, engine.Deps{}, []engine.Source{{Name: "x.yaml", Data: []byte(text)}})
	if err == nil {
		t.Fatal("the chain loads")
	}
	return err.Error()
}

func compile(t testing.TB, d engine.Deps, sources []engine.Source) (*engine.Set, error) {
	t.Helper()
	reg, err := engine.NewRegistry(nodes.All(d))
	if err != nil {
		t.Fatal(err)
	}
	return engine.Compile(sources, reg, engine.Options{Strict: true})
}

func pathOf(r engine.Trial) []string {
	var out []string
	for _, h := range r.Path {
		out = append(out, strings.TrimSpace(h.Step+" "+h.Outlet))
	}
	return out
}

// saidBy prints what a run says in one line for each word.
func saidBy(r engine.Trial) []string {
	var out []string
	for _, p := range append(r.Replies, r.Pushes...) {
		s := string(p.Word)
		switch p.Word {
		case ota.SayChunk:
			s += fmt.Sprintf(" %s %d+%d", p.Section.Package.Version, p.Section.Off, p.Section.Len)
		case ota.SayAttributes:
			if p.Client != nil {
				s += " client " + string(p.Client)
			}
			if p.Shared != nil {
				s += " shared " + string(p.Shared)
			}
			if p.Deleted != nil {
				s += " deleted " + strings.Join(p.Deleted, " ")
			}
		case ota.SayOffer:
			s += " " + string(p.Shared)
		case ota.SayCancel:
			s += " " + strings.Join(p.Deleted, " ")
		case ota.SayBody:
			s += fmt.Sprintf(" %d %s", p.Status, p.Body)
		case ota.SayError:
			s += strings.TrimRight(" "+string(p.Code)+" "+p.Text, " ")
		}
		if p.Push {
			s = "push " + s
		}
		out = append(out, s)
	}
	return out
}

// moved prints the states that an update went through.
func moved(u *ota.Update) string {
	if u == nil {
		return "no update"
	}
	var out []string
	for _, s := range u.History {
		out = append(out, string(s.State))
	}
	return strings.Join(out, " ")
}

// same fails the test where two values differ.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	offer12   = `offer {"fw_title":"app","fw_version":"1.2","fw_tag":"app 1.2","fw_size":10,"fw_checksum_algorithm":"CRC32","fw_checksum":"43beb7e8"}`
	offerTool = `offer {"sw_title":"tool","sw_version":"1.0","sw_size":10,"sw_checksum_algorithm":"CRC32","sw_checksum":"43beb7e8"}`
)
