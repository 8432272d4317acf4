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
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(30 * 24 * time.Hour), Again: true})
			r := w.rollout()
			same(t, "plan", r.Plan, []ota.Stage{{Name: "everyone", Share: 1, AtLeast: 1, Decided: 0.95, MaxFailed: 1, MinDecided: 20, Timeout: 30 * 24 * time.Hour}})
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

func TestRunStagePlansWhatItWasTold(t *testing.T) {
	stages := `chain: staged
summary: One stage that depends on what the operator says.
trigger: rollout
params: {most: {type: int, default: 7}}
steps:
  - {node: run_stage, name: some, with: {share: 10%, at_least: 3, max_failed: 2%, max_in_flight: "${params.most}", soak: 6h}, to: {failed: end, timed_out: end}}
  - {node: run_stage, name: all, with: {share: 100%}}
`
	begun := ota.Message{Event: ota.RolloutStarted, Rollout: rollout}
	facts(t, []fact{
		{"a stage takes permits", nil, stages, begun, nil, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			r := w.rollout()
			same(t, "plan", r.Plan, []ota.Stage{{Name: "some", Share: 0.1, AtLeast: 3, Decided: 0.95, MaxFailed: 0.02, MinDecided: 20, MaxInFlight: 7, Soak: 6 * time.Hour, Timeout: 30 * 24 * time.Hour}})
			same(t, "permits", r.Permits, true)
		}},
		{"promoted", func(w *world) {
			r := w.rollout()
			r.SetPlan([]ota.Stage{{Name: "some", Share: 0.1, MaxFailures: 1}, {Name: "all", Share: 1}})
			r.Stage, r.Epoch, r.Wish = "some", 1, &ota.RolloutWish{What: ota.OperatePromote, By: "ann"}
		}, stages, begun, []string{"some passed"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "stage", w.rollout().Stage, "all")
		}},
		{"paused", func(w *world) {
			r := w.rollout()
			r.SetPlan([]ota.Stage{{Name: "some", Share: 0.1, MaxFailures: 1}, {Name: "all", Share: 1}})
			r.Stage, r.Epoch, r.State = "some", 1, ota.RolloutPaused
		}, stages, begun, nil, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{Again: true})
		}},
	})
}

func TestRunStageRefusesWhatItCannotDo(t *testing.T) {
	tests := []struct{ with, want string }{
		{"share: 110%", "is no share"},
		{"share: 100%, max_in_flight: -1", "max_in_flight is -1"},
		{"share: 100%, timeout: 0s", "timeout is 0s"},
		{"share: 100%, where: rollout.members > 3", "rollout is not known here"},
	}
	for _, tt := range tests {
		t.Run(tt.with, func(t *testing.T) {
			faults := faultsOf(t, `chain: x
summary: A rollout of another day.
trigger: rollout
steps: [{node: run_stage, with: {`+tt.with+`}}]
`)
			if !strings.Contains(faults, tt.want) {
				t.Errorf("faults %q, want one that says %q", faults, tt.want)
			}
		})
	}
}
