package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// shippedPrefix is where faults say that a shipped chain stands.
const shippedPrefix = "shipped/"

// shippedSources are the chains of this binary.
func shippedSources() ([]engine.Source, error) {
	all, err := engine.ReadSources(chains.Shipped())
	for i := range all {
		all[i].Name = shippedPrefix + all[i].Name
	}
	return all, err
}

// folderSources are the chains of a folder, named by their paths.
func folderSources(dir string) ([]engine.Source, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder", dir)
	}
	all, err := engine.ReadSources(os.DirFS(dir))
	for i := range all {
		all[i].Name = filepath.Join(dir, filepath.FromSlash(all[i].Name))
	}
	return all, err
}

// chainOf is the name of the chain in a file: what it says, else how the file
// is called.
func chainOf(s engine.Source) string {
	root, _ := yamlx.Parse(s.Data) // what is wrong with it is told when it is compiled
	if n := root.Get("chain"); n != nil && n.Kind == yamlx.Scalar && n.Text != "" {
		return n.Text
	}
	return strings.TrimSuffix(filepath.Base(s.Name), ".yaml")
}

// overlay puts sources over others: a chain of the same name takes the place of
// the one below.
func overlay(below, over []engine.Source) []engine.Source {
	names := map[string]bool{}
	for _, s := range over {
		names[chainOf(s)] = true
	}
	return append(slices.DeleteFunc(slices.Clone(below), func(s engine.Source) bool { return names[chainOf(s)] }), over...)
}

// engineOptions is what chains may know of the house.
func (c *Config) engineOptions(secrets map[string]string) engine.Options {
	env := map[string]string{}
	for _, name := range c.ChainEnv {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	return engine.Options{Params: c.ChainParams, Env: env, Secrets: secrets}
}

// chainFolder is the chains of a server: those shipped and over them those of the
// folder that the configuration names. It is what the API shows of chains.
type chainFolder struct {
	dir  string
	reg  *engine.Registry
	opts engine.Options
	log  *slog.Logger

	schema []byte // JSON Schema over the nodes of reg

	use func(*engine.Set) // takes a set that was loaded again; set it before the first Reload

	mu     sync.Mutex
	now    *engine.Set
	texts  map[string][]byte // by chain
	faults []string          // of the last reload, where it failed
}

// loadChains loads the chains for the first time.
func loadChains(c *Config, d engine.Deps, secrets map[string]string, log *slog.Logger) (*chainFolder, error) {
	reg, err := newRegistry(d)
	if err != nil {
		return nil, err
	}
	schema, err := engine.Schema(reg)
	if err != nil {
		return nil, err
	}
	s := &chainFolder{dir: c.Chains, reg: reg, opts: c.engineOptions(secrets), schema: schema, use: func(*engine.Set) {}, log: log}
	set, texts, err := s.compile()
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	for name := range c.ChainParams {
		if set.Chain(name) == nil {
			return nil, fmt.Errorf("chains.params.%s: there is no chain %s%s", name, name, didYouMean(name, set.Names()))
		}
	}
	if chain, _ := set.Conductor(c.RolloutsChain); chain == nil {
		return nil, fmt.Errorf("rollouts.chain: %q is no chain that conducts rollouts; there are: %s", c.RolloutsChain, strings.Join(set.Conductors(), ", "))
	}
	for _, w := range set.Warnings {
		log.Warn("a chain has a weakness", "fault", w.String())
	}
	s.now, s.texts = set, texts
	return s, nil
}

// set returns the chains as they were loaded last.
func (s *chainFolder) set() *engine.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Faults says what was wrong with the last reload; nothing where it went well.
func (s *chainFolder) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

func (s *chainFolder) compile() (*engine.Set, map[string][]byte, error) {
	sources, err := shippedSources()
	if err != nil {
		return nil, nil, err
	}
	if s.dir != "" {
		over, err := folderSources(s.dir)
		if err != nil {
			return nil, nil, err
		}
		sources = overlay(sources, over)
	}
	set, err := engine.Compile(sources, s.reg, s.opts)
	if err != nil {
		return nil, nil, err
	}
	texts := map[string][]byte{}
	for _, f := range sources {
		texts[chainOf(f)] = f.Data
	}
	return set, texts, nil
}

// List shows the chains, those that others call included.
func (s *chainFolder) List() []api.Chain {
	set := s.set()
	var out []api.Chain
	for _, name := range set.Names() {
		c := set.Chain(name)
		v := api.Chain{Name: name, Summary: c.Summary, File: c.File, Revision: c.Digest, Asks: c.Asks(), Triggers: []string{}}
		for _, t := range c.Triggers {
			v.Triggers = append(v.Triggers, string(t.Event))
		}
		if len(v.Triggers) == 0 {
			v.Triggers = append(v.Triggers, "call")
		}
		out = append(out, v)
	}
	return out
}

// Source returns the text of a chain's file.
func (s *chainFolder) Source(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.texts[name]
	return text, ok
}

// Reload loads the chains again. Faults leave those that run as they are.
func (s *chainFolder) Reload(context.Context) (api.Reload, error) {
	set, texts, err := s.compile()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.faults = nil
		for _, f := range engine.FaultsOf(err) {
			s.faults = append(s.faults, f.String())
		}
		if s.faults == nil {
			return api.Reload{}, err
		}
		s.log.Warn("the chains that were to be loaded have faults; those that ran go on", "faults", s.faults)
		return api.Reload{Faults: s.faults}, nil
	}
	done := api.Reload{Changed: changedChains(s.now, set)}
	s.now, s.texts, s.faults = set, texts, nil
	s.use(set)
	s.log.Info("chains were loaded again", "changed", done.Changed)
	return done, nil
}

func changedChains(was, is *engine.Set) []string {
	var out []string
	names := append(was.Names(), is.Names()...)
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		a, b := was.Chain(n), is.Chain(n)
		if a == nil || b == nil || a.Digest != b.Digest {
			out = append(out, n)
		}
	}
	return out
}

// shippedChains returns the text of every chain in this binary, by name.
func shippedChains() (map[string][]byte, error) {
	all, err := shippedSources()
	out := map[string][]byte{}
	for _, s := range all {
		out[chainOf(s)] = s.Data
	}
	return out, err
}
