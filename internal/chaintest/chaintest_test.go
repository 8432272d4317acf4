package chaintest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

func options(t testing.TB) Options {
	t.Helper()
	shipped, err := engine.ReadSources(chains.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return Options{Shipped: shipped, Factories: nodes.All}
}

// folder is a test of some chains, each a file that is named like it.
func folder(test string, chains ...string) Folder {
	f := Folder{Tests: []engine.Source{{Name: "x_test.yaml", Data: []byte(test)}}}
	for _, c := range chains {
		s := engine.Source{Data: []byte(c)}
		s.Name = s.ChainName() + ".yaml"
		f.Chains = append(f.Chains, s)
	}
	return f
}

// failures are what went wrong in a file, one a line, without the file's name.
func failures(r FileReport) []string {
	var out []string
	if r.Err != nil {
		for _, l := range strings.Split(r.Err.Error(), "\n") {
			out = append(out, strings.TrimPrefix(l, r.Name+":"))
		}
	}
	for _, c := range r.Cases {
		for _, f := range c.Failures {
			out = append(out, strings.TrimPrefix(f.String(), r.Name+":"))
		}
	}
	return out
}

// TestPlayed plays the files of testdata: what they say holds.
func TestPlayed(t *testing.T) {
	names, err := filepath.Glob("testdata/*_test.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	sources, err := engine.ReadSources(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r := Play(t.Context(), Folder{Chains: sources, Tests: []engine.Source{{Name: name, Data: data}}}, options(t))
			for _, f := range failures(r.Files[0]) {
				t.Error(f)
			}
			for _, c := range r.Files[0].Cases {
				for _, f := range c.Failures {
					t.Logf("%s\n%s\n%s", c.Name, f.Ran, strings.Join(f.Trouble, "\n"))
				}
			}
		})
	}
}

const short = `test: offer
given:
  packages: [{title: app, version: 1.2, kind: firmware, profile: pump}]
  devices: [{name: d, profile: pump, runs: app@1.1}]
cases:
`

// TestTold is what a case says that does not hold.
func TestTold(t *testing.T) {
	tests := []struct {
		name, do string
		want     []string
	}{
		{"all of an expectation", `[{assign: {package: app@1.2, target: device:d}}, {expect: {device: {state: QUEUED, attempt: 2, runs: app@1.1}, outlet: stale}}]`, []string{
			"6:96: device.state: want QUEUED, got INITIATED", "6:113: device.attempt: want 2, got 1", "6:140: outlet: want stale, got offered",
		}},
		{"and of the next", `[{expect: {counts: {QUEUED: 1}}}, {expect: {dead_letters: ">= 1"}}]`, []string{
			`6:49: counts.QUEUED: want 1, got 0`, "6:79: dead_letters: want >= 1, got []",
		}},
		{"no run", `[{expect: {path: [check_offer]}}]`, []string{"6:38: path: want [check_offer], got no run of chain offer"}},
		{"lists", `[{assign: {package: app@1.2, target: device:d}}, {expect: {pushes: [offer, cancel], device: {history: [INITIATED, QUEUED]}}}]`, []string{
			"6:88: pushes: want [offer, cancel], got [offer]", "6:124: device.history: want [INITIATED, QUEUED], got [QUEUED, INITIATED]",
		}},
		{"until, and nothing after it", `[{until: {device: {state: QUEUED}, within: 1h}}, {expect: {outlet: none}}]`, []string{
			"6:47: not within 1h: device.state: want QUEUED, got none",
		}},
		{"what cannot be done", `[{assign: {package: app@1.3, target: device:d}}, {expect: {outlet: none}}]`, []string{"6:23: assign: there is no package app@1.3"}},
		{"a device by a wrong name", `[{send: {device: e, event: telemetry}}]`, []string{"6:23: send: there is no device e; did you mean d?"}},
		{"a chain that conducts nothing", `[{assign: {package: app@1.2, target: profile:pump, chain: offer}}]`, []string{"6:23: assign: there is no chain offer that conducts rollouts; there are rollout"}},
		{"a step that is not there", `[{answer: {step: chek_offer, outlet: due}}]`, []string{"6:23: answer: chain offer has no step chek_offer; did you mean check_offer?"}},
		{"an outlet that is not there", `[{answer: {step: check_offer, outlet: stall}}]`, []string{"6:23: answer: step check_offer has no outlet stall; did you mean stale?"}},
		{"a schedule of a chain that is not there", `[{schedule: {chain: gret}}]`, []string{"6:23: schedule: chain gret: run chain: there is no such chain"}},
		{"a schedule of a chain that hears events", `[{schedule: {chain: offer}}]`, []string{"6:23: schedule: chain offer: run chain: a schedule can name a chain with the trigger call alone"}},
		{"a schedule of a chain that is about a device", `[{schedule: {chain: report, args: {kind: firmware}}}]`, []string{"6:23: schedule: chain report: run chain: it cannot be run for a schedule: line 11: update_status is about a device, which scheduled does not bring"}},
		{"nothing to operate", `[{operate: {promote: canary}}]`, []string{"6:23: operate: there is no rollout to promote"}},
		{"a reply", `[{send: {event: chunk_requested, title: app, version: 1.2}}, {expect: {reply: {code: invalid, text: none}}}]`, []string{
			"6:106: reply.code: want invalid, got not_found", `6:121: reply.text: want none, got ""`,
		}},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			r := Play(t.Context(), folder(short+"  - {name: one, do: "+x.do+"}\n"), options(t))
			if diff := cmp.Diff(x.want, failures(r.Files[0])); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaults is what is wrong with a file before anything of it is played.
func TestFaults(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "1:1: the file holds no test; write test: NAME and cases (missing)"},
		{"no cases", "test: offer\n", "1:1: a test needs the key cases (missing)"},
		{"a key", "test: offer\ncase: []\n", "2:1: a test has no key case; did you mean cases? (unknown_key)"},
		{"a verb", "test: offer\ncases: [{name: a, do: [{expct: {}}]}]\n", "2:25: there is no act expct; did you mean expect? (unknown_key)"},
		{"two verbs", "test: offer\ncases: [{name: a, do: [{pass: 1h, restart: kill}]}]\n", "2:24: an act is a map, want one verb, such as send: {…} (wrong_type)"},
		{"an expectation", "test: offer\ncases: [{name: a, do: [{expect: {device: {stat: QUEUED}}}]}]\n", "2:43: device has no key stat; did you mean state? (unknown_key)"},
		{"a state", "test: offer\ncases: [{name: a, do: [{expect: {counts: {QUEUD: 1}}}]}]\n", "2:43: counts has no key QUEUD; did you mean QUEUED? (unknown_key)"},
		{"an event", "test: offer\ncases: [{name: a, do: [{send: {event: telemetri}}]}]\n", `2:39: there is no event "telemetri" that a case can send; did you mean telemetry? (bad_word)`},
		{"a duration", "test: offer\ncases: [{name: a, do: [{pass: 2 days}]}]\n", `2:31: pass: "2days" is no duration; write 500ms, 90s, 15m, 12h, 3d or 2w (bad_literal)`},
		{"a behaviour", "test: offer\ngiven: {devices: [{name: d, profile: p, behaves: silnt}]}\ncases: []\n",
			`2:50: no device behaves "silnt"; there are good, silent, {slow: 2h}, {fails: text}, {lies: version}, {reboots_at: 60%}, {loses: 5%}, {duplicates: 10%}; did you mean silent? (bad_word)`},
		{"a target", "test: offer\ncases: [{name: a, do: [{assign: {package: app@1.2, target: pump}}]}]\n", `2:60: "pump" is no target; write profile:pump, group:lab or device:dev-1 (bad_literal)`},
		{"a package", "test: offer\ncases: [{name: a, do: [{assign: {package: app, target: device:d}}]}]\n", `2:43: "app" is no package; write title@version (bad_literal)`},
		{"twice", "test: offer\ncases: [{name: a, do: []}, {name: a, do: []}]\n", `2:35: another case is named "a" (bad_literal)`},
		{"a type", "test: offer\ncases: [{name: a, do: [{schedule: {type: firmwar}}]}]\n", `2:42: there is no type "firmwar" of scheduled events; did you mean firmware? (bad_word)`},
		{"a schedule of nothing", "test: offer\ncases: [{name: a, do: [{schedule: {target: profile:pump}}]}]\n", "2:35: schedule needs the key type, or a chain (missing)"},
		{"until without end", "test: offer\ncases: [{name: a, do: [{until: {outlet: due}}]}]\n", "2:32: until needs the key within (missing)"},
		{"a tab", "test: offer\n\tcases: []\n", "2:2: a tab cannot indent; use spaces (yaml)"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			f, faults := Read("x", []byte(x.text))
			if f != nil || len(faults) != 1 || faults[0].String() != "x:"+x.want {
				t.Errorf("%v, %v; want %s", f, faults, x.want)
			}
		})
	}
}

// TestTwiceTheSame plays devices that lose and repeat words twice: chance is the
// same each time.
func TestTwiceTheSame(t *testing.T) {
	const lossy = `test: offer
given:
  packages: [{title: app, version: 1.2, kind: firmware, profile: pump, size: 64KiB}]
  devices: [{count: 20, name: "d{n}", profile: pump, runs: app@1.1, behaves: {loses: 20%, duplicates: 20%}}]
cases:
  - {name: one, do: [{assign: {package: app@1.2, target: profile:pump}}, {until: {counts: {UPDATED: 20}, within: 1d}}, {expect: {timing: {device: d7, UPDATED: 0s}}}]}
`
	one, two := Play(t.Context(), folder(lossy), options(t)), Play(t.Context(), folder(lossy), options(t))
	a, b := failures(one.Files[0]), failures(two.Files[0])
	if len(a) != 1 || !cmp.Equal(a, b) {
		t.Errorf("one device took %v, and then %v", a, b)
	}
}

// TestGallery tests one of several chains that answer the same event: it goes
// before them, a broken one that it names is left out, and one that nobody names
// is not in force.
func TestGallery(t *testing.T) {
	chain := func(name, more string) string {
		return "chain: " + name + "\nsummary: Offers.\ntrigger: {event: offer_due}\nsteps:\n  - node: check_offer\n  - node: admit_update\n" + more + "  - {node: offer_update}\n"
	}
	f := folder(strings.NewReplacer("test: offer", "test: mine", "given:\n", "given:\n  chains: [another, broken]\n").Replace(short)+"  - {name: one, do: [{assign: {package: app@1.2, target: device:d}}, {expect: {path: [check_offer, admit_update, log, offer_update]}}]}\n",
		chain("another", ""), chain("mine", "  - {node: log, with: {message: hello}}\n"), chain("broken", "  - {node: lock}\n"), chain("unnamed", "  - {node: lock}\n"))
	r := Play(t.Context(), f, options(t))
	if got := failures(r.Files[0]); len(got) > 0 {
		t.Error(got)
	}
	if want := []string{"broken.yaml is left out: broken.yaml:7:12: there is no node lock (unknown_node)"}; !cmp.Equal(r.Files[0].Notes, want) {
		t.Errorf("notes: %q", r.Files[0].Notes)
	}
}

func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"../../chains/*_test.yaml", "testdata/*_test.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("cases:\n  -\n  -"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, faults := Read("x", data)
		if (file == nil) != (len(faults) > 0) {
			t.Fatalf("%v, %v", file, faults)
		}
		for _, x := range faults {
			if x.Line < 1 || x.Col < 1 || x.Rule == "" {
				t.Errorf("a fault without a place or a rule: %+v", x)
			}
		}
	})
}
