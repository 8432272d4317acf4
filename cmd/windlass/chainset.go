package main

import (
	"cmp"
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
	"github.com/windlass-ota/windlass/ota"
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

// engineOptions is what chains may know of the house.
func (c *Config) engineOptions(secrets map[string]string) engine.Options {
	env := map[string]string{}
	for _, name := range c.ChainEnv {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	return engine.Options{Params: c.ChainParams, Env: env, Secrets: secrets, Brokers: c.brokerNames()}
}

// chainFolder is the chains of a server: those shipped and over them those of the
// folder that the configuration names, each in the revision that all processes
// on the same state have agreed on (revisions.go). It is what the API shows of
// chains.
type chainFolder struct {
	dir   string
	reg   *engine.Registry
	opts  engine.Options
	store chainStore
	log   *slog.Logger

	schema []byte // JSON Schema over the nodes of reg

	use func(*engine.Set) // takes a set that was loaded again; set it before the first Reload

	turn  sync.Mutex // one change at a time
	unfit map[string]bool
	late  bool // a reload failed since the store was away

	mu     sync.Mutex
	files  chainFiles
	now    *engine.Set
	active ota.ActiveChains
	faults []string // of the last change, where it failed
}

// chainStore keeps what chains were, and which revisions are active.
type chainStore interface {
	ota.Revisions
	ota.Actives
}

// chainFiles is what the files say.
type chainFiles struct {
	sources []engine.Source
	set     *engine.Set
}

// loadChains loads the chains for the first time.
func loadChains(ctx context.Context, c *Config, d engine.Deps, store chainStore, secrets map[string]string, log *slog.Logger) (*chainFolder, error) {
	reg, err := newRegistry(d)
	if err != nil {
		return nil, err
	}
	schema, err := engine.Schema(reg)
	if err != nil {
		return nil, err
	}
	s := &chainFolder{dir: c.Chains, reg: reg, opts: c.engineOptions(secrets), store: store, schema: schema, use: func(*engine.Set) {}, log: log, unfit: map[string]bool{}}
	files, err := s.read()
	if err == nil {
		_, err = s.settle(ctx, files, cause{start: true})
	}
	if err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	set := s.set()
	for name := range c.ChainParams {
		if set.Chain(name) == nil {
			return nil, fmt.Errorf("chains.params.%s: there is no chain %s%s", name, name, engine.DidYouMean(name, set.Names()))
		}
	}
	if chain, _ := set.Conductor(c.RolloutsChain); chain == nil {
		return nil, fmt.Errorf("rollouts.chain: %q is no chain that conducts rollouts; there are: %s", c.RolloutsChain, strings.Join(set.Conductors(), ", "))
	}
	for _, w := range set.Warnings {
		log.Warn("a chain has a weakness", "fault", w.String())
	}
	return s, nil
}

// set returns the chains as they were loaded last.
func (s *chainFolder) set() *engine.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Faults says what was wrong with the last change; nothing where it went well.
func (s *chainFolder) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// read reads the files and proves them, as they are and by themselves.
func (s *chainFolder) read() (chainFiles, error) {
	sources, err := shippedSources()
	if err != nil {
		return chainFiles{}, err
	}
	if s.dir != "" {
		over, err := folderSources(s.dir)
		if err != nil {
			return chainFiles{}, err
		}
		sources = engine.Overlay(sources, over)
	}
	set, err := engine.Compile(sources, s.reg, s.opts)
	return chainFiles{sources, set}, err
}

// List shows the chains, those that others call included.
func (s *chainFolder) List() []api.Chain {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []api.Chain
	for _, name := range s.now.Names() {
		c := s.now.Chain(name)
		v := api.Chain{Name: name, Summary: c.Summary, File: c.File, Revision: c.Digest, Asks: c.Asks(), Triggers: []string{}}
		if says := s.files.set.Chain(name); says != nil && says.Digest != s.active.Chains[name].Digest {
			v.FileRevision, v.Warning = says.Digest, s.differs(name)
		}
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

// Source returns the text of a chain's file, as it is in force.
func (s *chainFolder) Source(name string) ([]byte, bool) {
	c := s.set().Chain(name)
	if c == nil {
		return nil, false
	}
	return []byte(c.Files()[0].Text), true
}

// Reload reads the files again. What has changed is published and made active,
// with force also what the files of the others say; faults leave those that run
// as they are. by is who asks, "" the files themselves.
func (s *chainFolder) Reload(ctx context.Context, by string, force bool) (api.Reload, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	var changed []string
	files, err := s.read()
	if err == nil {
		changed, err = s.settle(ctx, files, cause{by: by, force: force})
	}
	s.late = ota.CodeOf(err) == ota.Busy
	if faults := s.note(err); faults != nil {
		s.log.Warn("the chains that were to be loaded have faults; those that ran go on", "faults", faults)
		return api.Reload{Faults: faults}, nil
	}
	if err != nil {
		return api.Reload{}, err
	}
	s.log.Info("chains were loaded again", "changed", changed, "by", cmp.Or(by, "file"))
	return api.Reload{Changed: changed}, nil
}

// note keeps the faults of a change, or that it had none.
func (s *chainFolder) note(err error) []string {
	var faults []string
	for _, f := range engine.FaultsOf(err) {
		faults = append(faults, f.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || faults != nil {
		s.faults = faults
	}
	return faults
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
		out[s.ChainName()] = s.Data
	}
	return out, err
}
