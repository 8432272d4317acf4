package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// cause is why chains are looked at: the server starts, its files were read
// again, or (the zero value with follow) another process has made others active.
type cause struct {
	start, follow bool
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
	case strings.HasPrefix(c.File, shippedPrefix):
		return "windlass " + version
	case by != "":
		return by + " (reload)"
	}
	return "file"
}

// takes says whether what a chain's file says is to be made active: always where
// nothing is; at the start of a server where it was never published; later where
// the file has changed under us and no other process was faster.
func (s *chainFolder) takes(ctx context.Context, c *engine.Chain, is ota.ActiveChain, why cause) (bool, error) {
	switch {
	case is.Digest == "":
		return true, nil
	case is.Digest == c.Digest && is.File == c.Digest, why.follow:
		return false, nil
	case why.start:
		_, err := s.store.KeptChain(ctx, c.Digest)
		if ota.CodeOf(err) == ota.NotFound {
			return true, nil
		}
		return false, err
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
	return fmt.Sprintf("chain %s runs revision %s, made active at %s by %s; its file says revision %s. To run what the file says: windlass chains revert %s %s, or change the file",
		name, brief(a.Digest), a.At.Format(time.RFC3339), a.By, brief(says), name, brief(says))
}

// compile makes the chains of files in their active revisions. When the server
// starts there is no last good set to go on with: a revision that this program
// cannot load is then named, and its file's stands in.
func (s *chainFolder) compile(ctx context.Context, files chainFiles, active map[string]ota.ActiveChain, texts map[string][]ota.ChainFile, why cause) (*engine.Set, error) {
	pins, err := s.pins(ctx, files, active, texts)
	if err != nil || len(pins) == 0 {
		return files.set, err
	}
	set, err := engine.CompileActive(files.sources, pins, s.reg, s.opts)
	if err == nil {
		s.fit(active, pins)
		return set, nil
	}
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if _, err := engine.CompileRevision(pins[name], s.reg, s.opts); err != nil && why.start {
			s.unload(active[name], err)
		}
	}
	fit := maps.Clone(pins)
	maps.DeleteFunc(fit, func(name string, _ []ota.ChainFile) bool { return s.unfit[active[name].Digest] })
	if len(fit) < len(pins) {
		set, err = engine.CompileActive(files.sources, fit, s.reg, s.opts)
	}
	if err == nil || !why.start {
		return set, err
	}
	for name := range fit {
		s.unload(active[name], err)
	}
	return files.set, nil
}

// pins are the files of the active revisions that chains are not as their files
// say.
func (s *chainFolder) pins(ctx context.Context, files chainFiles, active map[string]ota.ActiveChain, texts map[string][]ota.ChainFile) (map[string][]ota.ChainFile, error) {
	out := map[string][]ota.ChainFile{}
	for _, name := range files.set.Names() {
		d := active[name].Digest
		if d == files.set.Chain(name).Digest {
			continue
		}
		text, ok := texts[d]
		if !ok {
			r, err := s.store.KeptChain(ctx, d)
			if ota.CodeOf(err) == ota.NotFound {
				s.unload(active[name], err)
				continue
			} else if err != nil {
				return nil, err
			}
			text = r.Files
		}
		out[name] = at(text, d)
	}
	return out, nil
}

// unload notes, once, that an active revision does not run here.
func (s *chainFolder) unload(a ota.ActiveChain, err error) {
	s.mu.Lock()
	known := s.unfit[a.Digest]
	s.unfit[a.Digest] = true
	s.mu.Unlock()
	if known {
		return
	}
	s.log.Error("the active revision of a chain cannot be loaded; what its file says runs", "chain", a.Chain, "revision", a.Digest, "err", err)
}

// fit notes that active revisions run here, perhaps after they did not.
func (s *chainFolder) fit(active map[string]ota.ActiveChain, pins map[string][]ota.ChainFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range pins {
		delete(s.unfit, active[name].Digest)
	}
}

// brief is the beginning of a digest by which people call it.
func brief(digest string) string { return digest[:min(8, len(digest))] }

// at names files by the revision that they are of, so that faults and lists
// tell them from those on disk.
func at(files []ota.ChainFile, digest string) []ota.ChainFile {
	out := slices.Clone(files)
	for i := range out {
		out[i].Name += "@" + brief(digest)
	}
	return out
}

// look takes over what another process has made active, if it has, and does
// again a reload for which the store was away.
func (s *chainFolder) look(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.late {
		files, err := s.read()
		if err == nil {
			_, err = s.settle(ctx, files, cause{})
		}
		if s.late = ota.CodeOf(err) == ota.Busy; s.late {
			return err
		}
		s.note(err)
		return err
	}
	s.mu.Lock()
	mark, files := s.active.Mark, s.files
	s.mu.Unlock()
	is, err := s.store.ActiveChains(ctx, mark)
	if err != nil || is.Mark == mark && mark != "" {
		return err
	}
	changed, err := s.settle(ctx, files, cause{follow: true})
	if faults := s.note(err); faults != nil {
		s.mu.Lock()
		s.active.Mark = is.Mark // said once
		s.mu.Unlock()
		s.log.Error("chains that another process has made active have faults here; those that ran go on", "faults", faults)
		return nil
	}
	if len(changed) > 0 {
		s.log.Info("chains were made active by another process", "changed", changed)
	}
	return err
}

// lookEvery is how soon a process hears of what another one has made active.
const lookEvery = time.Second

// follow looks again and again, until ctx ends.
func (s *chainFolder) follow(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("what chains are active could not be read", "err", err)
		}
	}
}

// nameLost names the revisions that runs wait on and that this program cannot
// load: such runs become dead letters when they are due.
func (s *chainFolder) nameLost(ctx context.Context, library *engine.Library) error {
	needed, err := s.store.NeededChains(ctx)
	if err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(needed)) {
		if s.set().Revision(d) != nil {
			continue
		}
		if _, err := library.Chain(ctx, d); ota.CodeOf(err) == ota.NotFound || ota.CodeOf(err) == ota.Invalid {
			s.log.Error("runs wait on a revision of a chain that cannot be loaded; they become dead letters when they are due", "revision", d, "homes", needed[d], "err", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Revisions lists those of a chain that are kept, the newest first.
func (s *chainFolder) Revisions(ctx context.Context, name string) ([]api.ChainRevision, error) {
	all, err := s.store.KeptChains(ctx, name)
	if err != nil {
		return nil, err
	}
	is, err := s.store.ActiveChains(ctx, "")
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, ota.Errorf(ota.NotFound, "", "there is no chain %q", name)
	}
	s.mu.Lock()
	says := s.files.set.Chain(name)
	s.mu.Unlock()
	out := make([]api.ChainRevision, len(all))
	for i, r := range all {
		out[i] = s.shown(r, is.Chains[name], says)
	}
	return out, nil
}

func (s *chainFolder) shown(r ota.ChainRevision, is ota.ActiveChain, says *engine.Chain) api.ChainRevision {
	v := api.ChainRevision{
		Revision: r.Digest, Summary: r.Summary, At: r.At, By: r.By,
		Active: r.Digest == is.Digest, File: says != nil && says.Digest == r.Digest, Waiting: r.Needed,
	}
	if v.Active {
		v.ActiveBy, v.ActiveSince = is.By, &is.At
	}
	return v
}

// find returns the one revision of a chain whose digest begins so.
func (s *chainFolder) find(ctx context.Context, name, prefix string) (api.ChainRevision, error) {
	all, err := s.Revisions(ctx, name)
	if err != nil {
		return api.ChainRevision{}, err
	}
	var found []api.ChainRevision
	for _, r := range all {
		if prefix != "" && strings.HasPrefix(r.Revision, prefix) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return api.ChainRevision{}, ota.Errorf(ota.NotFound, "", "chain %s has no revision %q", name, prefix)
	case 1:
		return found[0], nil
	}
	return api.ChainRevision{}, ota.Errorf(ota.Invalid, "", "%d revisions of chain %s begin with %q", len(found), name, prefix)
}

// Revision returns one of a chain's revisions with its texts.
func (s *chainFolder) Revision(ctx context.Context, name, prefix string) (api.RevisionText, error) {
	v, err := s.find(ctx, name, prefix)
	if err != nil {
		return api.RevisionText{}, err
	}
	r, err := s.store.KeptChain(ctx, v.Revision)
	out := api.RevisionText{ChainRevision: v, Files: []api.ChainFile{}}
	for _, f := range r.Files {
		out.Files = append(out.Files, api.ChainFile{Chain: f.Chain, Name: f.Name, YAML: f.Text})
	}
	return out, err
}

// Revert makes an older revision of a chain active, in all processes. Chains
// that call it call it as it was then.
func (s *chainFolder) Revert(ctx context.Context, name, prefix, by string) (api.Reverted, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	to, err := s.find(ctx, name, prefix)
	if err != nil {
		return api.Reverted{}, err
	}
	s.mu.Lock()
	files := s.files
	s.mu.Unlock()
	if files.set.Chain(name) == nil {
		return api.Reverted{}, ota.Errorf(ota.Conflict, "", "chain %s has no file any more, so it does not run; put its file back first", name)
	}
	target, err := s.kept(ctx, to.Revision)
	if faults := engine.FaultsOf(err); faults != nil {
		return api.Reverted{Faults: faultTexts(faults)}, nil
	}
	if err != nil {
		return api.Reverted{}, err
	}
	for try := 1; ; try++ {
		is, err := s.store.ActiveChains(ctx, "")
		if err != nil {
			return api.Reverted{}, err
		}
		was := is.Chains[name].Digest
		if was == to.Revision {
			return api.Reverted{Chain: name, Revision: to.Revision, Was: was, Changed: []string{}}, nil
		}
		steps, err := s.wayBack(ctx, files, is, target, by+" (revert)")
		var changed []string
		if err == nil {
			changed, err = s.enact(ctx, files, is, steps, cause{})
		}
		if ota.CodeOf(err) == ota.Conflict && try < maxSettle {
			continue
		}
		if faults := engine.FaultsOf(err); faults != nil {
			return api.Reverted{Faults: faultTexts(faults)}, nil
		}
		if err != nil {
			return api.Reverted{}, err
		}
		s.log.Warn("a chain was taken to another revision", "chain", name, "revision", to.Revision, "was", was, "by", by)
		return api.Reverted{Chain: name, Revision: to.Revision, Was: was, Changed: changed}, nil
	}
}

// kept loads a revision that is kept. Where this program cannot, its error is
// [engine.Faults].
func (s *chainFolder) kept(ctx context.Context, digest string) (*engine.Chain, error) {
	r, err := s.store.KeptChain(ctx, digest)
	if err != nil {
		return nil, err
	}
	if _, err := engine.CompileRevision(at(r.Files, digest), s.reg, s.opts); err != nil {
		return nil, err // with the names by which people know it
	}
	c, err := engine.CompileRevision(r.Files, s.reg, s.opts)
	if err == nil && c.Digest != digest {
		return nil, ota.Errorf(ota.Internal, "read revision "+digest, "its files make revision %s", c.Digest)
	}
	return c, err
}

// wayBack is what becomes active when target does: that, and a new revision of
// each chain that calls it.
func (s *chainFolder) wayBack(ctx context.Context, files chainFiles, is ota.ActiveChains, target *engine.Chain, by string) ([]publication, error) {
	out := []publication{{ota.ActiveChain{Chain: target.Name, Digest: target.Digest, File: is.Chains[target.Name].File, By: by}, target}}
	then := map[string]ota.ChainFile{}
	for _, f := range target.Files() {
		then[f.Chain] = f
	}
	var faults engine.Faults
	for _, name := range files.set.Names() {
		a := is.Chains[name]
		if name == target.Name || a.Digest == "" {
			continue
		}
		r, err := s.store.KeptChain(ctx, a.Digest)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(r.Files, func(f ota.ChainFile) bool { return f.Chain == target.Name }) {
			continue
		}
		mixed := make([]ota.ChainFile, 0, len(r.Files)+len(then))
		for _, f := range r.Files {
			if _, replaced := then[f.Chain]; !replaced {
				mixed = append(mixed, f)
			}
		}
		mixed = append(mixed, target.Files()...)
		c, err := engine.CompileRevision(mixed, s.reg, s.opts)
		var f engine.Faults
		switch {
		case errors.As(err, &f):
			faults = append(faults, f...)
		case err != nil:
			return nil, err
		case c.Digest != a.Digest:
			out = append(out, publication{ota.ActiveChain{Chain: name, Digest: c.Digest, File: a.File, By: by}, c})
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return out, nil
}

func faultTexts(faults engine.Faults) []string {
	out := make([]string, len(faults))
	for i, f := range faults {
		out[i] = f.String()
	}
	return out
}
