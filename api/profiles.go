package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// NewProfile asks for a profile.
type NewProfile struct {
	Name string `json:"name" minLength:"1" maxLength:"255"`
}

type profileIn struct {
	Profile string `path:"profile" doc:"Name or id"`
}

func (s *Server) profileRoutes() {
	tags := []string{"Profiles"}
	register(s, huma.Operation{
		OperationID: "list-profiles", Method: http.MethodGet, Path: "/api/profiles", Tags: tags, Summary: "List profiles",
	}, s.listProfiles)
	register(s, huma.Operation{
		OperationID: "create-profile", Method: http.MethodPost, Path: "/api/profiles", Tags: tags, Summary: "Create a profile",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict},
	}, s.createProfile)
	register(s, huma.Operation{
		OperationID: "show-profile", Method: http.MethodGet, Path: "/api/profiles/{profile}", Tags: tags, Summary: "Show a profile",
		Errors: []int{http.StatusNotFound},
	}, s.showProfile)
	register(s, huma.Operation{
		OperationID: "change-profile", Method: http.MethodPatch, Path: "/api/profiles/{profile}", Tags: tags, Summary: "Change a profile",
		Description: "What is left out stays as it is.", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.changeProfile)
	register(s, huma.Operation{
		OperationID: "delete-profile", Method: http.MethodDelete, Path: "/api/profiles/{profile}", Tags: tags, Summary: "Delete a profile",
		Description: "Refused while devices are of this profile. Packages made for it stay.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.deleteProfile)
}

func (s *Server) listProfiles(ctx context.Context, in *Paging) (*body[List[Profile]], error) {
	page, err := s.Lister.List(ctx, ota.Query{Tenant: s.Tenant, Type: ota.ProfileRef, Cursor: in.Cursor, Limit: in.PageSize})
	if err != nil {
		return nil, err
	}
	out, n := List[Profile]{Data: []Profile{}, Next: page.Next}, s.names()
	for _, h := range page.Homes {
		p, err := n.viewProfile(ctx, h.Profile)
		if err != nil {
			return nil, err
		}
		out.Data = append(out.Data, p)
	}
	return answer(out)
}

func (s *Server) createProfile(ctx context.Context, in *struct{ Body NewProfile }) (*body[Profile], error) {
	if err := ota.CheckName("profile", in.Body.Name); err != nil {
		return nil, inField("body.name", err)
	}
	if err := s.free(ctx, ota.ProfileRef, in.Body.Name); err != nil {
		return nil, err
	}
	p := &ota.Profile{ID: ota.ProfileID(ota.NewID()), Tenant: s.Tenant, Name: in.Body.Name, Created: s.Homes.Now()}
	if err := s.create(ctx, &ota.Home{Ref: s.ref(ota.ProfileRef, string(p.ID)), Profile: p}); err != nil {
		return nil, err
	}
	return s.profileView(ctx, p)
}

// free is a Conflict where a name is taken. The store refuses a taken name as
// well; asking first gives the better word.
func (s *Server) free(ctx context.Context, typ ota.RefType, name string) error {
	_, err := s.Facts.Find(ctx, s.Tenant, typ, name)
	switch {
	case err == nil:
		return inField("body.name", ota.Errorf(ota.Conflict, "", "there is a %s %q already", typ, name))
	case ota.CodeOf(err) == ota.NotFound:
		return nil
	}
	return err
}

func (s *Server) showProfile(ctx context.Context, in *profileIn) (*body[Profile], error) {
	h, err := s.find(ctx, ota.ProfileRef, in.Profile)
	if err != nil {
		return nil, err
	}
	return s.profileView(ctx, h.Profile)
}

func (s *Server) profileView(ctx context.Context, p *ota.Profile) (*body[Profile], error) {
	v, err := s.names().viewProfile(ctx, p)
	if err != nil {
		return nil, err
	}
	return answer(v)
}

func (s *Server) deleteProfile(ctx context.Context, in *profileIn) (*struct{}, error) {
	h, err := s.find(ctx, ota.ProfileRef, in.Profile)
	if err != nil {
		return nil, err
	}
	p := h.Profile
	page, err := s.Lister.List(ctx, ota.Query{Tenant: s.Tenant, Type: ota.DeviceRef, Profile: p.ID, Limit: 1})
	if err != nil {
		return nil, err
	}
	device := ""
	if len(page.Homes) > 0 {
		device = page.Homes[0].Device.Name
	}
	if err := ota.CheckDeleteProfile(p, device); err != nil {
		return nil, err
	}
	// Its assignments go the ordinary way, which also ends their rollouts.
	for _, k := range ota.Kinds() {
		if p.Assignment(k) == nil {
			continue
		}
		if _, err := s.Wishes.Unassign(ctx, ota.Wish{Tenant: s.Tenant, Kind: k, Target: h.Ref, By: user(ctx)}); err != nil {
			return nil, err
		}
	}
	return nil, s.remove(ctx, h.Ref, func(*ota.Home) error { return nil })
}
