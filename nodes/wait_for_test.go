package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func waitingFor(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: update_finished\nfields: {telemetry: {battery: number}}\nsteps:\n  - {node: wait_for, with: {" + with + "}, to: {timed_out: end}}\n"
}

func TestWaitFor(t *testing.T) {
	facts(t, []fact{
		{"waits", nil, waitingFor(`event: telemetry, if: "(msg.values.battery ?? 0) > 50", timeout: 1h`), finished, nil, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: start.Add(time.Hour), Outlet: "timed_out", Event: ota.Telemetry})
		}},
		{"members of its own event", nil, waitingFor(`event: rpc_answered, if: msg.method == "x", timeout: 1h`), finished, nil, nil, "", nil},
	})
}

func TestWaitForSettings(t *testing.T) {
	refused(t, waitingFor, []refusal{
		{"event: telemetry", "needs the setting timeout"},
		{"timeout: 1h", "needs the setting event"},
		{"event: telemetrie, timeout: 1h", `event is "telemetrie"`},
		{"event: rollout, timeout: 1h", `event is "rollout"`},
		{`event: telemetry, if: 'msg.values.battery > 5', timeout: 1h`, "msg.values.battery may be absent"},
		{`event: telemetry, if: 'msg.values.batery != nil', timeout: 1h`, "fields.telemetry does not declare batery"},
		{`event: update_finished, if: 'msg.state == "DONE"', timeout: 1h`, `msg.state is never "DONE"`},
		{`event: connected, if: 'msg.addrss == "x"', timeout: 1h`, "msg has no member addrss here; did you mean address?"},
	})
}
