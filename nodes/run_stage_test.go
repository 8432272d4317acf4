package nodes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestRunStage(t *testing.T) {
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	facts(t, []fact{
		{"opens the door", nil, "rollout", begun, nil, nil, "", func(t *testing.T, w *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(30 * 24 * time.Hour), Outlet: "timed_out"})
			r := w.rollout()
			same(t, "plan", r.Plan, []ota.Stage{{Name: "everyone", Share: 1}})
			same(t, "stage", r.Stage, "everyone")
			same(t, "quota and mark", []float64{r.Quota, r.Mark}, []float64{1, 1})
			same(t, "open", r.Open(), true)
			same(t, "permits", r.Permits, false)
			same(t, "state", r.State, ota.RolloutRunning)
		}},
		{"replaced in the meantime", func(w *world) { w.rollout().State = ota.RolloutReplaced }, "rollout", begun, []string{"everyone error"}, nil, ota.Conflict, func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "open", w.rollout().Open(), false)
		}},
	})
}

func TestRunStageRefusesWhatItCannotDo(t *testing.T) {
	tests := []struct{ with, want string }{
		{"share: 10%", "share must be 100%"},
		{"share: 100%, max_in_flight: 50", "max_in_flight is not in this release"},
		{"share: 100%, max_failed: 2%", "max_failed is not in this release"},
		{"share: 100%, max_failures: 3", "max_failures is not in this release"},
		{"share: 100%, min_decided: 5", "min_decided is not in this release"},
		{"share: 100%, decided: 50%", "decided is not in this release"},
		{"share: 100%, soak: 6h", "soak is not in this release"},
		{"share: 100%, where: device.online", "where is not in this release"},
		{"share: 100%, max_in_flight: \"${params.n}\"", "max_in_flight is not in this release"},
	}
	for _, tt := range tests {
		t.Run(tt.with, func(t *testing.T) {
			faults := faultsOf(t, `chain: x
summary: A rollout of another day.
trigger: rollout
params: {n: {type: int, default: 3}}
steps: [{node: run_stage, with: {`+tt.with+`}}]
`)
			if !strings.Contains(faults, tt.want) {
				t.Errorf("faults %q, want one that says %q", faults, tt.want)
			}
		})
	}
}
