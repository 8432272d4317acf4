package engine

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

const head = "chain: x\nsummary: A test.\ntrigger: telemetry\n"

func TestRoads(t *testing.T) {
	tests := []struct {
		name, chain, values string
		path, said          string
		code                ota.Code
	}{
		{"downwards", "steps:\n  - {node: say, name: one, with: {text: a}}\n  - {node: say, name: two, with: {text: b}}\n", `{}`, "one.said two.said", "a|b", ""},
		{"to a branch, which does not fall into the next", "steps: [{node: filter, with: {if: 1 > 2}, to: {rejected: first}}]\nbranches:\n  first: [{node: say, with: {text: a}}]\n  second: [{node: say, with: {text: b}, to: {said: end}}]\non_error: second\n",
			`{}`, "filter.rejected first.say.said", "a", ""},
		{"main outlet wired to the end", "steps:\n  - {node: filter, with: {if: msg.values.a == 1}, to: {passed: end, rejected: next}}\n  - {node: say, with: {text: a}}\n", `{"a":1}`, "filter.passed", "", ""},
		{"next", "steps:\n  - {node: filter, with: {if: msg.values.a == 1}, to: {passed: end, rejected: next}}\n  - {node: say, with: {text: a}}\n", `{"a":2}`, "filter.rejected say.said", "a", ""},
		{"outlets that may end do", "steps:\n  - {node: filter, with: {if: msg.values.a == 1}}\n  - {node: say, with: {text: a}}\n", `{}`, "filter.rejected", "", ""},
		{"when skips to the next in the list", "steps:\n  - {node: say, when: msg.values.a == 1, with: {text: a}, to: {said: end}}\n  - {node: say, name: b, with: {text: b}}\n", `{"a":2}`, "say b.said", "b", ""},
		{"when at the end of a list", "steps:\n  - {node: say, when: msg.values.a == 1, with: {text: a}}\n", `{"a":2}`, "say", "", ""},
		{"switch by value", "steps: [{node: switch, with: {value: msg.values.s}, to: {up: up, other: other_way}}]\nbranches: {up: [{node: say, with: {text: up}}], other_way: [{node: say, with: {text: other}}]}\n", `{"s":"up"}`, "switch.up up.say.said", "up", ""},
		{"switch by another value", "steps: [{node: switch, with: {value: msg.values.s}, to: {up: up, other: other_way}}]\nbranches: {up: [{node: say, with: {text: up}}], other_way: [{node: say, with: {text: other}}]}\n", `{"s":7}`, "switch.other other_way.say.said", "other", ""},
		{"switch by a number", "steps: [{node: switch, with: {value: \"string(msg.values.s ?? 0)\"}, to: {\"7\": up, other: end}}]\nbranches: {up: [{node: say, with: {text: up}}]}\n", `{"s":7}`, "switch.7 up.say.said", "up", ""},
		{"switch by cases", "steps: [{node: switch, with: {cases: [{name: low, if: \"number(msg.values.b, 0) < 10\"}, {name: mid, if: \"number(msg.values.b, 0) < 50\"}]}, to: {low: end, mid: next, other: end}}, {node: say, with: {text: mid}}]\n", `{"b":20}`, "switch.mid say.said", "mid", ""},
		{"set", "vars: {n: 1, s: a}\nsteps:\n  - {node: set, with: {n: \"${vars.n + 2}\", s: \"${vars.s}${vars.n}\"}}\n  - {node: say, with: {text: \"${vars.n} ${vars.s}\"}}\n", `{}`, "set.done say.said", "3 a1", ""},

		{"error outlet", "steps: [{node: boom, to: {error: sorry}}]\nbranches: {sorry: [{node: say, with: {text: \"${error.code} ${error.step} ${error.node}: ${error.message}\"}}]}\n", `{}`, "boom.error sorry.say.said", "busy boom boom: boom: it went wrong", ""},
		{"on_error", "on_error: sorry\nsteps: [{node: boom, with: {code: conflict}}]\nbranches: {sorry: [{node: say, with: {text: \"${error.code}\"}}]}\n", `{}`, "boom.error sorry.say.said", "conflict", ""},
		{"error outlet before on_error", "on_error: sorry\nsteps: [{node: boom, to: {error: end, fine: plain}}]\nbranches: {sorry: [{node: say, with: {text: no}}], plain: [{node: boom}]}\n", `{}`, "boom.error", "", ""},
		{"error by its code", "steps: [{node: say, with: {text: kept}}, {node: boom}]\n", `{}`, "say.said boom.error", "kept", ota.Busy},
		{"error within an error road", "on_error: sorry\nsteps: [{node: boom}]\nbranches: {sorry: [{node: boom, name: again, with: {code: invalid}}]}\n", `{}`, "boom.error again.error", "", ota.Invalid},
		{"a panic is an error", "steps: [{node: boom, with: {panic: true}, to: {error: sorry}}]\nbranches: {sorry: [{node: say, with: {text: \"${error.code}\"}}]}\n", `{}`, "boom.error sorry.say.said", "internal", ""},
		{"a panic that nobody takes", "steps: [{node: boom, with: {panic: true}}]\n", `{}`, "boom.error", "", ota.Internal},
		{"an expression that fails", "steps: [{node: filter, with: {if: 'from_json(\"{\") == 1'}}]\n", `{}`, "filter.error", "", ota.Internal},
		{"a store that fails", "steps: [{node: filter, with: {if: device.telemetry.fails == 1}}]\n", `{}`, "filter.error", "", ota.Busy},
		{"a when that fails", "steps: [{node: say, name: kept, with: {text: kept}}, {node: say, when: 'from_json(\"{\") == 1', with: {text: a}, to: {error: sorry}}]\nbranches: {sorry: [{node: say, with: {text: sorry}}]}\n", `{}`, "kept.said say.error sorry.say.said", "kept|sorry", ""},
		{"an outlet that the node has not", "steps: [{node: stray}]\n", `{}`, "stray.error", "", ota.Internal},
		{"too many steps", "limits: {steps: 10}\nsteps: [{node: guard, to: {again: guard}}]\n", `{}`, strings.TrimSpace(strings.Repeat("guard.again ", 10)) + " guard.error", "", ota.Internal},
		{"too many steps are no error road", "on_error: sorry\nlimits: {steps: 2}\nsteps: [{node: guard, to: {again: guard}}]\nbranches: {sorry: [{node: say, with: {text: no}}]}\n", `{}`, "guard.again guard.again guard.error", "", ota.Internal},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			c := testSet(t, Options{}, head+x.chain).Chain("x")
			r := testRun(c, telemetry(x.values))
			defer r.release()
			err := r.exec(context.Background(), c.Triggers[0].Start)
			if ota.CodeOf(err) != x.code {
				t.Errorf("error %v, want code %q", err, x.code)
			}
			if got := pathText(r); got != x.path {
				t.Errorf("path %q, want %q", got, x.path)
			}
			if got := saidText(r); got != x.said {
				t.Errorf("said %q, want %q", got, x.said)
			}
		})
	}
}

func TestErrorNamesChainAndStep(t *testing.T) {
	c := testSet(t, Options{}, head+"steps: [{node: boom, name: load, with: {panic: true}}]\n").Chain("x")
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	err := r.exec(context.Background(), c.Triggers[0].Start)
	if err == nil || !strings.HasPrefix(err.Error(), "chain x, step load: panic: the node has a bug") {
		t.Errorf("error %v", err)
	}
}

func TestTurnRunsOutOfTime(t *testing.T) {
	c := testSet(t, Options{}, head+"steps: [{node: slow}]\n").Chain("x")
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	if err := r.exec(ctx, c.Triggers[0].Start); ota.CodeOf(err) != ota.Busy {
		t.Errorf("error %v, want busy", err)
	}
}

func TestTurnThatOnlyHopsRunsOutOfTime(t *testing.T) {
	c := testSet(t, Options{}, head+"limits: {steps: 100000}\nsteps: [{node: guard, to: {again: guard}}]\n").Chain("x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	if err := r.exec(ctx, c.Triggers[0].Start); ota.CodeOf(err) != ota.Busy || len(r.Path()) > 40 {
		t.Errorf("error %v after %d hops, want busy at once", err, len(r.Path()))
	}
}

func TestRootsFollowTheNouns(t *testing.T) {
	c := testSet(t, Options{}, head+`steps:
  - {node: say, with: {text: "${device.name} ${device.profile} ${device.online} ${device.last_seen}"}}
  - {node: move, with: {state: DOWNLOADING}}
  - {node: say, name: after, with: {text: "${steps.move.was} ${update.state} ${update.target.version} ${update.attempt} ${update.waited}"}}
  - {node: move, name: on, with: {state: DOWNLOADED}}
  - {node: say, name: then, when: update.state == "DOWNLOADED", with: {text: "${update.state}"}}
`).Chain("x")
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
		t.Fatal(err)
	}
	want := "dev-1 pump true 2026-11-23T08:59:00Z|QUEUED DOWNLOADING 1.2 2 1h30m|DOWNLOADED"
	if got := saidText(r); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestValuesOfTheDevice(t *testing.T) {
	c := testSet(t, Options{}, head+`steps:
  - {node: say, with: {text: "${device.telemetry.battery ?? 0} ${device.attributes.server.site ?? 'nowhere'} ${device.attributes.shared.none ?? 'none'}"}}
  - {node: move, with: {state: UPDATING}}
  - {node: say, name: after, with: {text: "${device.attributes.server.site ?? 'nowhere'}"}}
`).Chain("x")
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	r.SetValue(ota.Value{Scope: ota.ServerScope, Key: "site", JSON: []byte(`"south"`)})
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
		t.Fatal(err)
	}
	if got, want := saidText(r), "35.5 south none|south"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestCall(t *testing.T) {
	called := `
chain: called
summary: Is called.
trigger: call
outlets: [done, other_way]
params:
  word: {type: text}
  n: {type: int, default: 1}
vars: {count: 0}
steps:
  - {node: set, with: {count: "${vars.count + params.n}"}}
  - {node: say, with: {text: "${params.word} ${params.n} ${vars.count}"}}
  - {node: filter, with: {if: params.n < 5}, to: {rejected: big}}
  - {node: return, with: {values: {sum: "${vars.count}", note: small}}}
branches:
  big: [{node: return, with: {outlet: other_way, values: {sum: "${vars.count * 2}", note: big}}}]
`
	top := head + `vars: {count: 100}
steps:
  - {node: call, name: one, with: {chain: called, args: {word: a}}, to: {other_way: end}}
  - {node: call, name: two, with: {chain: called, args: {word: "${vars.count}", n: "${steps.one.sum + 6}"}}, to: {other_way: next}}
  - {node: say, with: {text: "${steps.one.sum} ${steps.one.note}, ${steps.two.sum} ${steps.two.note}, ${vars.count}"}}
`
	c := testSet(t, Options{}, called, top).Chain("x")
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
		t.Fatal(err)
	}
	if got, want := saidText(r), "a 1 1|100 7 7|1 small, 14 big, 100"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	want := "one/set.done one/say.said one/filter.passed two/set.done two/say.said two/filter.rejected say.said"
	if got := pathText(r); got != want {
		t.Errorf("path %q, want %q", got, want)
	}
}

func TestCalledChainEndsByItsFirstOutlet(t *testing.T) {
	called := "chain: called\nsummary: Is called.\ntrigger: call\nsteps:\n  - {node: filter, with: {if: msg.values.a == 1}}\n  - {node: filter, name: two, with: {if: msg.values.b == 1}, to: {rejected: end}}\n  - {node: say, with: {text: in}}\n"
	top := head + "steps:\n  - {node: call, with: {chain: called}}\n  - {node: say, with: {text: on}}\n"
	c := testSet(t, Options{}, called, top).Chain("x")
	for values, want := range map[string]string{`{}`: "on", `{"a":1}`: "on", `{"a":1,"b":1}`: "in|on"} {
		r := testRun(c, telemetry(values))
		if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
			t.Error(err)
		}
		if got := saidText(r); got != want {
			t.Errorf("%s: said %q, want %q", values, got, want)
		}
		r.release()
	}
}

func TestErrorsOfCalledChains(t *testing.T) {
	called := "chain: called\nsummary: Is called.\ntrigger: call\nsteps: [{node: boom}]\n"
	for _, x := range []struct{ name, top, want string }{
		{"the caller's outlet", "on_error: no\nsteps: [{node: call, with: {chain: called}, to: {error: sorry}}]\nbranches: {sorry: [{node: say, with: {text: \"${error.step}\"}}], no: [{node: say, with: {text: no}}]}\n", "call/boom"},
		{"the caller's on_error", "on_error: sorry\nsteps: [{node: call, with: {chain: called}}]\nbranches: {sorry: [{node: say, with: {text: \"${error.step}\"}}]}\n", "call/boom"},
	} {
		t.Run(x.name, func(t *testing.T) {
			set, err := Compile(sources(called, head+x.top), testRegistry(t), Options{})
			if f := FaultsOf(err); len(f) > 0 && x.name != "the caller's outlet" {
				t.Fatal(f.Text())
			} else if len(f) > 0 { // on_error is reached by nobody, which the loader says
				set, err = Compile(sources(called, head+strings.Replace(strings.Replace(x.top, "on_error: no\n", "", 1), ", no: [{node: say, with: {text: no}}]", "", 1)), testRegistry(t), Options{})
				if err != nil {
					t.Fatal(err)
				}
			}
			c := set.Chain("x")
			r := testRun(c, telemetry(`{}`))
			defer r.release()
			if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
				t.Fatal(err)
			}
			if got := saidText(r); got != x.want {
				t.Errorf("said %q, want %q", got, x.want)
			}
		})
	}
}

// TestParams has the order of a param: args of an assignment, of a call, the
// configuration, the default.
func TestParams(t *testing.T) {
	called := "chain: called\nsummary: Is called.\ntrigger: call\nparams: {a: {type: int, default: 1}, b: {type: int, default: 1}, c: {type: int, default: 1}}\nsteps: [{node: say, with: {text: \"${params.a} ${params.b} ${params.c}\"}}]\n"
	top := head + "params: {p: {type: duration, default: 1h}, q: {type: duration, default: 1h}, r: {type: duration, default: 1h}}\nsteps:\n  - {node: call, with: {chain: called, args: {a: 3}}}\n  - {node: say, with: {text: \"${params.p} ${params.q} ${params.r}\"}}\n"
	o := Options{Params: map[string]map[string]string{"called": {"a": "2", "b": "2"}, "x": {"p": "2h", "q": "2h"}}}
	c := testSet(t, o, called, top).Chain("x")
	r := testRun(c, telemetry(`{}`))
	defer r.release()
	r.withArgs(map[string]string{"p": "3h"})
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
		t.Fatal(err)
	}
	if got, want := saidText(r), "3 2 1|3h 2h 1h"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if err := c.CheckArgs(map[string]string{"p": "3h"}); err != nil {
		t.Error(err)
	}
	err := c.CheckArgs(map[string]string{"p": "soon", "pp": "1h"})
	if ota.CodeOf(err) != ota.Invalid || !strings.Contains(err.Error(), "param p: ") || !strings.Contains(err.Error(), "did you mean p?") {
		t.Errorf("error %v", err)
	}
}

// TestRunsShareNothing uses one chain from many goroutines; the race detector
// looks on.
func TestRunsShareNothing(t *testing.T) {
	c := testSet(t, Options{}, head+"vars: {s: \"\"}\nsteps:\n  - {node: set, with: {s: \"${msg.values.s ?? ''}\"}}\n  - {node: switch, with: {cases: [{name: a, if: 'len(vars.s) > 0 and vars.s matches \"^[0-9]+$\"'}]}, to: {a: next, other: end}}\n  - {node: say, with: {text: \"${vars.s}\"}}\n").Chain("x")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				s := strings.Repeat(string(rune('0'+g)), i%7+1)
				r := testRun(c, telemetry(`{"s":"`+s+`"}`))
				if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
					t.Error(err)
				}
				if got := saidText(r); got != s {
					t.Errorf("said %q, want %q", got, s)
				}
				r.release()
			}
		})
	}
	wg.Wait()
	stats := c.Stats()
	if n := stats[2].Taken["said"]; n != 1600 {
		t.Errorf("say was counted %d times, want 1600", n)
	}
	if stats[0].Mean <= 0 {
		t.Error("no hop was timed")
	}
}

func TestStatsCountErrorsAndSkips(t *testing.T) {
	c := testSet(t, Options{}, head+"steps:\n  - {node: boom, when: msg.values.a == 1, to: {error: next}}\n  - {node: say, with: {text: a}}\n").Chain("x")
	for _, v := range []string{`{"a":1}`, `{"a":1}`, `{}`} {
		r := testRun(c, telemetry(v))
		if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
			t.Fatal(err)
		}
		r.release()
	}
	got := c.Stats()
	for i := range got {
		got[i].Mean = 0
	}
	want := []StepStats{{Step: "boom", Node: "boom", Taken: map[string]uint64{}, Skipped: 1, Errors: 2}, {Step: "say", Node: "say", Taken: map[string]uint64{"said": 3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestStatsOfCalls: a step that calls counts by which outlet the chain was left.
func TestStatsOfCalls(t *testing.T) {
	c := testSet(t, Options{}, branching, inner).Chain("x")
	for _, v := range []string{`{"a":1}`, `{"a":2}`, `{"a":3}`} {
		r := testRun(c, telemetry(v))
		if err := r.exec(t.Context(), c.Triggers[0].Start); err != nil {
			t.Fatal(err)
		}
		r.release()
	}
	if got := c.Stats()[0]; got.Step != "call" || got.Taken["done"] != 2 || got.Taken["odd"] != 1 || len(got.Taken) != 2 {
		t.Errorf("%+v", got)
	}
	nested := testSet(t, Options{}, head+"steps: [{node: call, with: {chain: mid}}]\non_error: sorry\nbranches: {sorry: [{node: settle}]}\n",
		"chain: mid\nsummary: A test.\ntrigger: call\nsteps: [{node: call, with: {chain: low}}]\n",
		"chain: low\nsummary: A test.\ntrigger: call\nsteps: [{node: boom, with: {when: \"${msg.values.fails ?? 0}\"}}, {node: settle, when: msg.values.fails == 0}]\n").Chain("x")
	for _, v := range []string{`{"fails":0}`, `{}`, `{"fails":1}`} {
		r := testRun(nested, telemetry(v))
		if err := r.exec(t.Context(), nested.Triggers[0].Start); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range nested.Stats() {
		if s.Node == "call" && (s.Taken["done"] != 2 || s.Errors != 1 || len(s.Taken) != 1) {
			t.Errorf("%+v", s)
		}
	}
}

func TestPark(t *testing.T) {
	called := "chain: called\nsummary: Is called.\ntrigger: call\nparams: {d: {type: duration}}\nvars: {m: x}\nsteps:\n  - {node: set, with: {m: \"${vars.m}y\"}}\n  - {node: wait, with: {for: \"${params.d}\"}, to: {woken: next}}\n  - {node: say, with: {text: \"${vars.m} ${params.d} ${msg.values.a}\"}}\n"
	top := "chain: x\nsummary: A test.\ntrigger: connected\nvars: {n: 1, at: 2026-01-02T03:04:05Z, l: [1, a]}\nsteps:\n  - {node: move, with: {state: UPDATING}}\n  - {node: set, with: {n: \"${vars.n + 1}\"}}\n  - {node: call, with: {chain: called, args: {d: 90m}}}\n  - {node: say, with: {text: \"${vars.n} ${vars.at} ${vars.l} ${steps.move.was} ${update.state}\"}}\n"
	set, err := Compile(sources(called, top), testRegistry(t), Options{})
	for _, f := range FaultsOf(err) {
		if f.Rule != ruleReplyBeforeWait {
			t.Fatal(f.Text())
		}
	}
	if set == nil { // the test wants to see what is said behind the wait
		replies := say()
		replies.Spec.Replies = false
		reg := testRegistry(t)
		reg.byName["say"] = replies
		if set, err = Compile(sources(called, top), reg, Options{}); err != nil {
			t.Fatal(FaultsOf(err).Text())
		}
	}
	c := set.Chain("x")
	m := telemetry(`{"a":5}`)
	m.Event = ota.Connected
	r := testRun(c, m)
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil {
		t.Fatal(err)
	}
	if r.park == nil {
		t.Fatal("the run did not park")
	}
	p, err := r.parked()
	if err != nil {
		t.Fatal(err)
	}
	if !p.At.Equal(testTime.Add(90*time.Minute)) || p.Digest != c.Digest {
		t.Errorf("parked %+v", p)
	}
	r.release()

	state, err := readParked(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, woken := range []bool{false, true} {
		r = testRun(c, state.Message)
		at, err := r.resume(state, woken)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.exec(context.Background(), at); err != nil {
			t.Fatal(err)
		}
		if got, want := saidText(r), `xy 1h30m 5|2 2026-01-02T03:04:05Z [1,"a"] QUEUED QUEUED`; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		r.release()
	}
}

func TestAnswer(t *testing.T) {
	chain := func(name, trigger string) string {
		return "chain: " + name + "\nsummary: A test.\ntrigger: " + trigger + "\nsteps: [{node: filter, with: {if: 1 < 2}}]\n"
	}
	s := testSet(t, Options{},
		chain("general", "assigned"), chain("software", "{event: assigned, kind: software}"), chain("pumps", "{event: assigned, profiles: [pump, fan]}"),
		chain("pump_software", "{event: assigned, profiles: [pump], kind: software}"), chain("listens", "{event: assigned, observe: true}"),
		chain("both", "[update_finished, {event: assigned, observe: true, kind: software, profiles: [fan]}]"), chain("staged", "rollout"), chain("off", "connected\nenabled: false"))
	for _, x := range []struct {
		profile string
		kind    ota.Kind
		want    string
		beside  string
	}{
		{"valve", ota.Firmware, "general", "listens"},
		{"valve", ota.Software, "software", "listens"},
		{"pump", ota.Firmware, "pumps", "listens"},
		{"pump", ota.Software, "pump_software", "listens"},
		{"fan", ota.Software, "pumps", "listens both"},
		{"", "", "general", "listens"},
	} {
		c, trig := s.Answer(ota.Assigned, x.profile, x.kind)
		if c == nil || c.Name != x.want || trig.Event != ota.Assigned {
			t.Errorf("%s %s is answered by %v, want %s", x.profile, x.kind, c, x.want)
		}
		var beside []string
		s.Observers(ota.Assigned, x.profile, x.kind, func(c *Chain, _ *Trigger) { beside = append(beside, c.Name) })
		if got := strings.Join(beside, " "); got != x.beside {
			t.Errorf("%s %s is heard by %q, want %q", x.profile, x.kind, got, x.beside)
		}
	}
	if c, _ := s.Answer(ota.Connected, "pump", ""); c != nil || s.Hears(ota.Connected) {
		t.Error("a chain that is not enabled answers")
	}
	if c, _ := s.Conductor("staged"); c == nil || !s.Hears(ota.UpdateFinished) {
		t.Error("the conductor is not found, or update_finished not heard")
	}
	if c, _ := s.Conductor("general"); c != nil {
		t.Error("a chain that hears no rollout conducts one")
	}
	if diff := cmp.Diff([]string{"staged"}, s.Conductors()); diff != "" {
		t.Error(diff)
	}
}

func TestDigestChangesWithWhatIsCalled(t *testing.T) {
	top := head + "steps: [{node: call, with: {chain: called}}]\n"
	called := "chain: called\nsummary: Is called.\ntrigger: call\nsteps: [{node: say, with: {text: a}}]\n"
	a := testSet(t, Options{}, called, top).Chain("x").Digest
	b := testSet(t, Options{}, strings.Replace(called, "text: a", "text: b", 1), top).Chain("x").Digest
	same := testSet(t, Options{}, called, top).Chain("x").Digest
	if a == b || a != same || len(a) != 16 {
		t.Errorf("digests %s, %s, %s", a, b, same)
	}
}

func TestAsksAndMoves(t *testing.T) {
	if c := testSet(t, Options{}, head+"steps: [{node: say, with: {text: a}}]\n").Chain("x"); !c.Asks() {
		t.Error("a chain that only replies moves")
	}
	if c := testSet(t, Options{}, head+"steps: [{node: move, with: {state: UPDATED}}]\n").Chain("x"); c.Asks() {
		t.Error("a chain that writes asks")
	}
}
