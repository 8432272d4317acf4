package main

import (
	"context"
	"maps"
	"slices"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

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
