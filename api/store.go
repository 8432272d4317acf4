package api

import (
	"context"
	"fmt"

	"github.com/windlass-ota/windlass/ota"
)

// maxTries bounds how often a change is made again after somebody was faster.
const maxTries = 8

func (s *Server) ref(typ ota.RefType, id string) ota.Ref {
	return ota.Ref{Tenant: s.Tenant, Type: typ, ID: id}
}

// find returns the noun with that id or name, to be read and not to be changed.
func (s *Server) find(ctx context.Context, typ ota.RefType, name string) (*ota.Home, error) {
	if looksLikeID(name) {
		h, err := s.Facts.Get(ctx, s.ref(typ, name))
		if ota.CodeOf(err) != ota.NotFound {
			return h, err
		}
	}
	ref, err := s.Facts.Find(ctx, s.Tenant, typ, name)
	if err == nil {
		var h *ota.Home
		if h, err = s.Facts.Get(ctx, ref); err == nil {
			return h, nil
		}
	}
	if ota.CodeOf(err) == ota.NotFound {
		return nil, ota.Errorf(ota.NotFound, "", "there is no %s %q", typ, name)
	}
	return nil, fmt.Errorf("find %s %q: %w", typ, name, err)
}

// looksLikeID says whether name has the form of a UUID.
func looksLikeID(name string) bool {
	if len(name) != 36 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		}
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// change loads a noun, lets do change it and writes it. An error of do ends it;
// where somebody else wrote meanwhile it is done again.
func (s *Server) change(ctx context.Context, ref ota.Ref, do func(t *ota.Turn) error) (*ota.Home, error) {
	for try := 1; ; try++ {
		h, err := s.Homes.Load(ctx, ref)
		if err != nil {
			return nil, err
		}
		t := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h}
		if err := do(t); err != nil {
			return nil, err
		}
		err = s.Homes.Commit(ctx, t)
		if err == nil {
			return h, nil
		}
		if ota.CodeOf(err) != ota.Conflict || try == maxTries {
			return nil, err
		}
	}
}

// create writes a new noun.
func (s *Server) create(ctx context.Context, h *ota.Home) error {
	return s.Homes.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h})
}

// remove deletes a noun if may allows it, which sees it as it is.
func (s *Server) remove(ctx context.Context, ref ota.Ref, may func(h *ota.Home) error) error {
	_, err := s.change(ctx, ref, func(t *ota.Turn) error {
		t.Delete = true
		t.Out = append(t.Out, ota.Tells(t.Was, nil)...)
		return may(t.Home)
	})
	return err
}

// names remembers names of profiles and packages while one answer is made, so
// that a list of a thousand devices reads each profile once.
type names struct {
	s     *Server
	homes map[ota.Ref]*ota.Home
	paths map[string]*RunPath
	brief bool // paths are not asked for
}

func (s *Server) names() *names {
	return &names{s: s, homes: map[ota.Ref]*ota.Home{}, paths: map[string]*RunPath{}}
}

// get returns a noun, or nil where it is gone.
func (n *names) get(ctx context.Context, typ ota.RefType, id string) (*ota.Home, error) {
	if id == "" {
		return nil, nil
	}
	ref := n.s.ref(typ, id)
	if h, ok := n.homes[ref]; ok {
		return h, nil
	}
	h, err := n.s.Facts.Get(ctx, ref)
	if err != nil && ota.CodeOf(err) != ota.NotFound {
		return nil, err
	}
	n.homes[ref] = h
	return h, nil
}

// path reads the path of a move, once for all moves on the same way.
func (n *names) path(ctx context.Context, packed string) *RunPath {
	p, ok := n.paths[packed]
	if !ok && !n.brief {
		p = n.s.viewPath(ctx, packed)
		n.paths[packed] = p
	}
	return p
}

// profile returns a profile, or an empty one that has its id alone.
func (n *names) profile(ctx context.Context, id ota.ProfileID) (*ota.Profile, error) {
	h, err := n.get(ctx, ota.ProfileRef, string(id))
	if err != nil || h == nil {
		return &ota.Profile{ID: id}, err
	}
	return h.Profile, nil
}

// pkg returns a package, or nil where it is gone.
func (n *names) pkg(ctx context.Context, id ota.PackageID) (*ota.Package, error) {
	h, err := n.get(ctx, ota.PackageRef, string(id))
	if err != nil || h == nil {
		return nil, err
	}
	return h.Package, nil
}
