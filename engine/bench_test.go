package engine

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

// telemetry300 is a message of a device as they are: 299 bytes, 17 keys.
const telemetry300 = `{"fw_state":"DOWNLOADING","current_fw_title":"controller-main","current_fw_version":"1.14.2","battery":87.5,"rssi":-71,` +
	`"temperature":21.375,"humidity":48.25,"uptime":8123456,"heap":184320,"cell":"310-410-1234","lat":50.450123,"lon":30.523412,` +
	`"door":false,"mode":"auto","err":0,"seq":99231,"n":12345}`

const fiveNodes = `
chain: five
summary: What numbers are measured with.
trigger: telemetry
vars: {pkg: ""}
steps:
  - {node: parse, with: {value: msg.values.fw_state}}
  - {node: pass, with: {if: 'msg.values.fw_state in ["DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING"] && (msg.values.battery ?? 0) > 20'}, to: {rejected: end}}
  - {node: set, with: {pkg: "${(msg.values.current_fw_title ?? '') + '/' + (msg.values.current_fw_version ?? '')}"}}
  - {node: switch, with: {value: msg.values.fw_state}, to: {DOWNLOADING: count, DOWNLOADED: count, VERIFIED: count, UPDATING: count, other: end}}
branches:
  count: [{node: count, with: {what: "${vars.pkg}"}}]
`

type parseConfig struct {
	Value Value `yaml:"value"`
}

type parseNode struct{ v Value }

func (n *parseNode) Process(_ context.Context, r *Run) (string, error) {
	if v, err := n.v.Eval(r); err != nil || v == nil {
		return "empty", err
	}
	return "parsed", nil
}

type passConfig struct {
	If Cond `yaml:"if"`
}

type passNode struct{ c Cond }

func (n *passNode) Process(_ context.Context, r *Run) (string, error) {
	if ok, err := n.c.Eval(r); !ok {
		return "rejected", err
	}
	return "passed", nil
}

type countConfig struct {
	What Text `yaml:"what"`
}

type countNode struct {
	c     countConfig
	total *atomic.Uint64
}

func (n *countNode) Process(_ context.Context, r *Run) (string, error) {
	s, err := n.c.What.Get(r)
	n.total.Add(uint64(len(s)))
	return "counted", err
}

func benchFactories(total *atomic.Uint64) []Factory {
	return []Factory{
		Define(Spec{Name: "parse", Outlets: []Outlet{{Name: "parsed"}, {Name: "empty", MayEnd: true}}}, parseConfig{}, func(c parseConfig) (Node, error) { return &parseNode{c.Value}, nil }),
		Define(Spec{Name: "pass", Outlets: []Outlet{{Name: "passed"}, {Name: "rejected", MayEnd: true}}}, passConfig{}, func(c passConfig) (Node, error) { return &passNode{c.If}, nil }),
		Define(Spec{Name: "count", Outlets: []Outlet{{Name: "counted"}}}, countConfig{}, func(c countConfig) (Node, error) { return &countNode{c, total}, nil }),
	}
}

func benchChain(tb testing.TB, text string, total *atomic.Uint64) *Chain {
	tb.Helper()
	reg, err := NewRegistry(benchFactories(total))
	if err != nil {
		tb.Fatal(err)
	}
	set, err := Compile([]Source{{"five.yaml", []byte(text)}}, reg, Options{})
	if err != nil {
		tb.Fatal(FaultsOf(err).Text())
	}
	return set.Chain("five")
}

// withFilters puts n more filters before the switch.
func withFilters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {node: pass, name: more_%d, with: {if: 'msg.values.fw_state in [\"DOWNLOADING\", \"DOWNLOADED\", \"VERIFIED\", \"UPDATING\"] && (msg.values.battery ?? 0) > 20'}, to: {rejected: end}}\n", i)
	}
	return strings.Replace(fiveNodes, "  - {node: switch", b.String()+"  - {node: switch", 1)
}

// runFive runs the chain as an engine does that moves a home: what it reads is
// noted, taps are looked for, and the flight recorder keeps it.
func runFive(ctx context.Context, e *Engine, c *Chain, m ota.Message, now time.Time) error {
	r := c.newRun(m, now)
	defer r.release()
	r.Home = benchHome
	return e.runFive(ctx, r)
}

var benchHome = &ota.Home{Ref: thing}

func (e *Engine) runFive(ctx context.Context, r *Run) error {
	r.watch(nil, benchHome)
	if e.traces(r.chain) {
		r.lookOn()
	}
	err := r.exec(ctx, r.chain.Triggers[0].Start)
	e.over(r, thing, nil, err)
	return err
}

func benchEngine() *Engine { return New(nil, Host{Homes: newShelf(), Runs: 64}) }

func benchmarkChain(b *testing.B, text string) {
	var total atomic.Uint64
	c := benchChain(b, text, &total)
	m := ota.Message{Event: ota.Telemetry, Values: []byte(telemetry300)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	now, e := time.Now(), benchEngine()
	defer cpu(b)()
	for b.Loop() {
		if err := runFive(ctx, e, c, m, now); err != nil {
			b.Fatal(err)
		}
	}
	if total.Load() == 0 {
		b.Fatal("nothing was counted")
	}
}

// cpu reports the processor time of an operation, which moves less than the
// time on the wall where others use the machine too.
func cpu(b *testing.B) (report func()) {
	b.Helper()
	b.ReportAllocs()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkFiveNodes(b *testing.B)      { benchmarkChain(b, fiveNodes) }
func BenchmarkFiftyFilters(b *testing.B)   { benchmarkChain(b, withFilters(50)) }
func BenchmarkFlatArray(b *testing.B)      { benchmarkFlat(b, 0) }
func BenchmarkFlatArrayFifty(b *testing.B) { benchmarkFlat(b, 50) }

// flatNode is a node of the floor: the bare flat array with expr.
type flatNode func(f *flatRun) int

type flatRun struct {
	env  map[string]any
	vm   vm.VM
	body []byte
}

func benchmarkFlat(b *testing.B, more int) {
	env := types.Map{"fw_state": types.String, "battery": types.Float64, "title": types.String, "version": types.String}
	program := func(src string) *vm.Program {
		p, err := expr.Compile(src, expr.Env(env))
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	condition := program(`fw_state in ["DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING"] && battery > 20`)
	join := program(`title + "/" + version`)
	state := program(`fw_state`)
	var total uint64
	filter := func(f *flatRun) int {
		v, err := f.vm.Run(condition, f.env)
		if err != nil || v != true {
			return 1
		}
		return 0
	}
	nodes := []flatNode{
		func(f *flatRun) int {
			rs := gjson.GetManyBytes(f.body, "fw_state", "battery", "current_fw_title", "current_fw_version")
			f.env["fw_state"], f.env["battery"], f.env["title"], f.env["version"] = rs[0].Str, rs[1].Num, rs[2].Str, rs[3].Str
			return 0
		},
		filter,
		func(f *flatRun) int {
			v, err := f.vm.Run(join, f.env)
			if err != nil {
				return 1
			}
			f.env["pkg"] = v
			return 0
		},
	}
	for range more {
		nodes = append(nodes, filter)
	}
	nodes = append(nodes, func(f *flatRun) int {
		v, _ := f.vm.Run(state, f.env)
		switch v {
		case "DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING":
			return 0
		}
		return 1
	}, func(f *flatRun) int {
		s, _ := f.env["pkg"].(string)
		total += uint64(len(s))
		return 0
	})
	next := make([][2]int, len(nodes))
	for i := range nodes {
		next[i] = [2]int{i + 1, len(nodes)}
	}
	f := &flatRun{env: map[string]any{}, body: []byte(telemetry300)}
	defer cpu(b)()
	for b.Loop() {
		for at := 0; at < len(nodes); {
			at = next[at][nodes[at](f)]
		}
	}
	if total == 0 {
		b.Fatal("nothing was counted")
	}
}

// TestAllocations asserts what a hop costs in memory, with counters, the flight
// recorder and taps, which are off.
func TestAllocations(t *testing.T) {
	allocations := func(text string) float64 {
		var total atomic.Uint64
		c := benchChain(t, text, &total)
		m := ota.Message{Event: ota.Telemetry, Values: []byte(telemetry300)}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		r := c.newRun(m, time.Now()) // one for all: under the race detector the pool forgets some
		defer r.release()
		e, ran := benchEngine(), uint64(0)
		once := func() {
			r.begin()
			r.Home = benchHome
			if err := e.runFive(ctx, r); err != nil {
				t.Fatal(err)
			}
			ran++
		}
		for range 64 { // the ring's memory is laid out when it is full for the first time
			once()
		}
		n := testing.AllocsPerRun(1000, once)
		if stats := c.Stats(); stats[0].Taken["parsed"] != ran {
			t.Errorf("the first step was counted %d times, want %d", stats[0].Taken["parsed"], ran)
		}
		if runs := e.Runs(RunQuery{Limit: 100}); len(runs) != 64 || runs[0].End != RunEnded {
			t.Errorf("the recorder holds %d runs", len(runs))
		}
		return n
	}
	five := allocations(fiveNodes)
	t.Logf("five nodes allocate %v times", five)
	if five > 10 {
		t.Errorf("five nodes allocate %v times, want 10 at most", five)
	}
	if six := allocations(withFilters(1)); six != five {
		t.Errorf("one more filter allocates %v times more, want 0", six-five)
	}
}
