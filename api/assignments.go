package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// NewAssignment wishes a package for a device or for a profile.
type NewAssignment struct {
	Package string            `json:"package" minLength:"1" doc:"TITLE@VERSION or id"`
	Device  string            `json:"device,omitempty" doc:"Name or id"`
	Profile string            `json:"profile,omitempty" doc:"Name or id"`
	Group   string            `json:"group,omitempty" doc:"Not in this version"`
	Chain   string            `json:"chain,omitempty" doc:"The conductor; the one configured when left out"`
	Params  map[string]string `json:"params,omitempty" doc:"The conductor's params"`
}

// AssignDone says what came of a wish.
type AssignDone struct {
	Changed bool     `json:"changed" doc:"False where it was so already, and in a dry run"`
	Rollout string   `json:"rollout,omitempty" doc:"Id of the rollout that follows the assignment"`
	Package *Target  `json:"package,omitempty"`
	Preview *Preview `json:"preview,omitempty" doc:"Of a dry run: what would follow"`
}

// Preview counts the devices that an assignment would reach.
type Preview struct {
	Devices    int `json:"devices" doc:"All of the target"`
	Update     int `json:"update" doc:"Would be updated"`
	Current    int `json:"current" doc:"Report the version already"`
	Overridden int `json:"overridden" doc:"Keep a package of their own"`
}

type assignIn struct {
	DryRun bool `query:"dryRun" doc:"Count and check, and change nothing"`
	Body   NewAssignment
}

type unassignIn struct {
	Type    string `query:"type" required:"true" enum:"firmware,software"`
	Device  string `query:"device" doc:"Name or id"`
	Profile string `query:"profile" doc:"Name or id"`
	Group   string `query:"group" doc:"Not in this version"`
}

func (s *Server) assignmentRoutes() {
	tags := []string{"Assignments"}
	register(s, huma.Operation{
		OperationID: "assign", Method: http.MethodPost, Path: "/api/assignments", Tags: tags, Summary: "Assign a package",
		Description: "Assigning what is assigned already changes nothing.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.assign)
	register(s, huma.Operation{
		OperationID: "unassign", Method: http.MethodDelete, Path: "/api/assignments", Tags: tags, Summary: "Take an assignment away",
		Description: "Where there is none nothing changes.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.unassign)
}

// wishTarget finds the one target that a wish names; where is "body" or "query".
func (s *Server) wishTarget(ctx context.Context, where, device, profile, group string) (*ota.Home, error) {
	if group != "" {
		return nil, invalid(where+".group", "this version has no device groups")
	}
	switch {
	case device != "" && profile != "":
		return nil, invalid(where+".profile", "name a device or a profile, not both")
	case device != "":
		h, err := s.find(ctx, ota.DeviceRef, device)
		return h, inField(where+".device", err)
	case profile != "":
		h, err := s.find(ctx, ota.ProfileRef, profile)
		return h, inField(where+".profile", err)
	}
	return nil, invalid(where+".device", "name a device or a profile")
}

func (s *Server) assign(ctx context.Context, in *assignIn) (*body[AssignDone], error) {
	b := in.Body
	t, err := s.wishTarget(ctx, "body", b.Device, b.Profile, b.Group)
	if err != nil {
		return nil, err
	}
	ph, err := s.find(ctx, ota.PackageRef, b.Package)
	if err != nil {
		return nil, inField("body.package", err)
	}
	if err := s.checkConductor(b); err != nil {
		return nil, err
	}
	out := AssignDone{Package: target(ph.Package.Version)}
	if in.DryRun {
		if out.Preview, err = s.preview(ctx, ph.Package, t); err != nil {
			return nil, err
		}
		return answer(out)
	}
	done, err := s.Wishes.Assign(ctx, ota.Wish{Tenant: s.Tenant, Package: ph.Ref, Target: t.Ref, By: user(ctx), Chain: b.Chain, Args: b.Params})
	if err != nil {
		return nil, err
	}
	out.Changed, out.Rollout = done.Changed, string(done.Rollout)
	return answer(out)
}

// checkConductor refuses a chain that could not conduct a rollout.
func (s *Server) checkConductor(b NewAssignment) error {
	if b.Chain == "" || s.Chains == nil {
		return nil
	}
	var conductors []string
	for _, c := range s.Chains.List() {
		for _, t := range c.Triggers {
			if t != string(ota.RolloutStarted) {
				continue
			}
			if c.Name == b.Chain {
				return nil
			}
			conductors = append(conductors, c.Name)
		}
	}
	return invalid("body.chain", "%q is no chain that conducts rollouts; there are: %s", b.Chain, strings.Join(conductors, ", "))
}

func (s *Server) unassign(ctx context.Context, in *unassignIn) (*body[AssignDone], error) {
	t, err := s.wishTarget(ctx, "query", in.Device, in.Profile, in.Group)
	if err != nil {
		return nil, err
	}
	done, err := s.Wishes.Unassign(ctx, ota.Wish{Tenant: s.Tenant, Kind: ota.Kind(in.Type), Target: t.Ref, By: user(ctx)})
	if err != nil {
		return nil, err
	}
	return answer(AssignDone{Changed: done.Changed})
}

// preview walks over the devices of a target, page by page, so that memory
// stays flat for any fleet.
func (s *Server) preview(ctx context.Context, pkg *ota.Package, t *ota.Home) (*Preview, error) {
	p := &Preview{}
	profile := ota.ProfileID(t.Ref.ID)
	if t.Device != nil {
		profile = t.Device.Profile
	}
	if err := ota.CheckAssign(pkg, s.Tenant, pkg.Kind, profile); err != nil {
		return nil, err
	}
	if t.Device != nil {
		p.add(t.Device, pkg, true)
		return p, nil
	}
	q := ota.Query{Tenant: s.Tenant, Type: ota.DeviceRef, Profile: profile, Limit: 1000}
	for {
		page, err := s.Lister.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, h := range page.Homes {
			p.add(h.Device, pkg, false)
		}
		if page.Next == "" {
			return p, nil
		}
		q.Cursor = page.Next
	}
}

func (p *Preview) add(d *ota.Device, pkg *ota.Package, own bool) {
	p.Devices++
	t := d.Track(pkg.Kind)
	switch {
	case t.Assigned != nil && !own:
		p.Overridden++
	case t.Reported.Is(pkg.Version):
		p.Current++
	default:
		p.Update++
	}
}
