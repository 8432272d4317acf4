package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// cause is why chains are looked at: the server starts, its files were read
// again, or (the zero value with follow) another process has made others active.
type cause struct {
	start, follow bool
	force         bool   // what the files say is to be active, whatever is
	by            string // who asked to read the files, "" the files themselves
}

// maxSettle bounds how often a change is tried that others come before.
const maxSettle = 8

// settle brings the files and what is active together. It decides which files
// are to be made active, compiles what will then be in force and, only when
// that is good, publishes it and lets it run. Its error may be [engine.Faults];
// then nothing has changed. It returns the names of the chains that are now
// others.
func (s *chainFolder) settle(ctx context.Context, files chainFiles, why cause) ([]string, error) {
	for try := 1; ; try++ {
		is, err := s.store.ActiveChains(ctx, "")
		if err != nil {
			return nil, err
		}
		var to []publication
		for _, name := range files.set.Names() {
			c := files.set.Chain(name)
			fresh, err := s.takes(ctx, c, is.Chains[name], why)
			if err != nil {
				return nil, err
			}
			ours, lost := s.forgotten(name, is.Chains[name])
			switch {
			case fresh && !(lost && why.follow):
				to = append(to, publication{ota.ActiveChain{Chain: name, Digest: c.Digest, File: c.Digest, By: byFile(c, why.by)}, c})
			case lost:
				to = append(to, ours)
			}
		}
		changed, err := s.enact(ctx, files, is, to, why)
		if ota.CodeOf(err) != ota.Conflict || try == maxSettle {
			return changed, err
		}
	}
}

// publication is a revision that is about to be made active.
type publication struct {
	ota.ActiveChain
	chain *engine.Chain
}

// forgotten returns what is in force here where the store has an older word of
// it, or none: a Redis that starts again may have lost the last seconds. Times
// of one chain only rise, whatever clocks say.
func (s *chainFolder) forgotten(name string, is ota.ActiveChain) (publication, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := s.active.Chains[name]
	if s.now == nil || ours.Digest == "" || !is.At.Before(ours.At) {
		return publication{}, false
	}
	c := s.now.Revision(ours.Digest)
	return publication{ours, c}, c != nil
}

// byFile says who published what stands in a file.
func byFile(c *engine.Chain, by string) string {
	switch {
	case by != "":
		return by + " (reload)"
	case strings.HasPrefix(c.File, shippedPrefix):
		return "windlass " + version
	}
	return "file"
}

// takes says whether what a chain's file says is to be made active: always where
// nothing is; at the start of a server where it is not what a file brought last,
// so that who puts an old file back and starts anew gets what it says; later
// where the file has changed under us and no other process was faster.
func (s *chainFolder) takes(ctx context.Context, c *engine.Chain, is ota.ActiveChain, why cause) (bool, error) {
	switch {
	case is.Digest == "", why.force && (is.Digest != c.Digest || is.File != c.Digest):
		return true, nil
	case is.Digest == c.Digest && is.File == c.Digest, why.follow:
		return false, nil
	case why.start:
		return is.File != c.Digest, nil
	}
	was := s.files.set.Chain(c.Name)
	switch {
	case is.File == c.Digest:
		return false, nil
	case was == nil:
		return true, nil
	case was.Digest == c.Digest:
		return false, nil
	case was.Files()[0].Text != c.Files()[0].Text:
		return true, nil
	}
	// Only what it calls has changed. A chain that was taken back itself stays
	// so until its own file changes.
	r, err := s.store.KeptChain(ctx, is.Digest)
	if err != nil {
		return ota.CodeOf(err) == ota.NotFound, notFoundIsFine(err)
	}
	return len(r.Files) == 0 || r.Files[0].Text == c.Files()[0].Text, nil
}

func notFoundIsFine(err error) error {
	if ota.CodeOf(err) == ota.NotFound {
		return nil
	}
	return err
}

// enact compiles what is in force once to is active too, publishes that, makes
// it active and lets it run. It is a Conflict where others were faster.
func (s *chainFolder) enact(ctx context.Context, files chainFiles, is ota.ActiveChains, to []publication, why cause) ([]string, error) {
	next := ota.ActiveChains{Mark: is.Mark, Chains: maps.Clone(is.Chains)}
	if next.Chains == nil {
		next.Chains = map[string]ota.ActiveChain{}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	texts := map[string][]ota.ChainFile{} // by digest: of those that are not published yet
	active := make([]ota.ActiveChain, len(to))
	for i, p := range to {
		p.At = now
		if was := is.Chains[p.Chain].At; !was.Before(now) {
			p.At = was.Add(time.Millisecond)
		}
		active[i], next.Chains[p.Chain], texts[p.Digest] = p.ActiveChain, p.ActiveChain, p.chain.Files()
	}
	set, err := s.compile(ctx, files, next.Chains, texts, why)
	if err != nil {
		return nil, err
	}
	for _, p := range to {
		r := ota.ChainRevision{Chain: p.Chain, Digest: p.Digest, Summary: p.chain.Summary, At: now, By: p.By, Files: p.chain.Files()}
		if err := s.store.KeepChain(ctx, r); err != nil {
			return nil, err
		}
	}
	if next.Mark, err = s.store.ActivateChains(ctx, is.Mark, active); err != nil {
		return nil, err
	}
	return s.swap(files, next, set), nil
}

// swap lets a set run, and warns of what its files do not say.
func (s *chainFolder) swap(files chainFiles, next ota.ActiveChains, set *engine.Set) []string {
	s.mu.Lock()
	was := s.active.Chains
	var changed []string
	if s.now != nil {
		if changed = changedChains(s.now, set); len(changed) == 0 && sameFiles(s.now, set) {
			set = s.now // with what it has counted
		}
	}
	s.files, s.active, s.now, s.faults = files, next, set, nil
	var warn []string
	for _, name := range files.set.Names() {
		if d := next.Chains[name].Digest; d != files.set.Chain(name).Digest && was[name].Digest != d {
			warn = append(warn, s.differs(name))
		}
	}
	s.mu.Unlock()
	for _, w := range warn {
		s.log.Warn(w)
	}
	s.use(set)
	return changed
}

// sameFiles says whether chains of the same revisions lie in the same files.
func sameFiles(a, b *engine.Set) bool {
	for _, n := range a.Names() {
		if a.Chain(n).File != b.Chain(n).File {
			return false
		}
	}
	return true
}

// differs says how a chain's file and what is active differ, and what to do;
// s.mu is held.
func (s *chainFolder) differs(name string) string {
	a, says := s.active.Chains[name], s.files.set.Chain(name).Digest
	if s.unfit[a.Digest] {
		return fmt.Sprintf("chain %s: revision %s is active, which this program cannot load, so it runs what its file says, revision %s", name, brief(a.Digest), brief(says))
	}
	return fmt.Sprintf("chain %s runs revision %s, made active at %s by %s; its file says revision %s. To run what the file says: windlass chains revert %s %s (for all chains: windlass chains reload --force), or change the file",
		name, brief(a.Digest), a.At.Format(time.RFC3339), a.By, brief(says), name, brief(says))
}
