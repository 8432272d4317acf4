package ota

import (
	"context"
	"slices"
	"time"
)

// ApprovalState is what has come of an approval.
type ApprovalState string

// The states of an approval.
const (
	ApprovalOpen     ApprovalState = "open"
	ApprovalApproved ApprovalState = "approved"
	ApprovalDenied   ApprovalState = "denied"
	ApprovalExpired  ApprovalState = "expired" // nobody has decided in time, or its rollout has ended
)

// Who may answer an approval.
const (
	ByOperator = "operator" // people, by the API
	ByWebhook  = "webhook"  // whoever has one of its links, once; and people
)

// Approval asks people whether a rollout may go on. It is about one file for
// one target: an answer to it says nothing about any other. It lives in the
// tenant's slot.
type Approval struct {
	ID      string
	Tenant  TenantID
	Rollout RolloutID
	Step    string // of the conductor, that asks
	Note    string // what is asked, for people
	By      string // operator or webhook
	Needs   int    // so many approvals
	Author  string // who made the assignment: counts only where one is needed
	Package PackageID
	Digest  string // of the package's file
	Target  Ref
	Created time.Time
	State   ApprovalState
	Decided time.Time `json:",omitzero"`
	Votes   []Vote    `json:",omitempty"`
}

// Vote is one answer to an approval.
type Vote struct {
	By      string
	At      time.Time
	Approve bool
	Remark  string `json:",omitempty"`
}

// LinkVoter is who votes by a link: one vote in all, so that a link that was
// followed is worth nothing any more.
const LinkVoter = "link"

// Vote counts one answer. One denial denies. It is a Conflict where the approval
// is decided, where the same one has voted, and where the author may not.
func (a *Approval) Vote(v Vote) error {
	op := "answer approval " + a.ID
	switch {
	case a.State != ApprovalOpen:
		return Errorf(Conflict, op, "it is %s", a.State)
	case v.By == "":
		return Errorf(Invalid, op, "nobody says who answers")
	case v.By == LinkVoter && a.By != ByWebhook:
		return Errorf(Conflict, op, "it has no links")
	case slices.ContainsFunc(a.Votes, func(x Vote) bool { return x.By == v.By }):
		return Errorf(Conflict, op, "%s has answered already", v.By)
	case v.Approve && v.By == a.Author && a.Needs > 1:
		return Errorf(Conflict, op, "%s has made the assignment; others must approve it", v.By)
	}
	a.Votes = append(slices.Clone(a.Votes), v)
	yes := 0
	for _, x := range a.Votes {
		if x.Approve {
			yes++
		}
	}
	switch {
	case !v.Approve:
		a.State, a.Decided = ApprovalDenied, v.At
	case yes >= max(a.Needs, 1):
		a.State, a.Decided = ApprovalApproved, v.At
	}
	return nil
}

// Withdraw takes the answer of one who has approved back, while the approval is
// open.
func (a *Approval) Withdraw(by string) error {
	op := "withdraw from approval " + a.ID
	if a.State != ApprovalOpen {
		return Errorf(Conflict, op, "it is %s", a.State)
	}
	n := len(a.Votes)
	a.Votes = slices.DeleteFunc(slices.Clone(a.Votes), func(v Vote) bool { return v.By == by })
	if len(a.Votes) == n {
		return Errorf(Conflict, op, "%s has not answered", by)
	}
	return nil
}

// Asked is the approval that a rollout's conductor has opened last, and what its
// answer was.
type Asked struct {
	ID     string
	Step   string
	Until  time.Time     `json:",omitzero"` // the step that waits for it gives up then
	State  ApprovalState // open until the conductor shall hear of the answer
	By     string        `json:",omitempty"`
	Remark string        `json:",omitempty"`
}

// OpenApproval makes an approval of the rollout, which asks for it from now on.
// An earlier one that is open still is worth nothing any more.
func (r *Rollout) OpenApproval(pkg *Package, step, note, by string, needs int, now time.Time) *Home {
	a := &Approval{
		ID: NewID(), Tenant: r.Tenant, Rollout: r.ID, Step: step, Note: note, By: by, Needs: needs, Author: r.By, Package: r.Package, Target: r.Target,
		Created: now, State: ApprovalOpen,
	}
	if pkg != nil {
		a.Digest = pkg.Checksum
	}
	r.Asked = &Asked{ID: a.ID, Step: step, State: ApprovalOpen}
	r.Note(now, "asks for approval: "+note, "")
	return &Home{Ref: Ref{r.Tenant, ApprovalRef, a.ID}, Approval: a}
}

// Answer writes an answer to an approval, and what it decides into its rollout,
// whose conductor goes on by it. withdraw takes the voter's own answer back
// instead.
func (w Wishes) Answer(ctx context.Context, r Ref, v Vote, withdraw bool) (*Approval, error) {
	for try := 1; ; try++ {
		a, err := w.answer(ctx, r, v, withdraw)
		if CodeOf(err) != Conflict || try == maxTries || a == nil {
			return a, err
		}
	}
}

// answer returns a nil approval with a Conflict that another try does not mend.
func (w Wishes) answer(ctx context.Context, r Ref, v Vote, withdraw bool) (*Approval, error) {
	h, err := w.Homes.Load(ctx, r)
	if err != nil {
		return nil, err
	}
	a := h.Approval
	v.At = w.Homes.Now()
	ro, err := w.Homes.Load(ctx, Ref{a.Tenant, RolloutRef, string(a.Rollout)})
	if err != nil {
		return nil, err
	}
	t := &Turn{ID: NewTurnID(), Was: h.Clone(), Home: h}
	if asked := ro.Rollout.Asked; a.State == ApprovalOpen && (ro.Rollout.State.Ended() || asked == nil || asked.ID != a.ID) {
		return nil, Errorf(Conflict, "answer approval "+a.ID, "its rollout does not ask any more")
	}
	pkg, err := w.Homes.Load(ctx, Ref{a.Tenant, PackageRef, string(a.Package)})
	if err != nil {
		return nil, err
	}
	if pkg.Package.Checksum != a.Digest {
		return nil, Errorf(Conflict, "answer approval "+a.ID, "it is about another file than the package has now")
	}
	if withdraw {
		err = a.Withdraw(v.By)
	} else {
		err = a.Vote(v)
	}
	if err != nil {
		return nil, err
	}
	if a.State != ApprovalOpen {
		x := ro.Rollout
		x.Asked.State, x.Asked.By, x.Asked.Remark = a.State, v.By, v.Remark
		x.Note(v.At, "approval "+string(a.State), v.By)
		ro.DropEvent(Wished)
		ro.Post(Pending{At: v.At, Event: Wished, Rollout: x.ID})
		t.Also = append(t.Also, ro)
	}
	return a, w.Homes.Commit(ctx, t)
}
