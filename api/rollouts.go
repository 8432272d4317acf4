package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Rollout is how far an assignment has come with its devices.
type Rollout struct {
	ID       string            `json:"id"`
	Type     string            `json:"type" enum:"firmware,software"`
	Target   string            `json:"target" doc:"profile:NAME or device:NAME"`
	Package  *Target           `json:"package,omitempty"`
	Chain    string            `json:"chain" doc:"The conductor"`
	Revision string            `json:"revision,omitempty" doc:"The conductor's, as long as it conducts"`
	Params   map[string]string `json:"params,omitempty" doc:"The conductor's params"`
	By       string            `json:"by,omitempty"`
	Started  time.Time         `json:"started"`
	State    string            `json:"state" enum:"running,paused,finished,cancelled,replaced"`
	Reason   string            `json:"reason,omitempty" doc:"Why it is paused, stopped or ended"`
	Stopped  string            `json:"stopped,omitempty" enum:"failed,timed_out" doc:"Why the door of the open stage is shut while it runs"`
	Stage    string            `json:"stage,omitempty" doc:"The one that is open, or was last"`
	Opened   *time.Time        `json:"opened,omitempty" doc:"When that stage was"`
	Stages   []RolloutStage    `json:"stages"`
	Permits  bool              `json:"permits" doc:"Devices are let in by permits"`
	Allowed  int               `json:"allowed" doc:"Devices that the open stage lets in, earlier ones included"`
	Admitted int               `json:"admitted" doc:"By permits"`
	Counts   ota.RolloutCounts `json:"counts"`
	Approval string            `json:"approval,omitempty" doc:"Id of the approval that it waits for"`
	Before   *Target           `json:"before,omitempty" doc:"What the target had until then"`
	Steps    []RolloutStep     `json:"steps,omitempty" doc:"What has happened, the oldest first"`
}

// RolloutStage is one stage of a rollout's plan.
type RolloutStage struct {
	Name        string  `json:"name"`
	State       string  `json:"state" enum:"done,current,next"`
	Share       float64 `json:"share" doc:"Of the members, earlier stages included"`
	AtLeast     int     `json:"atLeast,omitempty"`
	Decided     float64 `json:"decided"`
	MaxFailed   float64 `json:"maxFailed"`
	MinDecided  int     `json:"minDecided,omitempty"`
	MaxFailures int     `json:"maxFailures,omitempty"`
	MaxInFlight int     `json:"maxInFlight,omitempty"`
	Soak        string  `json:"soak"`
	Timeout     string  `json:"timeout"`
}

// RolloutStep is one thing that happened to a rollout.
type RolloutStep struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	By   string    `json:"by,omitempty"`
}

// OperateDone says what came of an operation.
type OperateDone struct {
	Rollout string `json:"rollout" doc:"The one asked for; of a rollback the new one"`
}

type rolloutIn struct {
	Rollout string `path:"rollout" doc:"Id"`
}

type operateIn struct {
	Rollout   string `path:"rollout" doc:"Id"`
	Operation string `path:"operation" enum:"pause,resume,promote,cancel,retry,rollback"`
	Body      *struct {
		Reason string `json:"reason,omitempty" maxLength:"512"`
	} `required:"false"`
}

func (s *Server) rolloutRoutes() {
	tags := []string{"Rollouts"}
	register(s, huma.Operation{
		OperationID: "list-rollouts", Method: http.MethodGet, Path: "/api/rollouts", Tags: tags, Summary: "List rollouts, the oldest first",
	}, s.listRollouts)
	register(s, huma.Operation{
		OperationID: "show-rollout", Method: http.MethodGet, Path: "/api/rollouts/{rollout}", Tags: tags, Summary: "Show a rollout with its plan and its counts",
		Errors: []int{http.StatusNotFound},
	}, s.showRollout)
	register(s, huma.Operation{
		OperationID: "operate-rollout", Method: http.MethodPost, Path: "/api/rollouts/{rollout}/{operation}", Tags: tags, Summary: "Pause, resume, promote, cancel, retry or roll back a rollout",
		Description: "`pause` and `cancel` shut the door at once. `resume` lets the open stage judge from now on, `promote` lets it pass now, `retry` tries again what has failed, `rollback` assigns what the target had before, as a new rollout.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.operateRollout)
}

func (s *Server) listRollouts(ctx context.Context, in *Paging) (*body[List[Rollout]], error) {
	page, err := s.Lister.List(ctx, ota.Query{Tenant: s.Tenant, Type: ota.RolloutRef, Cursor: in.Cursor, Limit: in.PageSize})
	if err != nil {
		return nil, err
	}
	out, n := List[Rollout]{Data: []Rollout{}, Next: page.Next}, s.names()
	for _, h := range page.Homes {
		v, err := n.viewRollout(ctx, h.Rollout)
		if err != nil {
			return nil, err
		}
		v.Steps = nil
		out.Data = append(out.Data, v)
	}
	return answer(out)
}

func (s *Server) showRollout(ctx context.Context, in *rolloutIn) (*body[Rollout], error) {
	h, err := s.Homes.Load(ctx, s.ref(ota.RolloutRef, in.Rollout))
	if err != nil {
		return nil, err
	}
	v, err := s.names().viewRollout(ctx, h.Rollout)
	if err != nil {
		return nil, err
	}
	return answer(v)
}

func (s *Server) operateRollout(ctx context.Context, in *operateIn) (*body[OperateDone], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	id, err := s.Wishes.Operate(ctx, s.ref(ota.RolloutRef, in.Rollout), in.Operation, user(ctx), reason)
	if err != nil {
		return nil, err
	}
	return answer(OperateDone{Rollout: string(id)})
}

func (n *names) viewRollout(ctx context.Context, r *ota.Rollout) (Rollout, error) {
	out := Rollout{
		ID: string(r.ID), Type: string(r.Kind), Chain: r.Chain, Revision: r.Revision, Params: r.Args, By: r.By, Started: r.Started.UTC(), State: string(r.State), Reason: r.Reason,
		Stopped: r.Stopped, Stage: r.Stage, Opened: moment(r.Opened), Permits: r.Permits, Allowed: r.Allowed, Stages: viewStages(r),
	}
	out.Target = string(r.Target.Type) + ":" + r.Target.ID
	if h, err := n.get(ctx, r.Target.Type, r.Target.ID); err != nil {
		return out, err
	} else if h != nil && h.Profile != nil {
		out.Target = "profile:" + h.Profile.Name
	} else if h != nil && h.Device != nil {
		out.Target = "device:" + h.Device.Name
	}
	for id, to := range map[ota.PackageID]**Target{r.Package: &out.Package, r.Before: &out.Before} {
		if pkg, err := n.pkg(ctx, id); err != nil {
			return out, err
		} else if pkg != nil {
			*to = target(pkg.Version)
		}
	}
	m, err := n.s.Lister.Counts(ctx, r.Tenant, r.Kind, r.ID)
	if err != nil {
		return out, err
	}
	out.Counts = ota.CountsOf(m)
	if r.Permits && n.s.Doors != nil {
		t, err := n.s.Doors.Tally(ctx, n.s.ref(ota.RolloutRef, string(r.ID)))
		if err != nil {
			return out, err
		}
		out.Admitted = t.Admitted
	}
	if a := r.Asked; a != nil && a.State == ota.ApprovalOpen && !r.State.Ended() {
		out.Approval = a.ID
	}
	for _, x := range r.Steps {
		out.Steps = append(out.Steps, RolloutStep{At: x.At.UTC(), What: x.What, By: x.By})
	}
	return out, nil
}

func viewStages(r *ota.Rollout) []RolloutStage {
	out, state := []RolloutStage{}, "done"
	if r.Stage == "" {
		state = "next"
	}
	for _, x := range r.Plan {
		v := RolloutStage{
			Name: x.Name, State: state, Share: x.Share, AtLeast: x.AtLeast, Decided: x.Decided, MaxFailed: x.MaxFailed, MinDecided: x.MinDecided,
			MaxFailures: x.MaxFailures, MaxInFlight: x.MaxInFlight, Soak: x.Soak.String(), Timeout: x.Timeout.String(),
		}
		if x.Name == r.Stage {
			if v.State = "current"; r.State == ota.RolloutDone {
				v.State = "done"
			}
			state = "next"
		}
		out = append(out, v)
	}
	return out
}
