package chains_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// soaking is a rollout of ten devices whose first stage lets four in, which are
// updated, and then watches them for a day.
type soaking struct {
	*plant
	valve, rollout ota.Ref
	all, in        []ota.Ref
}

func newSoaking(t *testing.T) *soaking {
	t.Helper()
	p := newPlant(t, ends, "chain: careful\nsummary: A test.\ntrigger: rollout\nsteps:\n"+
		"  - {node: run_stage, name: some, with: {share: 40%, max_failures: 2, max_in_flight: 100, soak: 1d}, to: {timed_out: end}}\n"+
		"  - {node: run_stage, name: everyone, with: {share: 100%, max_failures: 2, max_in_flight: 100}, to: {timed_out: end}}\n")
	s := &soaking{plant: p, valve: p.profile("valve")}
	for i := range 10 {
		s.all = append(s.all, p.device(fmt.Sprint("d", i), s.valve))
	}
	done, err := p.wishes.Assign(t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Package: p.pkg("1.2", ota.Firmware, s.valve), Target: s.valve, By: "ann", Chain: "careful"})
	p.must(err)
	s.rollout = ota.Ref{Tenant: ota.DefaultTenant, Type: ota.RolloutRef, ID: string(done.Rollout)}
	p.work()
	p.kill() // another process knows of the members that have come
	for _, d := range s.all {
		if p.state(d) == ota.Initiated {
			s.in = append(s.in, d)
			p.runs(d, "1.2")
		}
	}
	if len(s.in) != 4 {
		t.Fatalf("%d devices were let in", len(s.in))
	}
	s.counts("updated", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 4}, ota.Tally{Admitted: 4, Updated: 4})
	return s
}

// runs is a device that says what it runs.
func (p *plant) runs(d ota.Ref, version string) {
	p.t.Helper()
	p.report(d, `{"current_fw_title":"app","current_fw_version":"`+version+`"}`)
}

func (s *soaking) record() *ota.Rollout {
	s.t.Helper()
	h, err := s.store.Load(s.t.Context(), s.rollout)
	s.must(err)
	return h.Rollout
}

// counts holds what is counted beside the devices, and by the door.
func (s *soaking) counts(when string, c ota.RolloutCounts, door ota.Tally) {
	s.t.Helper()
	m, err := s.store.Counts(s.t.Context(), ota.DefaultTenant, ota.Firmware, ota.RolloutID(s.rollout.ID))
	s.must(err)
	if got := ota.CountsOf(m); got != c {
		s.t.Errorf("%s: devices count %+v, want %+v", when, got, c)
	}
	got, err := s.store.Tally(s.t.Context(), s.rollout)
	s.must(err)
	if got.Why, got.Shut = "", 0; got != door {
		s.t.Errorf("%s: the door counts %+v, want %+v", when, got, door)
	}
	s.check()
}

// TestLeavesItsTargetAgain: a device that runs something else again while it is
// watched has failed after all, and the stage is judged by it; one that comes
// back has not.
func TestLeavesItsTargetAgain(t *testing.T) {
	s := newSoaking(t)
	s.runs(s.in[0], "1.1")
	s.runs(s.in[0], "1.1") // said again, it is counted once
	s.counts("one fell back", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 3, Failed: 1}, ota.Tally{Admitted: 4, Updated: 3, Failed: 1})
	if st := s.state(s.in[0]); st != ota.Updated {
		t.Errorf("its update, which is over, is %s", st)
	}
	s.runs(s.in[0], "1.2")
	s.counts("it came back", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 4}, ota.Tally{Admitted: 4, Updated: 4})
	s.pass(time.Second)
	s.runs(s.in[0], "1.1")
	s.runs(s.in[1], "1.1")
	s.pass(time.Minute)
	s.counts("two fell back", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 2, Failed: 2}, ota.Tally{Admitted: 4, Updated: 2, Failed: 2})
	if r := s.record(); r.State != ota.RolloutPaused || r.Reason != "2 of 4 failed, 2 are the limit" {
		t.Errorf("the rollout is %s: %s", r.State, r.Reason)
	}
}

// TestLeavesItsTargetLater: what a device runs when its rollout is over is not
// the rollout's.
func TestLeavesItsTargetLater(t *testing.T) {
	s := newSoaking(t)
	s.operate(s.rollout, ota.OperateCancel)
	s.runs(s.in[0], "1.1")
	s.counts("after the end", ota.RolloutCounts{Members: 10, Updated: 4, Skipped: 6}, ota.Tally{Admitted: 4, Updated: 4})
}

// TestLeftIsTriedAgain: an operator tries again what has failed, and so what fell
// back.
func TestLeftIsTriedAgain(t *testing.T) {
	s := newSoaking(t)
	s.runs(s.in[0], "1.1")
	s.operate(s.rollout, ota.OperateRetry)
	s.kill()
	if st := s.state(s.in[0]); st != ota.Initiated {
		t.Errorf("it is %s", st)
	}
	s.counts("tried again", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 3, InFlight: 1}, ota.Tally{Admitted: 4, Updated: 3, InFlight: 1})
	s.runs(s.in[0], "1.2")
	s.counts("and updated", ota.RolloutCounts{Members: 10, Waiting: 6, Updated: 4}, ota.Tally{Admitted: 4, Updated: 4})
}

// TestMembersThatGo: a device that the rollout does not reach any more is not
// counted by it, and gives its place to another.
func TestMembersThatGo(t *testing.T) {
	for name, leave := range map[string]func(s *soaking, d ota.Ref){
		"a package of its own": func(s *soaking, d ota.Ref) { s.assign(s.pkg("2.0 of "+d.ID, ota.Firmware, s.valve), d) },
		"deleted": func(s *soaking, d ota.Ref) {
			h, err := s.store.Load(s.t.Context(), d)
			s.must(err)
			s.must(s.store.Commit(s.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Delete: true, Out: ota.Tells(h, nil)}))
			s.work()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSoaking(t)
			for _, d := range s.in[:2] {
				leave(s, d)
			}
			// 40 % of those that are left are four.
			in := 0
			for n := 0; n < 5 && in < 2; n++ {
				s.pass(time.Minute)
				s.kill()
				in = 0
				for _, d := range s.all {
					if h, err := s.store.Load(t.Context(), d); err == nil && h.Device.Firmware.Update.State == ota.Initiated && string(h.Device.Firmware.Update.Rollout) == s.rollout.ID {
						in++
					}
				}
			}
			if in != 2 {
				t.Errorf("%d others were let in, want 2", in)
			}
			s.counts("two went", ota.RolloutCounts{Members: 8, Waiting: 4, Updated: 2, InFlight: 2}, ota.Tally{Admitted: 4, Updated: 4, Gone: 2, InFlight: 2})
			if r := s.record(); r.Stage != "some" || r.State != ota.RolloutRunning {
				t.Errorf("the rollout is %s in stage %s", r.State, r.Stage)
			}
			s.check()
		})
	}
	t.Run("all of them", func(t *testing.T) {
		s := newSoaking(t)
		_, err := s.wishes.Unassign(t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Kind: ota.Firmware, Target: s.valve, By: "ann"})
		s.must(err)
		s.work()
		s.counts("unassigned", ota.RolloutCounts{}, ota.Tally{Admitted: 4, Updated: 4}) // nobody asks that door any more
	})
}
