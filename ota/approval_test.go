package ota

import "testing"

func TestVotes(t *testing.T) {
	type vote struct {
		by   string
		yes  bool
		code Code
	}
	tests := []struct {
		name  string
		by    string
		needs int
		votes []vote
		want  ApprovalState
	}{
		{"one is enough, its author too", ByOperator, 1, []vote{{"ann", true, ""}}, ApprovalApproved},
		{"two others", ByOperator, 2, []vote{{"ann", true, Conflict}, {"bob", true, ""}, {"bob", true, Conflict}, {"eve", true, ""}}, ApprovalApproved},
		{"one of two", ByOperator, 2, []vote{{"bob", true, ""}}, ApprovalOpen},
		{"one denial denies", ByOperator, 3, []vote{{"bob", true, ""}, {"eve", false, ""}, {"joe", true, Conflict}}, ApprovalDenied},
		{"its author may deny", ByOperator, 2, []vote{{"ann", false, ""}}, ApprovalDenied},
		{"a link counts once", ByWebhook, 2, []vote{{LinkVoter, true, ""}, {LinkVoter, true, Conflict}, {LinkVoter, false, Conflict}}, ApprovalOpen},
		{"there are no links", ByOperator, 1, []vote{{LinkVoter, true, Conflict}}, ApprovalOpen},
		{"nobody", ByOperator, 1, []vote{{"", true, Invalid}}, ApprovalOpen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &Approval{ID: "a", By: tt.by, Needs: tt.needs, Author: "ann", State: ApprovalOpen}
			for _, v := range tt.votes {
				if err := a.Vote(Vote{By: v.by, Approve: v.yes}); CodeOf(err) != v.code {
					t.Fatalf("%+v: %v, want code %q", v, err, v.code)
				}
			}
			if a.State != tt.want {
				t.Errorf("it is %s, want %s", a.State, tt.want)
			}
		})
	}
}

func TestWithdrawnVoteDoesNotCount(t *testing.T) {
	a := &Approval{ID: "a", By: ByOperator, Needs: 2, Author: "ann", State: ApprovalOpen}
	for _, step := range []func() error{
		func() error { return a.Vote(Vote{By: "bob", Approve: true}) },
		func() error { return a.Withdraw("bob") },
		func() error { return a.Vote(Vote{By: "eve", Approve: true}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if a.State != ApprovalOpen {
		t.Errorf("it is %s although one has withdrawn", a.State)
	}
	if err := a.Withdraw("bob"); CodeOf(err) != Conflict {
		t.Errorf("withdrawn twice: %v", err)
	}
}
