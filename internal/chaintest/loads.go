package chaintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// loads knows the chains that a test file is played with: those that are
// shipped, over them those of its folder that it is about.
type loads struct {
	chain     string // under test
	sources   []engine.Source
	factories func(engine.Deps) []engine.Factory
	graphs    map[string]*engine.Graph
	left      []string // files that were left out, and why
}

// newLoads finds the chains for a test of one chain. Where those of a folder
// cannot be loaded together, since several answer the same event, the chain under
// test goes first, then what others call, then what is shipped.
func newLoads(f *File, folder []engine.Source, o Options) (*loads, error) {
	chain := f.Chain
	l := &loads{chain: chain, factories: o.Factories, graphs: map[string]*engine.Graph{}}
	folder = about(f, folder, o.Shipped)
	all := engine.Overlay(o.Shipped, folder)
	rank := func(s engine.Source) int {
		switch {
		case s.ChainName() == chain:
			return 0
		case !slices.ContainsFunc(folder, func(f engine.Source) bool { return f.Name == s.Name }):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(all, func(a, b engine.Source) int { return rank(a) - rank(b) })
	if len(all) == 0 || all[0].ChainName() != chain {
		var names []string
		for _, s := range all {
			names = append(names, s.ChainName())
		}
		return nil, fmt.Errorf("there is no chain %s, neither beside the test nor among those that are shipped%s", chain, engine.DidYouMean(chain, names))
	}
	reg, err := engine.NewRegistry(o.Factories(engine.Deps{}))
	if err != nil {
		return nil, err
	}
	house := engine.Options{Secrets: named(all, "secret."), Env: named(all, "env."), Params: map[string]map[string]string{}}
	for _, c := range f.Cases {
		for chain, p := range c.given.Params {
			house.Params[chain] = p
		}
	}
	for {
		_, err := engine.Compile(all, reg, house)
		faults := fatal(err)
		if len(faults) == 0 {
			break
		}
		own := slices.DeleteFunc(slices.Clone(faults), func(f engine.Fault) bool { return f.File != all[0].Name })
		if len(own) > 0 {
			return nil, own
		}
		for _, f := range faults {
			all = slices.DeleteFunc(all, func(s engine.Source) bool { return s.Name == f.File })
			if f.Rule != "door_taken" && !slices.ContainsFunc(l.left, func(n string) bool { return strings.HasPrefix(n, f.File+" ") }) {
				l.left = append(l.left, fmt.Sprintf("%s is left out: %s", f.File, f))
			}
		}
	}
	l.sources = all
	for _, s := range all {
		if g, _ := engine.GraphOf(all, s.ChainName(), reg, house); g != nil {
			l.graphs[g.Chain] = g
		}
	}
	return l, nil
}

// about are the chains of a folder that a test is about: the one under test,
// those that stand for shipped ones, those that its cases name, and what any of
// them calls. The others, of which two may claim the same event, are not in
// force: a test says the same wherever its files lie.
func about(f *File, folder, shipped []engine.Source) []engine.Source {
	names := map[string]bool{f.Chain: true}
	for _, s := range shipped {
		names[s.ChainName()] = true
	}
	for _, c := range f.Cases {
		for _, name := range c.given.Chains {
			names[name] = true
		}
		for _, a := range c.given.Assignments {
			names[a.Chain] = true
		}
		for _, x := range c.acts {
			if a, ok := x.do.(*assignDoc); ok {
				names[a.Chain] = true
			}
		}
	}
	for more := true; more; {
		more = false
		for _, s := range folder {
			for _, called := range s.Calls() {
				if names[s.ChainName()] && !names[called] {
					names[called], more = true, true
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(folder), func(s engine.Source) bool { return !names[s.ChainName()] })
}

// fatal are the faults that stop a load.
func fatal(err error) engine.Faults {
	return slices.DeleteFunc(slices.Clone(engine.FaultsOf(err)), func(f engine.Fault) bool {
		return f.Warning || f.Rule == "missing" && strings.Contains(f.Message, "secret")
	})
}

// compile loads the chains for a world.
func (l *loads) compile(w *world) (*engine.Set, error) {
	reg, err := engine.NewRegistry(l.factories(engine.Deps{
		Facts: w.st, Fresh: w.st, Lister: w.st, Blobs: w.files, Links: links{}, Rates: w.st, Wishes: w.wish, Brokers: (*published)(w), Doors: w.st, Slots: w.st, Logger: slog.New(slog.DiscardHandler),
	}))
	if err != nil {
		return nil, err
	}
	g := w.given
	params := map[string]map[string]string{}
	for chain, p := range g.Params {
		params[chain] = p
	}
	secrets := named(l.sources, "secret.")
	env := named(l.sources, "env.")
	maps.Copy(secrets, g.Secrets)
	maps.Copy(env, g.Env)
	return engine.Compile(l.sources, reg, engine.Options{Params: params, Env: env, Secrets: secrets, Wrap: w.mocks.wrap})
}

// segment is a run through one chain: all of it, or the part of it that went
// through a chain that another calls.
type segment struct {
	chain string
	by    string       // the step that called it, with those around it, or ""
	steps []engine.Hop // by their names in the chain
	full  []engine.Hop // and with those of the chains that it calls
}

// segments takes a run apart into the chains that it went through, the called
// ones first.
func (l *loads) segments(t engine.Traced) []segment { return l.split(t.Chain.Name, "", t.Steps) }

func (l *loads) split(chain, by string, steps []engine.Hop) []segment {
	var out []segment
	own := segment{chain: chain, by: by, full: steps}
	for i := 0; i < len(steps); {
		call, _, nested := strings.Cut(steps[i].Step, "/")
		if !nested {
			own.steps = append(own.steps, steps[i])
			i++
			continue
		}
		var inner []engine.Hop
		for ; i < len(steps) && strings.HasPrefix(steps[i].Step, call+"/"); i++ {
			inner = append(inner, engine.Hop{Step: steps[i].Step[len(call)+1:], Outlet: steps[i].Outlet})
		}
		if called := l.calls(chain, call); called != "" {
			out = append(out, l.split(called, strings.TrimPrefix(by+"/"+call, "/"), inner)...)
		}
	}
	return append(out, own)
}

// calls is the chain that a step calls, or "".
func (l *loads) calls(chain, step string) string {
	if g := l.graphs[chain]; g != nil {
		for _, s := range g.Steps {
			if s.Name == step {
				return s.Calls
			}
		}
	}
	return ""
}

// named gives every secret, or whatever root says, that chains name some value:
// a test need not give what it does not care for.
func named(sources []engine.Source, root string) map[string]string {
	out := map[string]string{}
	for _, s := range sources {
		for _, part := range strings.Split(string(s.Data), root)[1:] {
			end := strings.IndexFunc(part, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if end < 0 {
				end = len(part)
			}
			out[part[:end]] = "what a test does not care for"
		}
	}
	return out
}

// links makes links that nobody follows.
type links struct{}

// Link implements [engine.Linker].
func (links) Link(_ ota.TenantID, p ota.PackageID, _ time.Time) (string, error) {
	return "https://windlass.test/packages/" + string(p), nil
}

// Answer implements [engine.Linker].
func (links) Answer(_ ota.TenantID, approval string, approve bool) (string, error) {
	return fmt.Sprintf("https://windlass.test/approvals/%s/%v", approval, approve), nil
}

// Open implements [ota.Blobs].
func (b *blobs) Open(_ context.Context, digest string) (ota.Blob, error) {
	if data := b.bytes(digest); data != nil {
		return blobFile{bytes.NewReader(data)}, nil
	}
	return nil, ota.Errorf(ota.NotFound, "open blob", "there is no %s", digest)
}

var errBlobs = errors.New("chains write no files")

// Put implements [ota.Blobs].
func (*blobs) Put(context.Context, io.Reader, ota.ChecksumAlgorithm, int64) (ota.BlobInfo, error) {
	return ota.BlobInfo{}, errBlobs
}

// Delete implements [ota.Blobs].
func (*blobs) Delete(context.Context, string) error { return errBlobs }
