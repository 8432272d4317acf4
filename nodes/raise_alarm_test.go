package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

const alarms = `chain: alarms
summary: Raises and clears an alarm.
trigger: telemetry
steps:
  - {node: filter, with: {if: msg.values.well == true}, to: {rejected: sick}}
  - {node: clear_alarm, with: {key: "${text(msg.values.key, '')}"}, to: {absent: end}}
branches:
  sick:
    - node: raise_alarm
      name: raised
      with: {key: "${text(msg.values.key, '')}", severity: "${text(msg.values.severity, 'warning')}", message: "battery of ${device.name} at ${msg.values.battery}"}
      to: {repeated: next}
    - {node: set_attributes, with: {scope: server, values: {alarms: "${steps.raised.count}"}}}
`

func TestRaiseAlarm(t *testing.T) {
	raised := []string{"filter rejected", "raised raised", "sick.set_attributes set"}
	repeated := []string{"filter rejected", "raised repeated", "sick.set_attributes set"}
	before := func(w *world) {
		w.homes[ota.RefOf(tenant, device)].Raise("battery", ota.Info, "battery at 20", start.Add(-1))
	}
	stands := func(count string, want ...ota.Alarm) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			t.Helper()
			same(t, "alarms", r.Home.Alarms, want)
			if count != "" {
				same(t, "count", kept(r.Values), []string{"server alarms " + count + " +0s"})
			}
		}
	}
	alarm := ota.Alarm{Key: "battery", Severity: ota.Warning, Message: "battery of dev-1 at 9", Count: 1, Raised: start, Last: start}
	twice := alarm
	twice.Count, twice.Severity, twice.Raised = 2, ota.Critical, start.Add(-1)
	other := alarm
	other.Key = "level"
	facts(t, []fact{
		{"new", nil, alarms, says(`{"key":"battery","battery":9}`), raised, nil, "", stands("1", alarm)},
		{"again", before, alarms, says(`{"key":"battery","battery":9,"severity":"critical"}`), repeated, nil, "", stands("2", twice)},
		{"another key", before, alarms, says(`{"key":"level","battery":9}`), raised, nil, "", stands("1", ota.Alarm{Key: "battery", Severity: ota.Info, Message: "battery at 20", Count: 1, Raised: start.Add(-1), Last: start.Add(-1)}, other)},
		{"no such severity", nil, alarms, says(`{"key":"battery","severity":"loud"}`), []string{"filter rejected", "raised error"}, nil, ota.Internal, stands("")},
		{"no key", nil, alarms, says(`{"battery":9}`), []string{"filter rejected", "raised error"}, nil, ota.Invalid, stands("")},
	})
}
