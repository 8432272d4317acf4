package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// Source is a chain file: its name, as faults show it, and its bytes.
type Source struct {
	Name string
	Data []byte
}

// Options are what chains may know of the house they run in.
type Options struct {
	Params  map[string]map[string]string // chain → param → value, as text
	Env     map[string]string            // what ${env.NAME} may read
	Secrets map[string]string            // what ${secret.NAME} may read
	Brokers map[string]bool              // the MQTT brokers of the configuration; nil: not known, any name will do
	Strict  bool                         // warnings stop a load
	Wrap    Wrap                         // of a test; nil: every step is its own node
}

// Set is all chains of a folder, loaded together. It is never changed.
type Set struct {
	Warnings Faults

	byName    map[string]*Chain
	byDigest  map[string]*Chain
	answers   map[claim][]answer
	observers map[ota.Event][]answer
	heard     map[ota.Event]bool
	all       []*Chain
}

// claim is who is asked for: an event of devices of one profile, "" for those
// whom no chain names.
type claim struct {
	event   ota.Event
	profile string
	kind    ota.Kind
}

type answer struct {
	chain   *Chain
	trigger *Trigger
}

// ReadSources reads all files of a folder and those below it that are called
// NAME.yaml, save tests (NAME_test.yaml), in the order of their paths.
func ReadSources(dir fs.FS) ([]Source, error) {
	var out []Source
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, "_test.yaml") {
			return err
		}
		data, err := fs.ReadFile(dir, path)
		out = append(out, Source{path, data})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read chains: %w", err)
	}
	return out, nil
}

// Compile loads chains: all of them, or none. The error is [Faults] and holds
// everything that is wrong with any of them. Warnings alone are no error and
// lie in the set.
func Compile(files []Source, reg *Registry, opts Options) (*Set, error) {
	return CompileActive(files, nil, reg, opts)
}

// CompileActive is [Compile] of files of which some chains are in force as they
// were at another time: active holds, by the chain's name, the files of that
// revision. Such a chain calls what it called then, and the other chains call
// what the files say. A chain that no file names stays out.
func CompileActive(files []Source, active map[string][]ota.ChainFile, reg *Registry, opts Options) (*Set, error) {
	faults := &faultList{}
	docs, order := readDocs(files, faults)
	s := &Set{byName: map[string]*Chain{}, byDigest: map[string]*Chain{}, observers: map[ota.Event][]answer{}, answers: map[claim][]answer{}, heard: map[ota.Event]bool{}}
	for i, d := range order {
		known := docs
		if was := active[d.name]; len(was) > 0 {
			var own []*doc
			if known, own = readDocs(sourcesOf(was), faults); len(own) == 0 {
				continue
			}
			d = own[0]
			order[i] = d
		}
		if !d.enabled {
			continue
		}
		b := &builder{docs: known, reg: reg, opts: &opts, faults: faults, doc: d}
		if c := b.build(); c != nil && d.name != "" {
			s.add(c)
		}
	}
	s.claims(order, faults)
	all := faults.all.sorted()
	if all.Fatal(opts.Strict) {
		return nil, all
	}
	s.Warnings = all
	return s, nil
}

func (s *Set) add(c *Chain) {
	if len(c.Triggers) > 0 {
		s.all = append(s.all, c)
	}
	s.byName[c.Name], s.byDigest[c.Digest] = c, c
}

// readDocs reads files, by the names of their chains and in order.
func readDocs(files []Source, faults *faultList) (byName map[string]*doc, order []*doc) {
	byName = map[string]*doc{}
	for _, f := range files {
		d := readDoc(f, faults)
		if d == nil {
			continue
		}
		if old, taken := byName[d.name]; taken && d.name != "" {
			faults.add(d.src, d.nameAt, ruleNameTaken, "chain %s stands in %s already", d.name, old.src.name)
		} else if d.name != "" {
			byName[d.name] = d
		}
		order = append(order, d)
	}
	return byName, order
}

// FaultsOf returns the faults in err, or nil.
func FaultsOf(err error) Faults {
	var f Faults
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// Chains lists the chains that some event starts, in the order of their files.
func (s *Set) Chains() []*Chain { return slices.Clone(s.all) }

// Chain finds a chain by its name, called ones too, or returns nil.
func (s *Set) Chain(name string) *Chain { return s.byName[name] }

// Revision finds a chain by its digest, or returns nil.
func (s *Set) Revision(digest string) *Chain { return s.byDigest[digest] }

// Names lists all chains, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// Conductors lists the chains that can conduct a rollout.
func (s *Set) Conductors() []string {
	var out []string
	for _, c := range s.all {
		for i := range c.Triggers {
			if c.Triggers[i].Event == ota.RolloutStarted && !slices.Contains(out, c.Name) {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

// Conductor finds the chain that conducts a rollout, by its name; nil where
// there is none that can.
func (s *Set) Conductor(name string) (*Chain, *Trigger) {
	c := s.byName[name]
	if c == nil {
		return nil, nil
	}
	for i := range c.Triggers {
		if c.Triggers[i].Event == ota.RolloutStarted {
			return c, &c.Triggers[i]
		}
	}
	return nil, nil
}

// Hears says whether any chain listens to an event.
func (s *Set) Hears(e ota.Event) bool { return s.heard[e] }

// Answer finds the chain that answers an event of a device of a profile, by the
// profile's name, and of a kind ("" where the event has none). The narrower
// claim wins. It is nil where no chain hears the event. The trigger's If is the
// caller's to judge.
func (s *Set) Answer(e ota.Event, profile string, k ota.Kind) (*Chain, *Trigger) {
	for _, c := range [...]claim{{e, profile, k}, {e, profile, ""}, {e, "", k}, {e, "", ""}} {
		if a := s.answers[c]; len(a) > 0 {
			return a[0].chain, a[0].trigger
		}
	}
	return nil, nil
}

// Observed says whether any chain listens to the event beside the one that
// answers.
func (s *Set) Observed(e ota.Event) bool { return len(s.observers[e]) > 0 }

// Observers calls yield for every chain that listens to an event beside the one
// that answers, and for every chain of an event that many may hear.
func (s *Set) Observers(e ota.Event, profile string, k ota.Kind, yield func(*Chain, *Trigger)) {
	for _, a := range s.observers[e] {
		t := a.trigger
		if (t.Kind == "" || k == "" || t.Kind == k) && (len(t.Profiles) == 0 || slices.Contains(t.Profiles, profile)) {
			yield(a.chain, t)
		}
	}
}

// claims notes who answers what, and refuses two equal claims.
func (s *Set) claims(docs []*doc, faults *faultList) {
	owner := map[claim]string{}
	for _, d := range docs {
		c := s.byName[d.name]
		if c == nil || !d.enabled || c.File != d.src.name {
			continue
		}
		i := 0
		for _, td := range d.triggers {
			if td.call {
				continue
			}
			t := &c.Triggers[i]
			i++
			s.heard[t.Event] = true
			if t.Event == ota.Arrived {
				s.claimDoor(d, td, t, owner, faults)
				continue
			}
			if t.Observe || heardByMany(t.Event) {
				s.observers[t.Event] = append(s.observers[t.Event], answer{c, t})
				continue
			}
			if t.Event == ota.RolloutStarted {
				continue // named by the assignment
			}
			profiles := t.Profiles
			if len(profiles) == 0 {
				profiles = []string{""}
			}
			for _, p := range profiles {
				k := claim{t.Event, p, t.Kind}
				if by, taken := owner[k]; taken {
					faults.add(d.src, td.at, ruleDoorTaken, "chain %s answers %s already%s; narrow it by profiles or kind, or observe", by, t.Event, claimText(k))
					continue
				}
				owner[k] = d.name
				s.answers[k] = append(s.answers[k], answer{c, t})
			}
		}
	}
}

// claimDoor notes a door, and refuses one that another chain has opened.
func (s *Set) claimDoor(d *doc, td triggerDoc, t *Trigger, owner map[claim]string, faults *faultList) {
	if t.Door == nil {
		return // its fault is told
	}
	key := doorKey(t.Door)
	if key == "" {
		return
	}
	k := claim{event: ota.Arrived, profile: key}
	if by, taken := owner[k]; taken {
		faults.add(d.src, td.door.nodeAt, ruleDoorTaken, "chain %s has opened %s already", by, key)
		return
	}
	owner[k] = d.name
}

func claimText(k claim) string {
	var parts []string
	if k.profile != "" {
		parts = append(parts, "profile "+k.profile)
	}
	if k.kind != "" {
		parts = append(parts, string(k.kind))
	}
	if len(parts) == 0 {
		return ""
	}
	return " for " + strings.Join(parts, ", ")
}
