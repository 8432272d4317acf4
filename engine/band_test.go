package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// bands is a conductor of two stages that say who comes first.
func bands(first, second string) string {
	return fmt.Sprintf(`chain: guided
summary: A test.
trigger: rollout
fields: {server: {site: text}}
params: {site: {type: text, default: north}}
steps:
  - {node: stage, name: one, with: {share: 1%%, where: '%s'}}
  - {node: stage, name: two, with: {share: 2%%, where: '%s'}}
  - {node: stage, name: all, with: {share: 100%%}}
`, first, second)
}

// banding is a run about dev-1, of an engine that answers by the chain now, and
// a rollout that is conducted by the chain born.
func banding(t *testing.T, born, now string, args map[string]string) (*Run, *ota.Rollout) {
	t.Helper()
	old := testSet(t, Options{}, born, head+"steps: [{node: say, with: {text: a}}]\n")
	s := newShelf()
	e := New(old, Host{Homes: s, Facts: s, Fresh: s})
	plan, digest, err := e.Plan(t.Context(), "guided", args)
	if err != nil {
		t.Fatal(err)
	}
	kept := &keptChains{}
	kept.keep(old.Chain("guided"))
	e.Library = NewLibrary(kept, testRegistry(t), Options{})
	if now != "" {
		e.Use(testSet(t, Options{}, now))
	}
	r := testRun(old.Chain("x"), telemetry(`{}`))
	r.house = e
	r.Package = &ota.Package{ID: "a2", Version: ota.Version{Tag: "lab"}}
	x := &ota.Rollout{ID: "r7", Tenant: "main", Kind: ota.Firmware, Chain: "guided", Revision: digest, Args: args}
	x.SetPlan(plan)
	return r, x
}

func TestBand(t *testing.T) {
	const site, never = `device.attributes.server.site == params.site`, `device.name == "dev-2"`
	for name, tt := range map[string]struct {
		born, now string
		args      map[string]string
		want      int
	}{
		"the first that holds":           {bands(site, `package.tag == "lab"`), "", nil, 0},
		"the second":                     {bands(never, `package.tag == "lab" and device.profile == "pump"`), "", nil, 1},
		"none":                           {bands(never, `device.firmware.version == "9"`), "", nil, 2},
		"args of the assignment":         {bands(site, never), "", map[string]string{"site": "south"}, 2},
		"the chain has changed since":    {bands(site, never), bands(never, never), nil, 0},
		"the chain is gone":              {bands(never, site), head + "steps: [{node: say, with: {text: a}}]\n", nil, 1},
		"nobody comes first in its plan": {"chain: guided\nsummary: A test.\ntrigger: rollout\nsteps: [{node: stage, with: {share: 100%}}]\n", "", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, x := banding(t, tt.born, tt.now, tt.args)
			if got, err := r.Band(t.Context(), x); got != tt.want || err != nil {
				t.Errorf("band %d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestBandThatCannotBeTold(t *testing.T) {
	const site = `device.attributes.server.site == params.site`
	for name, tt := range map[string]struct {
		first string
		spoil func(r *Run, x *ota.Rollout)
		code  ota.Code
		want  string
	}{
		"a value that it was not made for": {`int(device.attributes.shared.pilot ?? "x") > 1`, func(*Run, *ota.Rollout) {}, ota.Internal, "expression int("},
		"the store is away":                {`device.attributes.shared.fails == true`, func(*Run, *ota.Rollout) {}, ota.Busy, "values"},
		"a plan of another chain":          {site, func(_ *Run, x *ota.Rollout) { x.Plan[0].Name = "none" }, ota.Internal, "does not say who comes first"},
		"no revision, and no such chain":   {site, func(_ *Run, x *ota.Rollout) { x.Revision, x.Chain = "", "other" }, ota.Internal, "no chain other"},
	} {
		t.Run(name, func(t *testing.T) {
			r, x := banding(t, bands(tt.first, "true"), "", nil)
			tt.spoil(r, x)
			if got, err := r.Band(t.Context(), x); ota.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("band %d, %v, want a %s error that says %q", got, err, tt.code, tt.want)
			}
		})
	}
}
