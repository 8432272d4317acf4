package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

const runningApart = head + `vars: {n: 0}
steps:
  - {node: set, name: before, with: {n: 1}}
  - {node: split, name: tell, with: {branches: [left, right]}}
  - {node: for_each, name: each, with: {items: "[7, 8]", branch: one}}
  - {node: say, name: last, with: {text: "${vars.n}"}}
branches:
  left: [{node: set, with: {n: "${vars.n + 1}"}}, {node: say, with: {text: "left ${vars.n}"}}]
  right: [{node: return, with: {values: {n: "${vars.n}"}}}]
  one: [{node: say, with: {text: "${index} ${item}"}}]
`

// TestBranchesAreSeen: a trace, a path and a packed path show what the branches
// did, each step before the one that ran them ends.
func TestBranchesAreSeen(t *testing.T) {
	set, err := Compile(sources(runningApart), testRegistry(t), Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	c := set.Chains()[0]
	home := &ota.Home{Ref: ota.RefOf("main", "d"), Device: &ota.Device{ID: "d"}}
	s := newShelf()
	r, trace := c.try(t.Context(), ota.Message{Event: c.Triggers[0].Event, Tenant: "main", Device: "d", Values: []byte(`{}`)}, home, s, time.Now(), true)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var path, traced, said []string
	for _, h := range r.Path {
		path = append(path, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	for _, x := range trace.Steps {
		traced = append(traced, x.Step)
	}
	for _, x := range r.Replies {
		said = append(said, string(x.Body))
	}
	want := []string{"before.done", "left.set.done", "left.say.said", "right.return", "tell.started", "one.say.said", "one.say.said", "each.finished", "last.said"}
	if diff := cmp.Diff(want, path); diff != "" {
		t.Errorf("path (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"before", "left.set", "left.say", "right.return", "tell", "one.say", "one.say", "each", "last"}, traced); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"left 2", "0 7", "1 8", "1"}, said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	if v := trace.Steps[8].Vars["vars.n"]; v != 1 {
		t.Errorf("the last step sees n = %v", v)
	}
}

// TestBranchesAreDrawn: a graph has a road from a step into each branch that it
// runs.
func TestBranchesAreDrawn(t *testing.T) {
	g, faults := GraphOf(sources(runningApart), set1(t), testRegistry(t), Options{})
	if g == nil {
		t.Fatal(faults.Text())
	}
	var got []string
	for _, r := range g.Roads {
		if r.Kind == RoadRun {
			got = append(got, r.From+" "+r.Outlet+" "+r.To)
		}
	}
	if diff := cmp.Diff([]string{"tell left left.set", "tell right right.return", "each one one.say"}, got); diff != "" {
		t.Errorf("roads (-want +got):\n%s", diff)
	}
}

func set1(t *testing.T) string {
	t.Helper()
	set, err := Compile(sources(runningApart), testRegistry(t), Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	return set.Chains()[0].Name
}

// TestBranchesThatEnd: the run that waits hears of its own branches alone, in
// their own round, and a result that is too large is left out.
func TestBranchesThatEnd(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	park := func(f *fork) *ota.Home {
		data, err := json.Marshal(parkedRun{Run: []byte("run"), Forks: map[string]*fork{"tell": f}})
		if err != nil {
			t.Fatal(err)
		}
		return &ota.Home{Parked: []ota.Parked{{Num: 1, At: now.Add(time.Hour), Data: data}}}
	}
	tests := []struct {
		name   string
		fork   fork
		child  childOf
		run    string
		result string
		well   bool
		want   fork
		due    bool
	}{
		{"the last one", fork{Round: 1, Out: 1, Done: 1, Need: 2}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", `{"n":1}`, true, fork{Round: 1, Done: 2, Need: 2, Results: map[string]json.RawMessage{"a": []byte(`{"n":1}`)}}, true},
		{"one of more", fork{Round: 1, Out: 2, Need: 2}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", "", true, fork{Round: 1, Out: 1, Done: 1, Need: 2}, false},
		{"the last one, which failed", fork{Round: 1, Out: 1, Need: 1}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", "", false, fork{Round: 1, Need: 1}, true},
		{"nobody is at the join yet", fork{Round: 1, Out: 1}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", "", true, fork{Round: 1, Done: 1}, false},
		{"an earlier round", fork{Round: 2, Out: 1, Need: 1}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", "", true, fork{Round: 2, Out: 1, Need: 1}, false},
		{"another run", fork{Round: 1, Out: 1, Need: 1}, childOf{Split: "tell", Branch: "a", Round: 1}, "other", "", true, fork{Round: 1, Out: 1, Need: 1}, false},
		{"a branch of a branch", fork{Round: 1, Out: 1, Need: 1}, childOf{Up: "/x.y", Split: "tell", Branch: "a", Round: 1}, "run", "", true, fork{Round: 1, Out: 1, Need: 1}, false},
		{"too large", fork{Round: 1, Out: 1, Need: 1}, childOf{Split: "tell", Branch: "a", Round: 1}, "run", `"` + strings.Repeat("x", maxParked) + `"`, true, fork{Round: 1, Done: 1, Need: 1}, true},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			h := park(&x.fork)
			var result json.RawMessage
			if x.result != "" {
				result = json.RawMessage(x.result)
			}
			branchEnded(h, &x.child, []byte(x.run), result, x.well, now)
			got, err := readParked(h.Parked[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.want, *got.Forks["tell"]); diff != "" {
				t.Errorf("fork (-want +got):\n%s", diff)
			}
			if due := h.Parked[0].At.Equal(now); due != x.due {
				t.Errorf("due %v, want %v", due, x.due)
			}
		})
	}
}
