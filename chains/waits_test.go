package chains_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// alarms lists the keys of a device's alarms, in the order in which they came,
// with how often.
func (p *plant) alarms(d ota.Ref) string {
	p.t.Helper()
	h, err := p.store.Load(p.t.Context(), d)
	p.must(err)
	var out []string
	for _, a := range h.Alarms {
		out = append(out, fmt.Sprintf("%s %d", a.Key, a.Count))
	}
	return strings.Join(out, ", ")
}

// waits says how many runs wait at a device.
func (p *plant) waits(d ota.Ref) int {
	p.t.Helper()
	h, err := p.store.Load(p.t.Context(), d)
	p.must(err)
	return len(h.Parked)
}

// raise is a step that leaves a trace at the device.
func raise(key string) string {
	return `{node: raise_alarm, name: raise_` + strings.ReplaceAll(key, " ", "_") + `, with: {key: "` + key + `", message: x}, to: {repeated: next}}`
}

const onReport = "\nsummary: A test.\ntrigger: {event: attributes, profiles: [valve]}\n"

// TestWaitsSurviveTheProcess: each kind of wait, with the process killed in the
// middle of it. Nothing is done twice, and nothing is forgotten.
func TestWaitsSurviveTheProcess(t *testing.T) {
	tests := []struct {
		name, steps string
		do          func(p *plant, d ota.Ref)
		want        string
	}{
		{"delay", `[{node: delay, with: {for: 3h}}, ` + raise("over") + `]`, func(p *plant, _ ota.Ref) { p.pass(3 * time.Hour) }, "over 1"},
		{"a delay of nothing", `[` + raise("before") + `, {node: delay, with: {for: 0s}}, ` + raise("over") + `]`, func(*plant, ota.Ref) {}, "before 1, over 1"},
		{"retry", `[` + raise("round") + `, {node: retry, with: {attempts: 3, backoff: 1h, jitter: 0%}, to: {again: raise_round, exhausted: enough}}]` +
			"\nbranches: {enough: [" + raise("enough") + "]}", func(p *plant, _ ota.Ref) {
			for range 5 {
				p.kill()
				p.pass(2 * time.Hour)
			}
		}, "round 4, enough 1"},
		{"wait_for, in time", `[{node: wait_for, with: {event: telemetry, if: "(msg.values.n ?? 0) > 1", timeout: 1d}, to: {timed_out: late}}, {node: raise_alarm, with: {key: "n ${steps.wait_for.msg.values.n}", message: x}}]` +
			"\nbranches: {late: [" + raise("late") + "]}", func(p *plant, d ota.Ref) {
			p.report(d, `{"n":1}`)
			p.kill()
			p.report(d, `{"n":2}`)
			p.report(d, `{"n":3}`)
			p.pass(25 * time.Hour)
		}, "n 2 1"},
		{"wait_for, in vain", `[{node: wait_for, with: {event: telemetry, if: "(msg.values.n ?? 0) > 1", timeout: 1d}, to: {timed_out: late}}]` +
			"\nbranches: {late: [" + raise("late") + "]}", func(p *plant, d ota.Ref) {
			p.report(d, `{"n":1}`)
			p.pass(25 * time.Hour)
			p.report(d, `{"n":2}`)
		}, "late 1"},
		{"send_rpc", `[{node: send_rpc, with: {method: health, timeout: 1h}, to: {timed_out: late, offline: away}}, {node: raise_alarm, with: {key: "ok ${steps.send_rpc.result.ok}", message: x}}]` +
			"\nbranches: {late: [" + raise("late") + "], away: [" + raise("away") + "]}", func(p *plant, d ota.Ref) {
			call := p.said[len(p.said)-1].Call
			answer := func(call int64, ok bool) {
				p.say(d, ota.RPCAnswered, func(m *ota.Message) { m.Call, m.Result = call, fmt.Appendf(nil, `{"ok":%v}`, ok) })
			}
			answer(call+1, false)
			answer(call, true)
			answer(call, false)
		}, "ok true 1"},
		{"send_rpc without an answer", `[{node: send_rpc, with: {method: health, timeout: 1h}, to: {timed_out: late, offline: away}}, ` + raise("answered") + `]` +
			"\nbranches: {late: [" + raise("late") + "], away: [" + raise("away") + "]}", func(p *plant, _ ota.Ref) { p.pass(time.Hour) }, "late 1"},
		{"a wait in a chain that is called", `[{node: call, with: {chain: sub, args: {n: 7}}}, {node: raise_alarm, with: {key: "got ${steps.call.twice}", message: x}}]`,
			func(p *plant, _ ota.Ref) { p.pass(time.Hour) }, "got 14 1"},
		{"what the run had found is read anew", `[{node: find_device, with: {name: other}, to: {absent: end}}, {node: resolve_package, with: {kind: firmware}, to: {absent: end}}, {node: delay, with: {for: 1h}}, ` +
			`{node: raise_alarm, with: {key: "${device.name} ${package.version}", message: x}}]`, func(p *plant, _ ota.Ref) { p.pass(time.Hour) }, "other 1.2 1"},
		{"a wait on an error road", `[{node: fail, with: {code: conflict, message: no}, to: {error: sorry}}]` +
			"\nbranches: {sorry: [{node: delay, with: {for: 1h}}, {node: raise_alarm, with: {key: \"${error.code} ${error.step}\", message: x}}]}", func(p *plant, _ ota.Ref) { p.pass(time.Hour) }, "conflict fail 1"},
	}
	const sub = "chain: sub\nsummary: A test.\ntrigger: call\nparams: {n: {type: int}}\nsteps:\n  - {node: delay, with: {for: 30m}}\n  - {node: return, with: {values: {twice: \"${params.n * 2}\"}}}\n"
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			p := newPlant(t, "chain: x"+onReport+"steps: "+x.steps+"\n", sub)
			valve := p.profile("valve")
			d, other := p.device("d1", valve), p.device("other", valve)
			p.assign(p.pkg("1.2", ota.Firmware, valve), valve)
			p.say(d, ota.Connected, func(m *ota.Message) { m.Session = ota.SessionID{Process: "plant1", Num: 1} })
			p.say(d, ota.AttributesReported, func(m *ota.Message) { m.Values = []byte(`{"a":1}`) })
			p.kill()
			x.do(p, d)
			if got := p.alarms(d); got != x.want {
				t.Errorf("alarms %q, want %q", got, x.want)
			}
			if n := p.waits(d) + p.waits(other); n > 0 {
				t.Errorf("%d runs wait still", n)
			}
			p.check()
			if dead, err := p.store.DeadLetters(t.Context(), ota.DefaultTenant, 10); err != nil || len(dead) > 0 {
				t.Errorf("dead letters %+v, %v", dead, err)
			}
		})
	}
}

// TestCallThatNobodyHears leaves at once by offline, although the device counts
// as there.
func TestCallThatNobodyHears(t *testing.T) {
	p := newPlant(t, "chain: x"+onReport+"steps: [{node: send_rpc, with: {method: health, timeout: 1h}, to: {timed_out: end, offline: away}}]\nbranches: {away: ["+raise("away")+"]}\n")
	valve := p.profile("valve")
	d := p.device("d1", valve)
	p.present = false
	p.say(d, ota.AttributesReported, func(m *ota.Message) { m.Values = []byte(`{"a":1}`) })
	p.engine.Wait()
	p.work()
	if got := p.alarms(d); got != "away 1" {
		t.Errorf("alarms %q", got)
	}
}

// TestWaitEndsWithItsUpdate: a run about an update has nothing to do when that is
// over, save where it waits for the end.
func TestWaitEndsWithItsUpdate(t *testing.T) {
	chain := func(name, profile, steps string) string {
		return "chain: " + name + "\nsummary: A test.\ntrigger: {event: offer_due, profiles: [" + profile + "]}\nsteps:\n  - node: check_offer\n  - node: admit_update\n  - node: offer_update\n" + steps
	}
	p := newPlant(t, chain("x", "valve", "  - {node: delay, with: {for: 3h}}\n  - "+raise("under way")+"\n"),
		chain("y", "tap", "  - {node: wait_for, with: {event: update_finished, if: msg.state == \"UPDATED\", timeout: 7d}, to: {timed_out: end}}\n  - "+raise("arrived")+"\n"))
	for _, x := range []struct {
		profile     string
		done, still string // alarms of a device that is done, and of one that is not, after 4 hours
	}{{"valve", "", "under way 1"}, {"tap", "arrived 1", ""}} {
		profile := p.profile(x.profile)
		d, done := p.device(x.profile+" 1", profile), p.device(x.profile+" 2", profile)
		p.assign(p.pkg(x.profile+" 1.2", ota.Firmware, profile), profile)
		if p.waits(d) != 1 || p.waits(done) != 1 {
			t.Fatalf("%s: %d and %d runs wait", x.profile, p.waits(d), p.waits(done))
		}
		p.report(done, `{"fw_state":"UPDATED","current_fw_title":"app","current_fw_version":"`+x.profile+` 1.2"}`)
		if n := p.waits(done); n != 0 {
			t.Errorf("%s: %d runs wait for an update that is over", x.profile, n)
		}
		p.kill()
		p.pass(4 * time.Hour)
		if got := p.alarms(done); got != x.done {
			t.Errorf("%s: alarms of the one that is done: %q, want %q", x.profile, got, x.done)
		}
		if got := p.alarms(d); got != x.still {
			t.Errorf("%s: alarms of the other: %q, want %q", x.profile, got, x.still)
		}
	}
	p.check()
}

// TestOfferThatWaits: while the chain of an offer waits, its turn does not come
// again.
func TestOfferThatWaits(t *testing.T) {
	p := newPlant(t, "chain: x\nsummary: A test.\ntrigger: {event: offer_due, profiles: [valve]}\nsteps:\n  - node: check_offer\n  - "+raise("asked")+"\n  - {node: delay, with: {for: 3h}}\n  - node: admit_update\n  - node: offer_update\n")
	valve := p.profile("valve")
	d := p.device("d1", valve)
	p.assign(p.pkg("1.2", ota.Firmware, valve), valve)
	p.pass(2 * time.Hour)
	if s := p.state(d); s != ota.Queued {
		t.Errorf("state %s", s)
	}
	p.kill()
	p.pass(time.Hour)
	if s, a := p.state(d), p.alarms(d); s != ota.Initiated || a != "asked 1" {
		t.Errorf("state %s, alarms %q", s, a)
	}
	p.check()
}

// TestHeldUpdates: a held update is asked again at its time or its event, over a
// crash, and given up in the end.
func TestHeldUpdates(t *testing.T) {
	const chain = "chain: x\nsummary: A test.\ntrigger: {event: offer_due, profiles: [valve]}\nfields: {telemetry: {battery: number}}\nsteps:\n  - node: check_offer\n" +
		"  - {node: hold_update, when: \"(device.telemetry.battery ?? 0) < 40\", with: {for: 30m, wake_on: [telemetry], give_up: 2d, reason: \"battery at ${device.telemetry.battery ?? 0} %\"}, to: {overdue: late}}\n" +
		"  - node: admit_update\n  - node: offer_update\nbranches: {late: [{node: fail_update, with: {reason: could never be offered, verdict: silent}}]}\n"
	start := func(t *testing.T) (*plant, ota.Ref) {
		p := newPlant(t, chain)
		valve := p.profile("valve")
		d := p.device("d1", valve)
		p.report(d, `{"battery":12}`)
		p.assign(p.pkg("1.2", ota.Firmware, valve), valve)
		if u := p.track(d, ota.Firmware).Update; u.State != ota.Queued || u.Held != "battery at 12 %" || u.NotBefore.Sub(noon).Round(time.Minute) != 30*time.Minute {
			t.Fatalf("%s, held %q until %s", u.State, u.Held, u.NotBefore)
		}
		return p, d
	}
	t.Run("the reason goes", func(t *testing.T) {
		p, d := start(t)
		p.pass(26 * time.Hour)
		p.kill()
		if s := p.state(d); s != ota.Queued {
			t.Errorf("state %s", s)
		}
		p.report(d, `{"battery":90}`)
		if s := p.state(d); s != ota.Initiated {
			t.Errorf("woken by the report: %s", s)
		}
		p.check()
	})
	t.Run("it stays", func(t *testing.T) {
		p, d := start(t)
		p.pass(47 * time.Hour)
		if s := p.state(d); s != ota.Queued {
			t.Errorf("state %s", s)
		}
		p.kill()
		p.pass(3 * time.Hour) // the time in line does not count
		if u := p.track(d, ota.Firmware).Update; u.State != ota.Failed || !u.Silent {
			t.Errorf("state %s", u.State)
		}
		p.check()
	})
}

// TestThrottleOverProcesses: what one process took, another has not.
func TestThrottleOverProcesses(t *testing.T) {
	p := newPlant(t, "chain: x\nsummary: A test.\ntrigger: {event: offer_due, profiles: [valve]}\nsteps:\n  - node: check_offer\n  - {node: throttle, name: site, with: {key: a, rate: 10/1h, burst: 3}, to: {limited: wait}}\n"+
		"  - node: admit_update\n  - node: offer_update\nbranches:\n  wait: [{node: hold_update, with: {until: \"${steps.site.retry_at}\", reason: others come first}, to: {overdue: late}}]\n  late: [{node: fail_update, with: {reason: x}}]\n")
	valve := p.profile("valve")
	var all []ota.Ref
	for i := range 8 {
		all = append(all, p.device(fmt.Sprint("d", i), valve))
	}
	p.assign(p.pkg("1.2", ota.Firmware, valve), valve)
	offered := func() (n int) {
		for _, d := range all {
			if p.state(d) == ota.Initiated {
				n++
			}
		}
		return n
	}
	if n := offered(); n != 3 {
		t.Fatalf("%d offers at once, want 3", n)
	}
	// A place that was called a moment ago is left alone for a moment, by the clock
	// of this machine, so an offer may come late, and then two together. None comes
	// before its token does.
	for killed := false; offered() < 8; {
		if offered() >= 5 && !killed {
			p.kill()
			killed = true
		}
		p.pass(30 * time.Second)
		passed := p.now.Sub(noon)
		if n := offered(); n > 3+int(passed/(6*time.Minute)) || passed > 48*time.Hour {
			t.Fatalf("after %s: %d offers", passed, n)
		}
	}
	p.check()
}

// TestKilledWhileRunsFire: many runs fall due together, and the process is killed
// again and again in the middle of them. Each goes on once.
func TestKilledWhileRunsFire(t *testing.T) {
	p := newPlant(t, "chain: x"+onReport+"steps: [{node: delay, with: {for: 1h}}, {node: raise_alarm, with: {key: over, message: x}}]\n")
	valve := p.profile("valve")
	var all []ota.Ref
	for i := range 200 {
		d := p.device(fmt.Sprint("d", i), valve)
		all = append(all, d)
		m := ota.Message{Event: ota.AttributesReported, Tenant: d.Tenant, Device: ota.DeviceID(d.ID), Values: []byte(`{"a":1}`)}
		_, err := p.engine.Handle(t.Context(), m)
		p.must(err)
	}
	p.at(p.now.Add(time.Hour + time.Minute))
	for n := 1; n < 6; n++ {
		_, err := p.owner.Own(t.Context())
		p.must(err)
		tasks, _, err := p.owner.Due(t.Context(), 1000)
		p.must(err)
		for i, task := range tasks {
			if i == 7*n { // the others are claimed, and never worked by this process
				break
			}
			p.do(t.Context(), task)
			if i%2 == 0 { // and of these nobody hears that they are done
				p.owner.Done(task)
			}
		}
		was := p.engine
		p.start()
		p.at(p.now.Add(time.Minute))
		for _, task := range tasks[:7] { // the old process was only slow
			m := ota.Message{Event: ota.Due, Tenant: task.Home.Tenant, Home: task.Home, Key: task.Key, Began: &task.Origin}
			if _, err := was.Handle(t.Context(), m); err != nil && ota.CodeOf(err) != ota.Busy {
				t.Error(err)
			}
		}
	}
	p.work()
	for _, d := range all {
		if got, n := p.alarms(d), p.waits(d); got != "over 1" || n != 0 {
			t.Errorf("%s: alarms %q, %d runs wait", d, got, n)
		}
	}
	p.check()
}

// TestWorkedAlready: what was due, and is done or was moved by something that
// came before it, is no trouble for whoever had it in hand still.
func TestWorkedAlready(t *testing.T) {
	p := newPlant(t, "chain: slow\nsummary: A test.\ntrigger: rollout\nsteps: [{node: delay, with: {for: 1h}}, {node: run_stage, with: {share: 100%, max_failed: 50%}, to: {failed: end, timed_out: end}}]\n")
	valve := p.profile("valve")
	d := p.device("d1", valve)
	done, err := p.wishes.Assign(t.Context(), ota.Wish{Tenant: ota.DefaultTenant, Package: p.pkg("1.2", ota.Firmware, valve), Target: valve, By: "ann", Chain: "slow"})
	p.must(err)
	p.work()
	p.at(p.now.Add(time.Hour + time.Minute))
	_, err = p.owner.Own(t.Context())
	p.must(err)
	tasks, _, err := p.owner.Due(t.Context(), 100)
	p.must(err)
	worked := 0
	for _, x := range tasks {
		if x.Home.ID == string(done.Rollout) {
			worked++
			p.do(t.Context(), x)
			conflicts := p.engine.Counts().Conflicts.Load()
			p.do(t.Context(), x) // its entry is gone, and the run waits at another one
			if n := p.engine.Counts().Conflicts.Load() - conflicts; n > 1 {
				t.Errorf("it was tried %d times again", n)
			}
		}
		p.owner.Done(x)
	}
	if worked != 1 {
		t.Fatalf("%d of %d tasks are of the conductor", worked, len(tasks))
	}
	p.kill() // another process knows nothing of how the door was
	if u := p.track(d, ota.Firmware).Update; u.State != ota.Initiated {
		t.Errorf("the device is %s: %s", u.State, u.Held)
	}
	p.check()
}
