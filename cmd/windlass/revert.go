package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

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
