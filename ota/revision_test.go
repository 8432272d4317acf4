package ota

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAHomeNeedsRevisions(t *testing.T) {
	parked := []Parked{{Digest: "a"}, {Digest: "b"}, {Digest: "a"}, {}}
	for name, x := range map[string]struct {
		home Home
		want []string
	}{
		"nothing waits":          {Home{Device: &Device{}}, nil},
		"each once":              {Home{Device: &Device{}, Parked: parked}, []string{"a", "b"}},
		"a rollout's conductor":  {Home{Rollout: &Rollout{State: RolloutRunning, Revision: "c"}, Parked: parked}, []string{"a", "b", "c"}},
		"which waits":            {Home{Rollout: &Rollout{State: RolloutPaused, Revision: "a"}, Parked: parked[:1]}, []string{"a"}},
		"not begun":              {Home{Rollout: &Rollout{State: RolloutRunning}}, nil},
		"finished":               {Home{Rollout: &Rollout{State: RolloutDone, Revision: "c"}}, nil},
		"cancelled":              {Home{Rollout: &Rollout{State: RolloutCancelled, Revision: "c"}}, nil},
		"replaced, a run waits":  {Home{Rollout: &Rollout{State: RolloutReplaced, Revision: "c"}, Parked: parked[1:2]}, []string{"b"}},
		"a package with a check": {Home{Package: &Package{}, Parked: parked[:2]}, []string{"a", "b"}},
	} {
		if diff := cmp.Diff(x.want, x.home.Revisions()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
