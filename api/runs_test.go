package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// someRuns is a process that has run one chain.
type someRuns struct{ taps []engine.TapState }

var aRun = engine.Record{
	ID: strings.Repeat("ab", 16), Chain: "telemetry", Digest: "0123456789abcdef", Event: ota.Telemetry, Home: ota.Ref{Tenant: ota.DefaultTenant, Type: ota.RolloutRef, ID: "r"},
	Started: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), Took: 1500 * time.Microsecond, Path: []engine.Hop{{Step: "a", Outlet: "b"}, {Step: "c"}}, End: engine.RunFailed, Step: "c", Code: ota.Busy, Error: "why",
}

func (s *someRuns) Runs(q engine.RunQuery) []engine.Record {
	if q.Chain == "none" {
		return nil
	}
	return []engine.Record{aRun}
}

func (s *someRuns) Recorded(id string) (engine.Recorded, error) {
	if !strings.HasPrefix(aRun.ID, id) {
		return engine.Recorded{}, ota.Errorf(ota.NotFound, "", "there is no run")
	}
	return engine.Recorded{Record: aRun, Source: "recorder", Message: ota.Message{Values: []byte(`{"a":1.10}`)}}, nil
}

func (s *someRuns) Way(context.Context, engine.PackedPath) engine.Way { return engine.Way{} }
func (s *someRuns) Stats(chain string) ([]engine.StepStats, bool) {
	return []engine.StepStats{{Step: "a", Node: "n", Taken: map[string]uint64{"b": 2}, Errors: 1, Mean: 1500}}, chain == "x"
}

func (s *someRuns) Taps() []engine.TapState { return s.taps }
func (s *someRuns) Tap(t engine.Tap) (engine.TapState, error) {
	if t.Chain == "none" {
		return engine.TapState{}, ota.Errorf(ota.NotFound, "", "there is no chain none")
	}
	s.taps = append(s.taps, engine.TapState{Tap: t})
	return s.taps[len(s.taps)-1], nil
}

func (s *someRuns) Untap(chain, _ string) error {
	if len(s.taps) == 0 {
		return ota.Errorf(ota.NotFound, "", "no tap is on chain %s", chain)
	}
	s.taps = s.taps[1:]
	return nil
}

func (s *someRuns) Tapped(ctx context.Context, _, _ string, after uint64) ([]engine.TappedRun, error) {
	if after > 0 {
		<-ctx.Done()
		return nil, nil
	}
	steps := []engine.TraceStep{{Step: "a", Node: "n", Outlet: "b", Vars: map[string]any{"vars.n": 1}, Set: map[string]any{"x": "y"}, Wants: []string{"reply chunk"}}}
	return []engine.TappedRun{{Num: 7, Trace: engine.Trace{Record: aRun, Steps: steps, Seen: &engine.Seen{}}}}, nil
}

// someReplays answers by the text of the file.
type someReplays struct{}

func (someReplays) Replay(_ context.Context, x engine.Recorded, f engine.Source) (ReplayResult, error) {
	if string(f.Data) == "faulty" {
		return ReplayResult{Faults: engine.Faults{{File: f.Name, Line: 1, Col: 2, Rule: "yaml", Message: "bad"}}}, nil
	}
	now := engine.Replayed{Chain: "telemetry", End: engine.RunEnded, Said: []string{"push offer"}, Notes: []string{"a note"}}
	now.Path = []engine.Hop{{Step: "a", Outlet: "b"}, {Step: "d", Outlet: "e"}}
	then := engine.Replayed{Chain: x.Chain, End: x.End, Said: []string{"nothing much"}}
	return ReplayResult{Now: now, Then: &then}, nil
}

func TestRuns(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Runs, d.Replayer = &someRuns{}, someReplays{} })
	h.must(nil, http.MethodPost, "/api/profiles", `{"name":"pump"}`)
	h.must(nil, http.MethodPost, "/api/devices", `{"name":"d","profile":"pump"}`)
	h.bury("d", "letter-1", `{"a":1}`)
	h.steps([]step{
		{"GET", "/api/runs", "", 200, `"about":"rollout r","started":"2026-11-24T09:00:00Z","took":"1.5ms","end":"failed","step":"c","code":"busy","error":"why","path":[{"step":"a","outlet":"b"},{"step":"c"}]`},
		{"GET", "/api/runs?chain=none", "", 200, `{"data":[]}`},
		{"GET", "/api/runs?device=none", "", 404, `there is no device`},
		{"GET", "/api/runs/abab", "", 200, `"source":"recorder","message":{"values":{"a":1.10}},"facts":false`},
		{"GET", "/api/runs/letter-1", "", 200, `"end":"dead_letter","step":"s","code":"internal","error":"why","deadLetter":"letter-1"`},
		{"GET", "/api/runs/none", "", 404, `there is no run \"none\" in the memory of this process, and no dead letter`},
		{"POST", "/api/runs/abab/replay", `{"name":"x.yaml","yaml":"faulty"}`, 200, `"faults":[{"file":"x.yaml","line":1,"column":2,"severity":"error","rule":"yaml","message":"bad"}]`},
		{"POST", "/api/runs/abab/replay", `{"name":"x.yaml","yaml":"fine"}`, 200, `"same":false,"first":1,"facts":false,"notes":["a note"]`},
		{"POST", "/api/runs/abab/replay", `{"name":"x.yaml","yaml":"fine"}`, 200, `"said":["nothing much"],"dry":true`},
		{"POST", "/api/runs/none/replay", `{"name":"x.yaml","yaml":"fine"}`, 404, `there is no run`},
		{"GET", "/api/chains/x/stats", "", 200, `{"data":[{"step":"a","node":"n","taken":{"b":2},"errors":1,"mean":"1.5µs"}]}`},
		{"GET", "/api/chains/y/stats", "", 404, `there is no chain`},
		{"GET", "/api/taps", "", 200, `{"data":[]}`},
		{"PUT", "/api/taps/x", `{"keeps":"all","for":"never"}`, 422, `want a duration`},
		{"PUT", "/api/taps/x", `{"keeps":"some"}`, 422, `expected value to be one of`},
		{"PUT", "/api/taps/none", `{"keeps":"failures"}`, 404, `there is no chain none`},
		{"PUT", "/api/taps/x", `{"keeps":"failures","step":"s"}`, 200, `"chain":"x","step":"s","keeps":"failures"`},
		{"PUT", "/api/taps/x", `{"keeps":"all"}`, 200, `"until":"`},
		{"GET", "/api/taps", "", 200, `"runs":0`},
		{"GET", "/api/taps/x", "", 200, `"num":7,`},
		{"GET", "/api/taps/x", "", 200, `"vars":{"vars.n":1},"set":{"x":"y"},"wants":["reply chunk"]`},
		{"GET", "/api/taps/x?after=7", "", 200, `{"data":[],"last":7}`},
		{"DELETE", "/api/taps/x", "", 204, ""},
		{"DELETE", "/api/taps/x", "", 204, ""},
		{"DELETE", "/api/taps/x", "", 404, "no tap is on"},
	})
}

// TestWaitingRuns: runs that wait are found in whatever home they wait.
func TestWaitingRuns(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Runs = &someRuns{} })
	h.must(nil, http.MethodPost, "/api/profiles", `{"name":"pump"}`)
	for _, name := range []string{"a", "b", "c"} {
		h.must(nil, http.MethodPost, "/api/devices", `{"name":"`+name+`","profile":"pump"}`)
	}
	ref, err := h.store.Find(t.Context(), ota.DefaultTenant, ota.DeviceRef, "b")
	if err != nil {
		t.Fatal(err)
	}
	home, err := h.store.Load(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	was := home.Clone()
	home.Park(ota.Parked{At: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), Update: "1", Kind: ota.Firmware, Digest: "0123456789abcdef", Data: []byte(`{"Chain":"offer","Step":"night","Outlet":"elapsed","Event":"connected","Message":{"Event":"offer_due"}}`)})
	home.Park(ota.Parked{Digest: "0123456789abcdef", Data: []byte(`{`)})
	if err := h.store.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: was, Home: home}); err != nil {
		t.Fatal(err)
	}
	h.steps([]step{
		{"GET", "/api/runs/waiting?device=b", "", 200, `{"device":"b","chain":"offer","revision":"0123456789abcdef","step":"night","began":"offer_due","until":"2026-11-25T09:00:00Z","event":"connected","update":"1","type":"firmware"}`},
		{"GET", "/api/runs/waiting?device=b", "", 200, `"step":"(resume: `},
		{"GET", "/api/runs/waiting?device=a", "", 200, `{"data":[]}`},
	})
	found, pages := 0, 0
	for cursor := "x"; cursor != ""; pages++ {
		var page List[WaitingRun]
		h.must(&page, http.MethodGet, "/api/runs/waiting?pageSize=1&cursor="+strings.TrimPrefix(cursor, "x"), "")
		found += len(page.Data)
		cursor = page.Next
		if pages > 20 {
			t.Fatal("it has no end")
		}
	}
	if found != 2 {
		t.Errorf("%d runs wait, on %d pages", found, pages)
	}
}

func TestNoRuns(t *testing.T) {
	h := newHouse(t)
	for _, x := range [][2]string{{"GET", "/api/runs"}, {"GET", "/api/runs/a"}, {"GET", "/api/taps"}, {"DELETE", "/api/taps/a"}} {
		if status, body := h.call(x[0], x[1], ""); status != http.StatusNotFound || !strings.Contains(body, "shows no runs") {
			t.Errorf("%s: %d %s", x[1], status, body)
		}
	}
}
