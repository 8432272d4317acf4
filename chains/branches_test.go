package chains_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// key is a step that leaves a text at the device.
func key(name, text string) string {
	return `{node: raise_alarm, name: ` + name + `, with: {key: "` + text + `", message: x}, to: {repeated: next}}`
}

// TestBranches: what branches see and hand over, with the process killed between
// all that happens.
func TestBranches(t *testing.T) {
	tests := []struct {
		name, steps string
		hours       int // that go by, one by one
		want        string
		dead        int
	}{
		{"each has its own vars, and nothing comes back", `[{node: split, with: {branches: [a, b]}}, ` + key("end_", "end ${vars.n}") + `]` +
			"\nbranches:\n  a: [{node: set, with: {n: \"${vars.n + 1}\"}}, " + key("a_", "a ${vars.n}") + "]\n  b: [{node: set, with: {n: \"${vars.n + 2}\"}}, " + key("b_", "b ${vars.n}") + "]", 0, "a 1 1, b 2 1, end 0 1", 0},
		{"values of a return, without a wait", `[{node: split, name: s, with: {branches: [a, b]}}, {node: join, with: {of: s}, to: {timed_out: end}}, ` + key("end_", "a ${steps.join.results?.a?.n}") + `]` +
			"\nbranches:\n  a: [{node: return, with: {values: {n: \"${vars.n + 7}\"}}}]\n  b: [{node: set, with: {n: 1}}]", 0, "a 7 1", 0},
		{"all of those that wait", `[{node: split, name: s, with: {branches: [a, b, c]}}, ` + key("begun", "begun") + `, {node: join, with: {of: s, timeout: 1d}, to: {timed_out: late}}, ` +
			key("end_", "end ${steps.join.results?.a?.n} ${steps.join.results?.b?.n} ${vars.n}") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 3h}}, {node: set, with: {n: 5}}, {node: return, with: {values: {n: \"${vars.n}\"}}}]\n  b: [{node: delay, with: {for: 1h}}, {node: return, with: {values: {n: 2}}}]\n  c: [" + key("c_", "c") + "]\n  late: [" + key("late_", "late") + "]", 5, "c 1, begun 1, end 5 2 0 1", 0},
		{"any of them", `[{node: split, name: s, with: {branches: [a, b]}}, {node: join, with: {of: s, need: any, timeout: 1d}, to: {timed_out: end}}, ` + key("end_", "end ${steps.join.results?.b?.n}") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 3h}}, " + key("a_", "a") + "]\n  b: [{node: delay, with: {for: 1h}}, {node: return, with: {values: {n: 2}}}]", 5, "end 2 1, a 1", 0},
		{"two of them", `[{node: split, name: s, with: {branches: [a, b, c]}}, {node: join, with: {of: s, need: 2, timeout: 1d}, to: {timed_out: end}}, ` + key("end_", "end") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 4h}}, " + key("a_", "a") + "]\n  b: [{node: delay, with: {for: 1h}}, " + key("b_", "b") + "]\n  c: [{node: delay, with: {for: 2h}}, " + key("c_", "c") + "]", 6, "b 1, c 1, end 1, a 1", 0},
		{"too late", `[{node: split, name: s, with: {branches: [a]}}, {node: join, with: {of: s, timeout: 2h}, to: {timed_out: late}}, ` + key("end_", "end") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 4h}}, " + key("a_", "a") + "]\n  late: [" + key("late_", "late") + "]", 6, "late 1, a 1", 0},
		{"ended before the join", `[{node: split, name: s, with: {branches: [a]}}, {node: delay, with: {for: 3h}}, {node: join, with: {of: s}, to: {timed_out: end}}, ` + key("end_", "end ${steps.join.results?.a?.n}") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 1h}}, {node: return, with: {values: {n: 3}}}]", 5, "end 3 1", 0},
		{"a branch that fails after its wait is out no more", `[{node: split, name: s, with: {branches: [a]}}, {node: join, with: {of: s, timeout: 1d}, to: {timed_out: end}}, ` + key("end_", "end") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 1h}}, {node: fail, with: {code: internal, message: no}}]", 3, "end 1", 1},
		{"one that fails at once fails its split, and nothing of the others stays", `[{node: split, name: s, with: {branches: [a, b]}, to: {error: sorry}}]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 1h}}, " + key("a_", "a") + "]\n  b: [{node: fail, with: {code: conflict, message: no}}]\n  sorry: [" + key("sorry_", "${error.code} ${error.step}") + "]", 3, "conflict s 1", 0},
		{"branches of a branch", `[{node: split, name: s, with: {branches: [a]}}, {node: join, with: {of: s, timeout: 1d}, to: {timed_out: end}}, ` + key("end_", "end ${steps.join.results?.a?.n}") + `]` +
			"\nbranches:\n  a: [{node: split, name: t, with: {branches: [b]}}, {node: join, name: u, with: {of: t, timeout: 1d}, to: {timed_out: end}}, {node: return, with: {values: {n: \"${steps.u.results?.b?.n}\"}}}]\n  b: [{node: delay, with: {for: 1h}}, {node: return, with: {values: {n: 9}}}]", 3, "end 9 1", 0},
		{"again and again, and each round for itself", `[{node: set, with: {n: "${vars.n + 1}"}}, {node: split, name: s, with: {branches: [a]}}, {node: join, with: {of: s, timeout: 30m}, to: {timed_out: again}}, ` + key("end_", "end") + `]` +
			"\nbranches:\n  a: [{node: delay, with: {for: 80m}}, " + key("a_", "a ${vars.n}") + "]\n  again: [{node: retry, with: {attempts: 1, backoff: 1m, jitter: 0%}, to: {again: set, exhausted: enough}}]\n  enough: [" + key("enough_", "enough") + "]", 5, "enough 1, a 1 1, a 2 1", 0},
		{"in a chain that is called", `[{node: call, with: {chain: sub}}, ` + key("end_", "end ${steps.call.got}") + `]`, 3, "end 4 1", 0},
		{"for each of a list", `[{node: for_each, with: {items: "[3, 4]", branch: a}}, ` + key("end_", "${steps.for_each.results?.[1]?.twice} of ${len(steps.for_each.results ?? [])}") + `]` +
			"\nbranches:\n  a: [{node: set, with: {n: \"${vars.n + index + 1}\"}}, " + key("a_", "${index} ${item} ${vars.n}") + ", {node: return, with: {values: {twice: \"${number(item, 0) * 2}\"}}}]", 0, "0 3 1 1, 1 4 2 1, 8 of 2 1", 0},
		{"for each of too many", `[{node: for_each, with: {items: "[3, 4]", branch: a, max_items: 1}, to: {error: sorry}}]` +
			"\nbranches:\n  a: [" + key("a_", "a") + "]\n  sorry: [" + key("sorry_", "${error.code}") + "]", 0, "invalid 1", 0},
		{"the steps of all items count", `[{node: for_each, with: {items: "1..30", branch: a}}]` + "\nbranches:\n  a: [" + key("a_", "a") + "]\nlimits: {steps: 20}", 0, "", 1},
	}
	const sub = "chain: sub\nsummary: A test.\ntrigger: call\nsteps:\n  - {node: split, name: s, with: {branches: [a]}}\n  - {node: join, with: {of: s, timeout: 1d}, to: {timed_out: next}}\n  - {node: return, with: {values: {got: \"${steps.join.results?.a?.n}\"}}}\n" +
		"branches:\n  a: [{node: delay, with: {for: 1h}}, {node: return, with: {values: {n: 4}}}]\n"
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			p := newPlant(t, "chain: x"+strings.Replace(onReport, "\ntrigger", "\nvars: {n: 0}\ntrigger", 1)+"steps: "+x.steps+"\n", sub)
			valve := p.profile("valve")
			d := p.device("d1", valve)
			p.say(d, ota.AttributesReported, func(m *ota.Message) { m.Values = []byte(`{"a":1}`) })
			for range x.hours {
				p.kill()
				p.pass(time.Hour)
			}
			if got := p.alarms(d); got != x.want {
				t.Errorf("alarms %q, want %q", got, x.want)
			}
			if n := p.waits(d); n > 0 {
				t.Errorf("%d runs wait still", n)
			}
			dead, err := p.store.DeadLetters(t.Context(), ota.DefaultTenant, 10)
			if p.must(err); len(dead) != x.dead {
				t.Errorf("dead letters %+v", dead)
			}
			p.check()
		})
	}
}

// TestKilledWhileBranchesEnd: the branches of many runs fall due together, and
// the process is killed again and again in the middle of them. Each ends once,
// and each run goes on once.
func TestKilledWhileBranchesEnd(t *testing.T) {
	p := newPlant(t, "chain: x"+onReport+"steps: [{node: split, name: s, with: {branches: [a, b]}}, {node: join, with: {of: s, timeout: 1d}, to: {timed_out: end}}, "+key("end_", "end")+"]\n"+
		"branches:\n  a: [{node: delay, with: {for: 1h}}, "+key("a_", "a")+"]\n  b: [{node: delay, name: too, with: {for: 1h}}, "+key("b_", "b")+"]\n")
	valve := p.profile("valve")
	var all []ota.Ref
	for i := range 60 {
		d := p.device(fmt.Sprint("d", i), valve)
		all = append(all, d)
		_, err := p.engine.Handle(t.Context(), ota.Message{Event: ota.AttributesReported, Tenant: d.Tenant, Device: ota.DeviceID(d.ID), Values: []byte(`{"a":1}`)})
		p.must(err)
	}
	p.at(p.now.Add(time.Hour + time.Minute))
	for n := 1; n < 6; n++ {
		_, err := p.owner.Own(t.Context())
		p.must(err)
		tasks, _, err := p.owner.Due(t.Context(), 1000)
		p.must(err)
		for i, task := range tasks[:min(len(tasks), 9*n)] { // the others are claimed, and never worked by this process
			p.do(t.Context(), task)
			if i%2 == 0 { // and of these nobody hears that they are done
				p.owner.Done(task)
			}
		}
		p.start()
		p.at(p.now.Add(time.Minute))
	}
	p.work()
	for _, d := range all {
		if got, n := p.alarms(d), p.waits(d); got != "a 1, b 1, end 1" && got != "b 1, a 1, end 1" || n != 0 {
			t.Errorf("%s: alarms %q, %d runs wait", d, got, n)
		}
	}
	p.check()
}
