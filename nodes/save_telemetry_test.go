package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// kept prints values as scope key json, with the minutes since start.
func kept(vs []ota.Value) []string {
	var out []string
	for _, v := range vs {
		out = append(out, string(v.Scope)+" "+v.Key+" "+string(v.JSON)+" +"+v.TS.Sub(start).String())
	}
	return out
}

func TestSaveTelemetry(t *testing.T) {
	path := []string{"save_telemetry saved", "firmware/update_status unrelated", "software/update_status unrelated"}
	old := says(`{"a":1}`)
	old.TS = start.Add(-time.Hour)
	keeps := func(want ...string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) { same(t, "values", kept(r.Values), want) }
	}
	facts(t, []fact{
		{
			"as it was written", nil, "telemetry", says(`{"b":1.10,"a":"","c":{"x": [1]},"n":null,"t":true}`), path, nil, "",
			keeps("telemetry b 1.10 +0s", `telemetry a "" +0s`, `telemetry c {"x": [1]} +0s`, "telemetry t true +0s"),
		},
		{"at its own time", nil, "telemetry", old, path, nil, "", keeps("telemetry a 1 +-1h0m0s")},
		{"nothing", nil, "telemetry", says(`{}`), path, nil, "", keeps()},
		{"no object", nil, "telemetry", says(`[1]`), []string{"save_telemetry error"}, nil, ota.Invalid, keeps()},
		{"an empty key", nil, "telemetry", says(`{"":1}`), []string{"save_telemetry error"}, nil, ota.Invalid, keeps()},
		{"a choice of the chain", nil, "save_some", says(`{"b":80,"x":1}`), []string{"save_telemetry saved"}, nil, "", keeps("telemetry battery 80 +0s", `telemetry note "at 80 %" +0s`)},
	})
}
