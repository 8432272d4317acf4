package engine

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// TestTexts works expressions out within text, which shows values and how they
// are printed.
func TestTexts(t *testing.T) {
	values := `{"n":7,"f":1.5,"s":"abc","b":true,"l":[1,"a",null],"m":{"x":{"y":"deep"}},"z":null,"big":123456789012,"t":"2.10"}`
	tests := []struct{ text, want string }{
		{"plain", "plain"},
		{"$${not} ${1 + 1}", "${not} 2"},
		{"${msg.values.n} ${msg.values.f} ${msg.values.s} ${msg.values.b} ${msg.values.big}", "7 1.5 abc true 123456789012"},
		{"${msg.values.l} ${msg.values.m} [${msg.values.z}] [${msg.values.none}]", `[1,"a",null] {"x":{"y":"deep"}} [] []`},
		{"${msg.values.m.x.y} [${msg.values.m.x.no.such}] [${msg.values.n.x}]", "deep [] []"},
		{`${msg.values["s"]} ${msg.values?.s}`, "abc abc"},
		{"${msg.none} ${msg.values.none ?? 'default'}", " default"},
		{"${now} ${duration('3d')} ${duration('90m')} ${duration('1500ms')} ${size('64KiB')} ${percent('2%')} ${time('2026-12-01T02:00:00Z')}", "2026-11-23T09:00:00Z 3d 1h30m 1s500ms 65536 0.02 2026-12-01T02:00:00Z"},
		{"${now - duration('1h')} ${now - time('2026-11-23T08:30:00Z')}", "2026-11-23T08:00:00Z 30m"},
		{"${version_compare('1.10', '1.9')} ${version_compare('1.0.0-rc.1', '1.0.0')} ${version_compare('v2', '2.0')} ${version_compare(msg.values.t, '2.9')}", "1 -1 0 1"},
		{"${version_in('1.4.2', '>=1.4 <2')} ${version_in('1.4.2', '^1.5 || ~1.4.0')} ${version_in('2.0.0', '1.x')} ${version_in('0.2.3', '^0.2.1')} ${version_in('3', '*')}", "true true false true true"},
		{"${time_of_day(now, 'Europe/Kyiv')} ${weekday(now, 'UTC')} ${in_hours(now, '22:00', '05:00', 'America/Los_Angeles')} ${in_hours(now, '10:00', '12:00', 'Europe/Kyiv')}", "11:00 mon true true"},
		{"${number(msg.values.t, 0)} ${number(msg.values.s, 5)} ${text(msg.values.n, 'x')} ${text(msg.values.m, 'x')} ${flag(msg.values.b, false)} ${flag('no', true)}", "2.1 5 7 x true true"},
		{`${from_json('{"a":[1,2]}').a[1]} ${to_json(msg.values.m)} ${hex("ab")} ${base64("ab")} ${sha256("")}`, `2 {"x":{"y":"deep"}} 6162 YWI= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`},
		{"${share_of('a', 'b') == share_of('a', 'b')} ${share_of('a', 'b') == share_of('ab')} ${share_of('x') < 1}", "true false true"},
		{`${upper("a") + lower("B")} ${trim(" x ")} ${split("a,b", ",")} ${join(["a", "b"], "-")} ${replace("aba", "a", "c")} ${indexOf("abc", "c")}`, `Ab x ["a","b"] a-b cbc 2`},
		{"${min(1, 2)} ${max(1, 2.5)} ${abs(-3)} ${round(1.6)} ${floor(1.6)} ${ceil(1.2)} ${int('4')} ${float('1.5')} ${len('äb')}", "1 2.5 3 2 1 2 4 1.5 2"},
		{`${map([1, 2], # * 2)} ${filter([1, 2, 3], # > 1)} ${sum([1, 2])} ${count([1, 2], # > 1)} ${any([1], # > 0)} ${first([1, 2])} ${last([1, 2])}`, "[2,4] [2,3] 3 1 true 1 2"},
		{"${let x = 2; x * 3}", "6"},
		{`${msg.values.s matches "^a.c$"} ${"abc" contains "b"} ${"abc" startsWith "a"} ${msg.values.s endsWith "x"}`, "true true true false"},
		{`${msg.values.n in ["7", "8"]} ${msg.values.n in [7, 8]} ${msg.values.none in ["", "a"]} ${msg.values.m in ["a"]}`, "false true false false"},
		{`${ {"a": 1}.a } ${"}"}`, "1 }"},
		{"${device.name == 'dev-1' ? 'mine' : 'other'} ${not device.online}", "mine false"},
		{"${update.state in ['QUEUED'] and update.attempt > 1 or false}", "true"},
		{"${run.chain} ${run.started} ${device.groups} ${device.zone ?? 'UTC'} ${device.firmware.version}", "x 2026-11-23T09:00:00Z [] UTC "},
	}
	for _, x := range tests {
		t.Run(x.text, func(t *testing.T) {
			trigger := strings.Replace(head, "telemetry", "call", 1)
			c := testSet(t, Options{}, trigger+"steps:\n  - node: say\n    with:\n      text: '"+strings.ReplaceAll(x.text, "'", "''")+"'\n").Chain("x")
			r := testRun(c, telemetry(values))
			defer r.release()
			r.Concern(ota.Firmware)
			if err := r.exec(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			if got := saidText(r); got != x.want {
				t.Errorf("said %q, want %q", got, x.want)
			}
		})
	}
}

// TestSettingsFromExpressions has what a device may send against what a setting
// takes.
func TestSettingsFromExpressions(t *testing.T) {
	var got struct {
		i Int
		d Duration
		k Kind
		p Share
		s Size
		l Texts
		m Map
		a Data
		b Bool
		t Time
		r Rate
	}
	type config struct {
		I Int      `yaml:"i"`
		D Duration `yaml:"d"`
		K Kind     `yaml:"k"`
		P Share    `yaml:"p"`
		S Size     `yaml:"s"`
		L Texts    `yaml:"l"`
		M Map      `yaml:"m"`
		A Data     `yaml:"a"`
		B Bool     `yaml:"b"`
		T Time     `yaml:"t"`
		R Rate     `yaml:"r"`
	}
	all := Define(Spec{Name: "all", Outlets: []Outlet{{Name: "done"}}}, config{}, func(c config) (Node, error) {
		got.i, got.d, got.k, got.p, got.s, got.l, got.m, got.a, got.b, got.t, got.r = c.I, c.D, c.K, c.P, c.S, c.L, c.M, c.A, c.B, c.T, c.R
		return nodeFunc(func(context.Context, *Run) (string, error) { return "done", nil }), nil
	})
	reg, err := NewRegistry([]Factory{all})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources(head+`steps:
  - node: all
    with:
      i: ${msg.values.i}
      d: ${msg.values.d}
      k: ${msg.values.k}
      p: ${msg.values.p}
      s: ${msg.values.s}
      l: ["a ${msg.values.i}", b]
      m: {x: "${msg.values.i}!"}
      a: {n: "${msg.values.i}", list: [1, "${msg.values.k}", true], text: "1.10"}
      b: ${msg.values.b}
      t: ${msg.values.t}
      r: ${msg.values.r}
`), reg, Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	c := set.Chain("x")
	values := func(json string) *Run { return testRun(c, telemetry(json)) }
	good := values(`{"i":3,"d":"1h30m","k":"software","p":0.5,"s":2048,"b":true,"t":"2026-01-02T03:04:05Z","r":"10/1m"}`)
	read := func(r *Run) []any {
		var out []any
		add := func(v any, err error) {
			if err != nil {
				v = ota.CodeOf(err)
			}
			out = append(out, v)
		}
		i, err := got.i.Get(r)
		add(i, err)
		d, err := got.d.Get(r)
		add(d.String(), err)
		k, err := got.k.Get(r)
		add(string(k), err)
		p, err := got.p.Get(r)
		add(float64(p), err)
		s, err := got.s.Get(r)
		add(int(s), err)
		l, err := got.l.Get(r)
		add(fmt.Sprint(l), err)
		m, err := got.m.Get(r)
		add(fmt.Sprint(m), err)
		a, err := got.a.Get(r)
		add(fmt.Sprint(a), err)
		b, err := got.b.Get(r)
		add(b, err)
		at, err := got.t.Get(r)
		add(at.Year(), err)
		pace, err := got.r.Get(r)
		add(pace.Count, err)
		return out
	}
	want := []any{3, "1h30m0s", "software", 0.5, 2048, "[a 3 b]", "map[x:3!]", "map[list:[1 software true] n:3 text:1.10]", true, 2026, 10}
	if g := read(good); !reflect.DeepEqual(g, want) {
		t.Errorf("good: %v, want %v", g, want)
	}
	absent := values(`{}`)
	want = []any{0, "0s", "", 0.0, 0, "[a  b]", "map[x:!]", "map[list:[1 <nil> true] n:<nil> text:1.10]", false, 1, 0}
	if g := read(absent); !reflect.DeepEqual(g, want) {
		t.Errorf("absent: %v, want %v", g, want)
	}
	bad := values(`{"i":1.5,"d":"soon","k":"hardware","p":"much","s":"big","b":"yes","t":"noon","r":7}`)
	i := ota.Invalid
	want = []any{i, i, i, i, i, "[a 1.5 b]", "map[x:1.5!]", "map[list:[1 hardware true] n:1.5 text:1.10]", i, i, i}
	if g := read(bad); !reflect.DeepEqual(g, want) {
		t.Errorf("bad: %v, want %v", g, want)
	}
}

// TestMethodsAndClocksAreRefused: nothing in an expression may call into Go
// values or ask what time it is.
func TestMethodsAndClocksAreRefused(t *testing.T) {
	for expr, rule := range map[string]string{
		"now.Unix() > 1":             ruleWrongType,
		"now().Year > 1":             ruleUnknownKey,
		"date('2026-01-01') == now":  ruleUnknownKey,
		"$env == nil":                ruleUnknownKey,
		"reduce([1], # + 1) == 1":    ruleUnknownKey,
		"duration(device.name) == 1": ruleBadLiteral,
		"device.name.Len == 1":       ruleWrongType,
		"let msg = 1; msg == 1":      ruleNameTaken,
		"vars == 1":                  ruleWrongType,
		"device.attributes == 1":     ruleWrongType,
		"device.attributes.x.y == 1": ruleUnknownKey,
		"repeat('a', 100000) == ''":  ruleUnknownKey,
		"item == 1":                  ruleNotSetHere,
	} {
		_, err := Compile(sources(head+"steps:\n  - node: filter\n    with:\n      if: >-\n        "+expr+"\n"), testRegistry(t), Options{})
		fs := FaultsOf(err)
		if len(fs) == 0 {
			t.Errorf("%s loads", expr)
			continue
		}
		if rule != "" && fs[0].Rule != rule {
			t.Errorf("%s: %s, want rule %s", expr, fs[0], rule)
		}
		if fs[0].Line != 8 {
			t.Errorf("%s: fault in line %d, want 8", expr, fs[0].Line)
		}
	}
}

// TestBudgets: an expression cannot eat the process.
func TestBudgets(t *testing.T) {
	for _, expr := range []string{
		"len(map(1..100000000, #)) > 1",
		"sum(map(1..2000, sum(map(1..2000, #)))) > 1",
		"all(1..90, all(1..90, all(1..90, all(1..90, true))))",
		"any(msg.values.l, any(msg.values.l, any(msg.values.l, false)))",
	} {
		c := testSet(t, Options{}, head+"steps:\n  - node: filter\n    with:\n      if: '"+expr+"'\n").Chain("x")
		r := testRun(c, telemetry(`{"l":[`+strings.Repeat("1,", 99)+`1]}`))
		if err := r.exec(context.Background(), 0); ota.CodeOf(err) != ota.Internal {
			t.Errorf("%s: error %v, want internal", expr, err)
		}
		r.release()
	}
}

// operands are the values that FuzzLowered compares.
var operands = []any{nil, "", "a", "b", "10", 0, 1, -1, 2.5, 1.0, 0.0, math.Inf(1), true, false, []any{1}, map[string]any{}, 1 << 60, float64(1 << 60)}

var shapes = []string{
	"A == B", "A != B", "A < B", "A <= B", "A > B", "A >= B", "A == 'a'", "A in ['a', 'b']", "A in [1, 2.5]", "(A ?? B) == 1", "(A ?? 'x') + (B ?? 'y')", "A == nil", "not (A == B)",
	"A == B and B == 'a'", "A == B or A == 'a'", "A == 1 ? B : A", "(A ?? 0) > (B ?? 1)", "A ?? B", "A", "A == true", "(A == 1) == (B == 1)", "A and B", "A or B", "not A", "A ? 1 : 2", "'p' + (A ?? '') + 's'",
}

// FuzzLowered holds what runs as closures equal to what the machine says.
func FuzzLowered(f *testing.F) {
	for s := range shapes {
		for i := range operands {
			f.Add(uint8(s), uint8(i), uint8(i*7+s))
		}
	}
	type compiled struct {
		p *program
		c *Chain
	}
	programs := map[string]compiled{}
	f.Fuzz(func(t *testing.T, shape, a, b uint8) {
		src := shapes[int(shape)%len(shapes)]
		x := programs[src]
		if x.p == nil {
			bu := &builder{docs: map[string]*doc{}, opts: &Options{}, faults: &faultList{}, c: &Chain{}, slots: map[string]int32{}}
			sc := &scope{b: bu, from: &source{}, vars: map[string]*varDecl{"a": {"a", AnyType, nil}, "b": {"b", AnyType, nil}}}
			text := strings.NewReplacer("A", "vars.a", "B", "vars.b").Replace(src)
			p := sc.compile(exprSource{text: text, at: &yamlx.Node{Line: 1, Col: 1, Text: text}, setting: &Field{}, bare: true})
			if p == nil {
				for _, fault := range bu.faults.all { // what the loader refuses never runs
					if fault.Rule != ruleMayBeAbsent && fault.Rule != ruleWrongType {
						t.Fatal(bu.faults.all.Text())
					}
				}
				return
			}
			for i := range bu.c.frame.slots {
				bu.c.frame.slots[i].mach = true
			}
			x = compiled{p, bu.c}
			programs[src] = x
		}
		p, c := x.p, x.c
		r := &Run{chain: c}
		r.env.init(&c.frame)
		for i, s := range c.frame.slots {
			v := operands[int(a)%len(operands)]
			if s.key == "vars.b" {
				v = operands[int(b)%len(operands)]
			}
			r.put(int32(i), v)
		}
		want, werr := p.machine(r)
		if p.value != nil {
			if got, ok := p.value(r.env.slots); ok && (werr != nil || !reflect.DeepEqual(got, want)) {
				t.Errorf("%s with %v and %v is %v as a closure; the machine says %v, %v", src, operands[int(a)%len(operands)], operands[int(b)%len(operands)], got, want, werr)
			}
		}
		if p.cond != nil {
			if got, ok := p.cond(r.env.slots); ok && (werr != nil || want != got) {
				t.Errorf("%s with %v and %v holds %v as a closure; the machine says %v, %v", src, operands[int(a)%len(operands)], operands[int(b)%len(operands)], got, want, werr)
			}
		}
	})
}
