package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// The nodes below do what tests need; each is as small as a node can be.

type nodeFunc func(ctx context.Context, r *Run) (string, error)

func (f nodeFunc) Process(ctx context.Context, r *Run) (string, error) { return f(ctx, r) }

type sayConfig struct {
	Text Text `yaml:"text"`
}

// say replies with a text.
func say() Factory {
	return Define(Spec{Name: "say", Outlets: []Outlet{{Name: "said"}}, Replies: true, Fields: []Field{{Key: "text"}}}, sayConfig{}, func(c sayConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			s, err := c.Text.Get(r)
			r.Reply(ota.Reply{Word: ota.SayBody, Body: []byte(s)})
			return "said", err
		}), nil
	})
}

type boomConfig struct {
	Code  ota.Code `yaml:"code"`
	Panic bool     `yaml:"panic"`
	When  Int      `yaml:"when"` // fails this many times
}

// boom fails, after it has said something.
func boom() Factory {
	return Define(Spec{Name: "boom", Outlets: []Outlet{{Name: "fine"}}, Outputs: []Output{{"tries", IntType, ""}}}, boomConfig{Code: ota.Busy}, func(c boomConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			r.Reply(ota.Reply{Word: ota.SayBody, Body: []byte("dropped")})
			if n, _ := c.When.Get(r); c.When.Given() && n <= 0 {
				return "fine", nil
			}
			if c.Panic {
				panic("the node has a bug")
			}
			return "", ota.Errorf(c.Code, "boom", "it went wrong")
		}), nil
	})
}

type moveConfig struct {
	State Text `yaml:"state"`
}

// move puts the firmware update into a state.
func move() Factory {
	spec := Spec{Name: "move", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "moved"}}, Sets: []Root{RootUpdate}, Outputs: []Output{{"was", TextType, ""}}}
	return Define(spec, moveConfig{}, func(c moveConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			s, err := c.State.Get(r)
			r.Set("was", string(r.Track(ota.Firmware).Update.State))
			r.Track(ota.Firmware).Update.State = ota.State(s)
			r.Concern(ota.Firmware)
			return "moved", err
		}), nil
	})
}

type waitConfig struct {
	For Duration `yaml:"for"`
}

// wait parks the run.
func wait() Factory {
	return Define(Spec{Name: "wait", Waits: true, Guard: true, Outlets: []Outlet{{Name: "over"}, {Name: "woken", MayEnd: true}}}, waitConfig{}, func(c waitConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			d, err := c.For.Get(r)
			if err != nil {
				return "", err
			}
			return r.Park(Wait{At: r.Now.Add(d), Outlet: "over", Wake: "woken"})
		}), nil
	})
}

type stageConfig struct {
	Share Share `yaml:"share"`
	Where Cond  `yaml:"where"`
}

type stageNode struct{ c stageConfig }

func (n stageNode) Share() (float64, bool) {
	p, ok := n.c.Share.Literal()
	return float64(p), ok
}
func (n stageNode) First() *Cond { return &n.c.Where }
func (n stageNode) Stage(*Run) (ota.Stage, error) {
	return ota.Stage{Where: n.c.Where.String()}, nil
}
func (n stageNode) Process(context.Context, *Run) (string, error) { return "passed", nil }

func stage() Factory {
	return Define(Spec{Name: "stage", Subject: RolloutSubject, Outlets: []Outlet{{Name: "passed"}}, Fields: []Field{{Key: "share"}, {Key: "where", Each: true}}}, stageConfig{}, func(c stageConfig) (Node, error) { return stageNode{c}, nil })
}

func wrongOutlet() Factory {
	return Define(Spec{Name: "stray", Outlets: []Outlet{{Name: "out"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(context.Context, *Run) (string, error) { return "elsewhere", nil }), nil
	})
}

func slow() Factory {
	return Define(Spec{Name: "slow", Outlets: []Outlet{{Name: "done"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(ctx context.Context, _ *Run) (string, error) {
			<-ctx.Done()
			return "", fmt.Errorf("wait for a part: %w", ctx.Err())
		}), nil
	})
}

func testRegistry(tb testing.TB) *Registry {
	tb.Helper()
	guard := Define(Spec{Name: "guard", Guard: true, Outlets: []Outlet{{Name: "again"}, {Name: "enough", MayEnd: true}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(context.Context, *Run) (string, error) { return "again", nil }), nil
	})
	pass := Define(Spec{Name: "filter", Outlets: []Outlet{{Name: "passed"}, {Name: "rejected", MayEnd: true}}, Fields: []Field{{Key: "if", Required: true}}}, passConfig{}, func(c passConfig) (Node, error) { return &passNode{c.If}, nil })
	settle := Define(Spec{Name: "settle", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "settled"}}, Sets: []Root{ProofSettled}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(context.Context, *Run) (string, error) { return "settled", nil }), nil
	})
	reg, err := NewRegistry([]Factory{settle, say(), boom(), move(), wait(), stage(), wrongOutlet(), slow(), guard, pass})
	if err != nil {
		tb.Fatal(err)
	}
	return reg
}

// testSet loads chains written one after the other, each beginning with "chain:".
func testSet(tb testing.TB, o Options, texts ...string) *Set {
	tb.Helper()
	set, err := Compile(sources(texts...), testRegistry(tb), o)
	if err != nil {
		tb.Fatal(FaultsOf(err).Text())
	}
	return set
}

func sources(texts ...string) []Source {
	var out []Source
	for _, text := range texts {
		text = strings.TrimPrefix(text, "\n")
		name, _, _ := strings.Cut(strings.TrimPrefix(text, "chain: "), "\n")
		out = append(out, Source{name + ".yaml", []byte(text)})
	}
	return out
}

var testTime = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// testRun makes a run of a chain about a device with an open update.
func testRun(c *Chain, m ota.Message) *Run {
	r := c.newRun(m, testTime)
	r.device = &ota.Device{ID: "d", Name: "dev-1", Tenant: "main", Profile: "p", Heard: testTime.Add(-time.Minute)}
	r.device.Firmware.Update = &ota.Update{ID: "1", Kind: ota.Firmware, State: ota.Queued, Attempt: 2, Target: ota.Version{Title: "app", Version: "1.2"}, Entered: testTime.Add(-90 * time.Minute)}
	r.profile = &ota.Profile{ID: "p", Name: "pump"}
	r.Facts = testFacts{}
	return r
}

func telemetry(values string) ota.Message {
	return ota.Message{Event: ota.Telemetry, Tenant: "main", Device: "d", Values: []byte(values)}
}

// testFacts knows the values of one device.
type testFacts struct{ ota.Facts }

var errValues = errors.New("the store is away")

func (testFacts) Values(_ context.Context, _ ota.Ref, s ota.Scope, keys []string) ([]ota.Value, error) {
	var out []ota.Value
	for _, k := range keys {
		switch {
		case k == "fails":
			return nil, &ota.Error{Code: ota.Busy, Op: "values", Err: errValues}
		case s == ota.TelemetryScope && k == "battery":
			out = append(out, ota.Value{Scope: s, Key: k, JSON: []byte("35.5")})
		case s == ota.ServerScope && k == "site":
			out = append(out, ota.Value{Scope: s, Key: k, JSON: []byte(`"north"`)})
		}
	}
	return out, nil
}

func pathText(r *Run) string {
	var out []string
	for _, h := range r.Path() {
		out = append(out, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	return strings.Join(out, " ")
}

func saidText(r *Run) string {
	var out []string
	for _, p := range r.wants.replies {
		out = append(out, string(p.Body))
	}
	return strings.Join(out, "|")
}
