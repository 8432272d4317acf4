package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Approval asks people whether a rollout may go on.
type Approval struct {
	ID       string     `json:"id"`
	Rollout  string     `json:"rollout"`
	Step     string     `json:"step" doc:"Of the conductor"`
	Note     string     `json:"note,omitempty"`
	By       string     `json:"by" enum:"operator,webhook" doc:"Who may answer"`
	Needs    int        `json:"needs" doc:"So many approvals"`
	Author   string     `json:"author,omitempty" doc:"Who made the assignment"`
	Package  *Target    `json:"package,omitempty"`
	Checksum string     `json:"checksum" doc:"Of the file that it is about"`
	Target   string     `json:"target"`
	Created  time.Time  `json:"created"`
	State    string     `json:"state" enum:"open,approved,denied,expired"`
	Decided  *time.Time `json:"decided,omitempty"`
	Answers  []Answer   `json:"answers"`
}

// Answer is what one has said to an approval.
type Answer struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Approve bool      `json:"approve"`
	Remark  string    `json:"remark,omitempty"`
}

type approvalsIn struct {
	Paging
	Open bool `query:"open" doc:"Only those that are open"`
}

type answerIn struct {
	Approval string `path:"approval" doc:"Id"`
	Answer   string `path:"answer" enum:"approve,deny,withdraw"`
	Body     *struct {
		Remark string `json:"remark,omitempty" maxLength:"512"`
	} `required:"false"`
}

func (s *Server) approvalRoutes() {
	tags := []string{"Approvals"}
	register(s, huma.Operation{
		OperationID: "list-approvals", Method: http.MethodGet, Path: "/api/approvals", Tags: tags, Summary: "List approvals, the oldest first",
	}, s.listApprovals)
	register(s, huma.Operation{
		OperationID: "answer-approval", Method: http.MethodPost, Path: "/api/approvals/{approval}/{answer}", Tags: tags, Summary: "Approve, deny, or take an approval back",
		Description: "One denial denies. Where several approvals are needed each must come from somebody else, and none from who made the assignment.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.answerApproval)
}

func (s *Server) listApprovals(ctx context.Context, in *approvalsIn) (*body[List[Approval]], error) {
	page, err := s.Lister.List(ctx, ota.Query{Tenant: s.Tenant, Type: ota.ApprovalRef, Cursor: in.Cursor, Limit: in.PageSize})
	if err != nil {
		return nil, err
	}
	out, n := List[Approval]{Data: []Approval{}, Next: page.Next}, s.names()
	for _, h := range page.Homes {
		v, err := n.viewApproval(ctx, h.Approval)
		if err != nil {
			return nil, err
		}
		if !in.Open || v.State == string(ota.ApprovalOpen) {
			out.Data = append(out.Data, v)
		}
	}
	return answer(out)
}

func (s *Server) answerApproval(ctx context.Context, in *answerIn) (*body[Approval], error) {
	v := ota.Vote{By: user(ctx), Approve: in.Answer == answers[true]}
	if in.Body != nil {
		v.Remark = in.Body.Remark
	}
	a, err := s.Wishes.Answer(ctx, s.ref(ota.ApprovalRef, in.Approval), v, in.Answer == "withdraw")
	if err != nil {
		return nil, err
	}
	view, err := s.names().viewApproval(ctx, a)
	if err != nil {
		return nil, err
	}
	return answer(view)
}

func (n *names) viewApproval(ctx context.Context, a *ota.Approval) (Approval, error) {
	out := Approval{
		ID: a.ID, Rollout: string(a.Rollout), Step: a.Step, Note: a.Note, By: a.By, Needs: a.Needs, Author: a.Author, Checksum: a.Digest,
		Target: string(a.Target.Type) + ":" + a.Target.ID, Created: a.Created.UTC(), State: string(a.State), Decided: moment(a.Decided), Answers: []Answer{},
	}
	for _, v := range a.Votes {
		out.Answers = append(out.Answers, Answer{By: v.By, At: v.At.UTC(), Approve: v.Approve, Remark: v.Remark})
	}
	if h, err := n.get(ctx, a.Target.Type, a.Target.ID); err != nil {
		return out, err
	} else if h != nil && h.Profile != nil {
		out.Target = "profile:" + h.Profile.Name
	}
	pkg, err := n.pkg(ctx, a.Package)
	if pkg != nil {
		out.Package = target(pkg.Version)
	}
	if r, rerr := n.get(ctx, ota.RolloutRef, string(a.Rollout)); err == nil && rerr == nil && a.State == ota.ApprovalOpen {
		if r == nil || r.Rollout.State.Ended() || r.Rollout.Asked == nil || r.Rollout.Asked.ID != a.ID {
			out.State = string(ota.ApprovalExpired) // its rollout does not ask any more
		}
	}
	return out, err
}
