package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/windlass-ota/windlass/ota"
)

// plainConfig has every plain Go type that a config may have.
type plainConfig struct {
	Text     string                   `yaml:"text"`
	Bool     bool                     `yaml:"bool"`
	Int      int                      `yaml:"int"`
	Number   float64                  `yaml:"number"`
	Wait     time.Duration            `yaml:"wait"`
	Size     Bytes                    `yaml:"size"`
	Share    Percent                  `yaml:"share"`
	Pace     ota.Pace                 `yaml:"pace"`
	Kind     ota.Kind                 `yaml:"kind"`
	At       time.Time                `yaml:"at"`
	Words    []string                 `yaml:"words"`
	Timeouts map[string]time.Duration `yaml:"timeouts"`
	Any      any                      `yaml:"any"`
	Within   struct {
		A int `yaml:"a"`
	} `yaml:"within"`
	List []struct {
		Name string `yaml:"name"`
	} `yaml:"list"`
	Level   string `yaml:"level"`
	Setting Int    `yaml:"setting"`
	Skipped string `yaml:"-"`
}

var errBoth = errors.New("text and words exclude each other")

func (c plainConfig) Validate() error {
	if c.Text != "" && len(c.Words) > 0 {
		return &FieldError{"words", errBoth}
	}
	return errors.Join(Between("int", c.Int, 0, 10), Within("setting", c.Setting, 1, 5))
}

// loadPlain loads one step with the settings and returns what the node was given.
func loadPlain(t *testing.T, with string) (plainConfig, []string) {
	t.Helper()
	var got plainConfig
	spec := Spec{Name: "plain", Outlets: []Outlet{{Name: "done"}}, Fields: []Field{{Key: "level", Enum: []string{"low", "high"}}}}
	f := Define(spec, plainConfig{Int: 7, Level: "low", Timeouts: map[string]time.Duration{"x": 1}}, func(c plainConfig) (Node, error) {
		got = c
		if c.Level == "high" && c.Bool {
			return nil, errors.New("high cannot be true")
		}
		return nodeFunc(func(context.Context, *Run) (string, error) { return "done", nil }), nil
	})
	reg, err := NewRegistry([]Factory{f})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(sources(head+"steps:\n  - {node: plain, with: "+with+"}\n"), reg, Options{})
	var faults []string
	for _, x := range FaultsOf(err) {
		faults = append(faults, x.String())
	}
	return got, faults
}

func TestDefine(t *testing.T) {
	got, faults := loadPlain(t, `{bool: true, number: 1.50, wait: 1h30m, size: 4KiB, share: 2.5%, pace: 10/1h, kind: software, at: 2026-01-02T03:04:05Z, `+
		`words: [yes, 1.10, "$${x}"], timeouts: {DOWNLOADING: 2d, UPDATING: 0}, any: {n: 1, l: [a, true]}, within: {a: 3}, list: [{name: one}, {name: two}]}`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := plainConfig{
		Bool: true, Int: 7, Number: 1.5, Wait: 90 * time.Minute, Size: 4096, Share: 0.025, Pace: ota.Pace{Count: 10, Every: time.Hour}, Kind: ota.Software, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Words: []string{"yes", "1.10", "${x}"}, Timeouts: map[string]time.Duration{"DOWNLOADING": 48 * time.Hour, "UPDATING": 0}, Any: map[string]any{"n": 1, "l": []any{"a", true}}, Level: "low",
	}
	want.Within.A = 3
	want.List = []struct {
		Name string `yaml:"name"`
	}{{"one"}, {"two"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Int{})); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestDefineFaults(t *testing.T) {
	const at = "x.yaml:5:"
	for with, want := range map[string][]string{
		"{txt: a}":                  {at + "26: plain has no setting txt; did you mean text? (unknown_key)"},
		"{skipped: a}":              {at + "26: plain has no setting skipped (unknown_key)"},
		"[a]":                       {at + "25: with is a list, want a map of settings (wrong_type)"},
		"{bool: yes}":               {at + "32: bool: \"yes\" is neither true nor false (bad_literal)"},
		"{int: \"3\"}":              {at + "31: int: \"3\" is text; take the quotes away (bad_literal)"},
		"{int: 1.5, number: x}":     {at + "31: int: \"1.5\" is no whole number (bad_literal)", at + "44: number: \"x\" is no number (bad_literal)"},
		"{int: 11}":                 {at + "26: int is 11, want 0 to 10 (bad_literal)"},
		"{int: \"${1 + 1}\"}":       {at + "31: int must be known when the chain is loaded; no ${…} here (bad_literal)"},
		"{setting: 9}":              {at + "26: setting is 9, want 1 to 5 (bad_literal)"},
		"{setting: \"${9}\"}":       nil,
		"{text: a, words: [b]}":     {at + "35: words text and words exclude each other (bad_literal)"},
		"{words: a}":                {at + "33: words is text, want a list (wrong_type)"},
		"{text: [a]}":               {at + "32: text is a list, want one value (wrong_type)"},
		"{timeouts: {a: soon}}":     {at + "40: timeouts: \"soon\" is no duration; write 500ms, 90s, 15m, 12h, 3d or 2w (bad_literal)"},
		"{timeouts: 3}":             {at + "36: timeouts is text, want a map (wrong_type)"},
		"{within: {b: 1}}":          {at + "35: plain has no setting b; did you mean a? (unknown_key)"},
		"{within: 1}":               {at + "34: within is text, want a map (wrong_type)"},
		"{level: medium}":           {at + "33: level is \"medium\", want one of low and high (bad_word)"},
		"{level: high, bool: true}": {at + "25: high cannot be true (bad_literal)"},
		"{kind: hardware}":          {at + "32: kind: \"hardware\" is no kind; write firmware or software (bad_literal)"},
		"{share: 0.02}":             {at + "33: share: \"0.02\" is no share; write 2%, from 0% to 100% (bad_literal)"},
		"{pace: 100}":               {at + "32: pace: \"100\" is no rate; write 100/1m, 10/1h or unlimited (bad_literal)"},
		"{at: noon}":                {at + "30: at: \"noon\" is no time; write 2026-12-01T02:00:00Z (bad_literal)"},
	} {
		_, faults := loadPlain(t, with)
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", with, diff)
		}
	}
}

func TestDefaultsAreNotShared(t *testing.T) {
	first, _ := loadPlain(t, "{timeouts: {a: 1s}}")
	second, _ := loadPlain(t, "{}")
	if len(first.Timeouts) != 1 || second.Timeouts["x"] != 1 || len(second.Timeouts) != 1 {
		t.Errorf("first %v, second %v", first.Timeouts, second.Timeouts)
	}
}

func TestOneOf(t *testing.T) {
	if err := OneOf(map[string]bool{"for": true, "until": false}); err != nil {
		t.Error(err)
	}
	if err := OneOf(map[string]bool{"for": true, "until": true}); err == nil || err.Error() != "exactly one of for and until is required" {
		t.Errorf("error %v", err)
	}
}

// TestDurations: what is printed is read back as it was.
func TestDurations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(10_000*time.Hour)).Draw(t, "d"))
		if d > time.Hour {
			d = d.Round(time.Millisecond) // longer ones are sums of floats
		}
		if got, err := parseDuration(printDuration(d)); err != nil || got != d {
			t.Errorf("%d prints as %s, which reads as %d, %v", d, printDuration(d), got, err)
		}
	})
	for text, want := range map[string]time.Duration{"0": 0, "500ms": 500 * time.Millisecond, "1.5h": 90 * time.Minute, "3d": 72 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "h", "1h 30m", "-1h", "1y", "1e3s", ".", "999999999999w"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q is %s", text, d)
		}
	}
}

func TestParamTypes(t *testing.T) {
	chain := "chain: x\nsummary: A test.\ntrigger: telemetry\nparams:\n" +
		"  t: {type: text, default: 1.10}\n  b: {type: bool, default: true}\n  i: {type: int, default: 3}\n  n: {type: number, default: 1.5}\n  d: {type: duration, default: 2h}\n" +
		"  s: {type: size, default: 1KiB}\n  p: {type: percent, default: 5%}\n  at: {type: time, default: 2026-01-02T03:04:05Z}\n  k: {type: kind, default: firmware}\n  l: {type: list, default: [1, a]}\n  m: {type: map, default: {a: 1}}\n  y: {type: any, default: 3}\n" +
		"  e: {type: text, default: low, enum: [low, high]}\n" +
		"vars: {vd: 5m, vp: 3%, vt: 2026-01-02T03:04:05Z, vs: 4KiB, vq: \"5m\", vb: false, vn: 1.5, vl: [], vm: {}, vz: null}\n" +
		"steps: [{node: say, with: {text: \"${params.t} ${params.b} ${params.i + 1} ${params.n} ${params.d} ${params.s} ${params.p} ${params.at} ${params.k} ${params.l} ${params.m.a} ${params.y} ${params.e}" +
		" | ${vars.vd} ${vars.vp} ${vars.vt} ${vars.vs} ${vars.vq} ${vars.vb} ${vars.vn} ${vars.vl} ${vars.vm} [${vars.vz}]\"}}]\n"
	c := testSet(t, Options{}, chain).Chain("x")
	for _, x := range []struct {
		args map[string]string
		want string
	}{
		{nil, `1.10 true 4 1.5 2h 1024 0.05 2026-01-02T03:04:05Z firmware [1,"a"] 1 3 low`},
		{map[string]string{"t": "x", "b": "false", "i": "9", "n": "2", "d": "3d", "s": "2KiB", "p": "50%", "at": "2027-01-01T00:00:00Z", "k": "software", "l": "a, b", "y": "true", "e": "high"},
			`x false 10 2 3d 2048 0.5 2027-01-01T00:00:00Z software ["a","b"] 1 true high`},
	} {
		if err := c.CheckArgs(x.args); err != nil {
			t.Fatal(err)
		}
		r := testRun(c, telemetry(`{}`))
		r.withArgs(x.args)
		if err := r.exec(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		if got, want := saidText(r), x.want+" | 5m 0.03 2026-01-02T03:04:05Z 4096 5m false 1.5 [] {} []"; got != want {
			t.Errorf("said %q\nwant %q", got, want)
		}
		r.release()
	}
	for name, text := range map[string]string{"b": "yes", "i": "1.5", "d": "soon", "m": "x", "e": "middle", "p": "2", "none": "1"} {
		if err := c.CheckArgs(map[string]string{name: text}); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("%s=%s: error %v, want invalid", name, text, err)
		}
	}
}
