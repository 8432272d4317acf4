package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// people know themselves by tokens that are their names.
func people(token string) (string, bool) {
	return token, token == "ann" || token == "bob" || token == "eve"
}

// asked makes a rollout of ann's that waits for two approvals.
func asked(h *house) (rollout, approval ota.Ref) {
	h.t.Helper()
	const sum = "d2"
	commit := func(x *ota.Home) {
		if err := h.store.Commit(h.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: x}); err != nil {
			h.t.Fatal(err)
		}
	}
	ref := func(t ota.RefType) ota.Ref { return ota.Ref{Tenant: ota.DefaultTenant, Type: t, ID: ota.NewID()} }
	p, pkg := ref(ota.ProfileRef), ref(ota.PackageRef)
	rollout, approval = ref(ota.RolloutRef), ref(ota.ApprovalRef)
	now := h.store.Now()
	commit(&ota.Home{Ref: p, Profile: &ota.Profile{ID: ota.ProfileID(p.ID), Tenant: p.Tenant, Name: "P", Created: now}})
	commit(&ota.Home{Ref: pkg, Package: &ota.Package{ID: ota.PackageID(pkg.ID), Tenant: p.Tenant, Profile: ota.ProfileID(p.ID), Kind: ota.Firmware,
		Version: ota.Version{Title: "app", Version: "2"}, Blob: sum, Size: 1, Checksum: sum, Ready: true, Created: now}})
	commit(&ota.Home{Ref: approval, Approval: &ota.Approval{ID: approval.ID, Tenant: p.Tenant, Rollout: ota.RolloutID(rollout.ID), Package: ota.PackageID(pkg.ID), Digest: sum, Target: p,
		Step: "go", By: ota.ByOperator, Needs: 2, Author: "ann", State: ota.ApprovalOpen, Created: now}})
	commit(&ota.Home{Ref: rollout, Rollout: &ota.Rollout{ID: ota.RolloutID(rollout.ID), Tenant: p.Tenant, Kind: ota.Firmware, Target: p, Package: ota.PackageID(pkg.ID),
		Chain: "c", By: "ann", Started: now, State: ota.RolloutRunning, Asked: &ota.Asked{ID: approval.ID, Step: "go", State: ota.ApprovalOpen}}})
	return rollout, approval
}

// TestApprovalsByTwo: where two approvals are asked for, two people give them that
// are neither the same nor the author of the rollout, about the file that it was
// when they were asked.
func TestApprovalsByTwo(t *testing.T) {
	type say struct {
		who, word string
		status    int
	}
	for _, c := range []struct {
		name string
		say  []say
		want ota.ApprovalState
	}{
		{"two others", []say{{"bob", "approve", 200}, {"eve", "approve", 200}}, ota.ApprovalApproved},
		{"the same twice", []say{{"bob", "approve", 200}, {"bob", "approve", 409}}, ota.ApprovalOpen},
		{"its author is none of them", []say{{"ann", "approve", 409}, {"bob", "approve", 200}}, ota.ApprovalOpen},
		{"withdrawn", []say{{"bob", "approve", 200}, {"bob", "withdraw", 200}, {"eve", "approve", 200}}, ota.ApprovalOpen},
		{"withdrawn and given again", []say{{"bob", "approve", 200}, {"bob", "withdraw", 200}, {"eve", "approve", 200}, {"bob", "approve", 200}}, ota.ApprovalApproved},
		{"nobody withdraws another's", []say{{"bob", "approve", 200}, {"eve", "withdraw", 409}, {"eve", "approve", 200}}, ota.ApprovalApproved},
		{"one says no", []say{{"bob", "approve", 200}, {"eve", "deny", 200}, {"bob", "withdraw", 409}}, ota.ApprovalDenied},
		{"a stranger", []say{{"mallory", "approve", 401}, {"bob", "approve", 200}}, ota.ApprovalOpen},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, func(d *Deps) { d.Auth = people })
			rollout, approval := asked(h)
			for _, s := range c.say {
				if status := h.as(s.who, s.word, approval.ID); status != s.status {
					t.Fatalf("%s says %s: %d, want %d", s.who, s.word, status, s.status)
				}
			}
			a, err := h.store.Load(t.Context(), approval)
			if err != nil || a.Approval.State != c.want {
				t.Errorf("it is %s, %v, want %s", a.Approval.State, err, c.want)
			}
			r, err := h.store.Load(t.Context(), rollout)
			if err != nil || r.Rollout.Asked.State != c.want {
				t.Errorf("its rollout knows of %s, %v, want %s", r.Rollout.Asked.State, err, c.want)
			}
			if due := len(r.Dues()) > 0; due != (c.want != ota.ApprovalOpen) {
				t.Errorf("the conductor is due: %v", due)
			}
		})
	}
}

// TestApprovalsOfWhatIsGone: nobody approves what is over, or another file than
// was asked about.
func TestApprovalsOfWhatIsGone(t *testing.T) {
	for name, change := range map[string]func(h *house, rollout *ota.Home){
		"the rollout has ended":      func(h *house, r *ota.Home) { r.Rollout.End(ota.RolloutCancelled, "", "ann", h.store.Now()) },
		"its time is over":           func(_ *house, r *ota.Home) { r.Rollout.Asked = nil },
		"it asks for another now":    func(_ *house, r *ota.Home) { r.Rollout.Asked.ID = ota.NewID() },
		"the package has other data": nil,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(d *Deps) { d.Auth = people })
			rollout, approval := asked(h)
			home, err := h.store.Load(t.Context(), rollout)
			if err != nil {
				t.Fatal(err)
			}
			if change == nil {
				home, err = h.store.Load(t.Context(), ota.Ref{Tenant: rollout.Tenant, Type: ota.PackageRef, ID: string(home.Rollout.Package)})
				change = func(_ *house, p *ota.Home) { p.Package.Checksum = "other" }
			}
			was := home.Clone()
			change(h, home)
			if err == nil {
				err = h.store.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: was, Home: home})
			}
			if err != nil {
				t.Fatal(err)
			}
			if status := h.as("bob", "approve", approval.ID); status != http.StatusConflict {
				t.Errorf("status %d, want 409", status)
			}
			a, err := h.store.Load(t.Context(), approval)
			if err != nil || len(a.Approval.Votes) > 0 {
				t.Errorf("votes %+v, %v", a.Approval.Votes, err)
			}
		})
	}
}

// as answers an approval as one of the people.
func (h *house) as(who, word, approval string) int {
	h.t.Helper()
	body, _ := json.Marshal(map[string]string{"remark": who + " at " + h.store.Now().Format(time.Kitchen)})
	resp := h.do(http.MethodPost, "/api/approvals/"+approval+"/"+word, string(body), "Authorization", "Bearer "+who)
	defer resp.Body.Close()
	return resp.StatusCode
}
