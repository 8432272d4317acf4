package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const drawnChain = `chain: drawn
summary: Has every kind of road.
trigger: [telemetry, {event: connected, to: side, if: "device.online", profiles: [pump], kind: firmware, observe: true}]
on_error: trouble
vars: {n: 0}
steps:
  - {node: call, name: part, with: {chain: part}, to: {away: side, error: trouble}}
  - {node: set, when: vars.n < 1, with: {n: 1}, note: once}
branches:
  side: [{node: switch, with: {value: device.name}, to: {one: next, other: part}}]
  trouble: [{node: set, with: {n: 2}}]
`

const calledPart = `chain: part
summary: Is called.
trigger: call
outlets: [done, away]
vars: {n: 0}
steps:
  - {node: set, with: {n: 1}}
  - {node: return, with: {outlet: away}}
`

func TestGraphOf(t *testing.T) {
	reg, err := NewRegistry(nil)
	if err != nil {
		t.Fatal(err)
	}
	files := []Source{{Name: "drawn.yaml", Data: []byte(drawnChain)}, {Name: "part.yaml", Data: []byte(calledPart)}}
	g, faults := GraphOf(files, "drawn", reg, Options{})
	if g == nil {
		t.Fatal(faults)
	}
	want := &Graph{
		Chain: "drawn", Summary: "Has every kind of road.", File: "drawn.yaml", OnError: "trouble.set", Branches: []string{"side", "trouble"},
		Starts: []GraphStart{
			{Event: "telemetry", To: "part"},
			{Event: "connected", Profiles: []string{"pump"}, Kind: "firmware", If: "device.online", Observe: true, To: "side.switch"},
		},
		Steps: []GraphStep{
			{Name: "part", Node: "call", Calls: "part"},
			{Name: "set", Node: "set", When: "vars.n < 1", Note: "once"},
			{Name: "side.switch", Node: "switch", Branch: "side"},
			{Name: "trouble.set", Node: "set", Branch: "trouble"},
		},
		Roads: []GraphRoad{
			{From: "part", To: "set", Outlet: "done", Kind: RoadMain},
			{From: "part", To: "side.switch", Outlet: "away", Kind: RoadSide},
			{From: "part", To: "trouble.set", Outlet: "error", Kind: RoadError},
			{From: "set", Outlet: "done", Kind: RoadMain},
			{From: "set", Outlet: "skipped", Kind: RoadSkip},
			{From: "side.switch", Outlet: "one", Kind: RoadSide},
			{From: "side.switch", To: "part", Outlet: "other", Kind: RoadSide},
			{From: "trouble.set", Outlet: "done", Kind: RoadMain},
		},
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}

	g, _ = GraphOf(files, "part", reg, Options{})
	if g == nil || g.Starts[0].Event != "call" {
		t.Fatalf("graph of part: %+v", g)
	}
	if last := g.Roads[len(g.Roads)-1]; last != (GraphRoad{From: "return", Outlet: "away", Kind: RoadMain}) {
		t.Errorf("return leads %+v", last)
	}
}

// TestGraphOfNothing: where a road leads nowhere there is no graph, and the
// faults say why.
func TestGraphOfNothing(t *testing.T) {
	reg, err := NewRegistry(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ was, is, rule string }{
		{"on_error: trouble", "on_error: troble", ruleUnknownTarget},
		{"other: part}", "other: prt}", ruleUnknownTarget},
		{", other: part}", "}", ruleUnwiredOutlet},
		{"node: set, with: {n: 2}", "node: sett, with: {n: 2}", ruleUnknownNode},
		{"chain: drawn", "\tchain: drawn", ruleYAML},
	} {
		data := strings.Replace(drawnChain, x.was, x.is, 1)
		g, faults := GraphOf([]Source{{Name: "drawn.yaml", Data: []byte(data)}, {Name: "part.yaml", Data: []byte(calledPart)}}, "drawn", reg, Options{})
		if g != nil || len(faults) == 0 || !strings.Contains(faults.Error(), "("+x.rule+")") {
			t.Errorf("%s: graph %v, faults %v", x.is, g != nil, faults)
		}
	}
}
