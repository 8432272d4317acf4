package chains_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// ends is a chain that hears how rollouts end, and leaves a trace at them.
const ends = "chain: ends\nsummary: A test.\ntrigger: {event: rollout_finished, observe: true}\nsteps: [{node: raise_alarm, with: {key: \"${msg.state}\", message: x}, to: {repeated: next}}]\n"

// TestRolloutEndIsSaid: whoever ends a rollout, and however, the chains that hear
// it are told at once, and once.
func TestRolloutEndIsSaid(t *testing.T) {
	conductors := map[string]string{
		"stages":   "[{node: run_stage, with: {share: 100%, max_failed: 50%}, to: {failed: end, timed_out: end}}]",
		"gives up": "[{node: delay, with: {for: 1h}}, {node: cancel_rollout, with: {reason: enough}}]",
		"asks":     "[{node: await_approval, name: ask, with: {timeout: 2d}, to: {denied: end, timed_out: end}}]",
	}
	for _, x := range []struct {
		name, chain, want string
		end               func(p *plant, r ota.Ref, d, valve ota.Ref)
	}{
		{"an operator cancels it", "stages", "cancelled 1", func(p *plant, r, _, _ ota.Ref) { p.operate(r, ota.OperateCancel) }},
		{"an operator cancels it while it asks", "asks", "cancelled 1", func(p *plant, r, _, _ ota.Ref) { p.operate(r, ota.OperateCancel) }},
		{"an operator pauses and cancels it", "stages", "cancelled 1", func(p *plant, r, _, _ ota.Ref) {
			p.operate(r, ota.OperatePause)
			p.operate(r, ota.OperateCancel)
		}},
		{"its conductor cancels it", "gives up", "cancelled 1", func(p *plant, _, _, _ ota.Ref) { p.pass(time.Hour + time.Minute) }},
		{"another takes its place", "stages", "replaced 1", func(p *plant, _, _, valve ota.Ref) {
			p.assign(p.pkg("1.3", ota.Firmware, valve), valve)
		}},
		{"it is taken away", "stages", "replaced 1", func(p *plant, _, _, valve ota.Ref) {
			_, err := p.wishes.Unassign(p.t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Kind: ota.Firmware, Target: valve, By: "ann"})
			p.must(err)
			p.work()
		}},
		{"it arrives", "stages", "finished 1", func(p *plant, _, d, _ ota.Ref) {
			p.report(d, `{"current_fw_title":"app","current_fw_version":"1.2"}`)
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := newPlant(t, ends, "chain: c\nsummary: A test.\ntrigger: rollout\nsteps: "+conductors[x.chain]+"\n")
			valve := p.profile("valve")
			d := p.device("d1", valve)
			done, err := p.wishes.Assign(t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Package: p.pkg("1.2", ota.Firmware, valve), Target: valve, By: "ann", Chain: "c"})
			p.must(err)
			p.work()
			r := ota.Ref{Tenant: ota.DefaultTenant, Type: ota.RolloutRef, ID: string(done.Rollout)}
			x.end(p, r, d, valve)
			if got := p.alarms(r); got != x.want {
				t.Errorf("it was told %q, want %q", got, x.want)
			}
			p.kill()
			p.pass(time.Hour)
			if got := p.alarms(r); got != x.want {
				t.Errorf("later it was told %q, want %q", got, x.want)
			}
			p.check()
		})
	}
}

// operate does what an operator wants of a rollout.
func (p *plant) operate(r ota.Ref, what string) {
	p.t.Helper()
	_, err := p.wishes.Operate(p.t.Context(), r, what, "ann", "enough")
	p.must(err)
	p.work()
}
