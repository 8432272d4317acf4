package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// spoken is a message that a chain of these tests hears.
var spoken = ota.Message{Event: ota.Telemetry, Values: []byte(`{}`)}

func reaching(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: telemetry\nvars: {n: 0}\nsteps:\n  - {node: set, with: {n: 7}}\n  - {node: for_each_device, with: {" + with + "}}\n" +
		"branches:\n  one: [{node: set_attributes, with: {scope: server, values: {n: \"${vars.n}\", of: \"${device.name}\"}}}]\n"
}

func TestForEachDevice(t *testing.T) {
	waits := []string{"set done"}
	begins := func(target ota.Ref, pace ota.Pace) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			if len(r.Out) != 1 || r.Waits == nil {
				t.Fatalf("it sends %v and waits for %v", r.Out, r.Waits)
			}
			m := r.Out[0].Message
			j := m.Job
			same(t, "waits", r.Waits, &engine.Wait{Event: ota.JobEnded, Job: j.ID})
			same(t, "message", r.Out[0], ota.Outgoing{To: ref(ota.JobRef, j.ID), Message: ota.Message{Event: ota.JobBegun, Tenant: tenant, Home: ref(ota.JobRef, j.ID), Job: j}})
			same(t, "job", *j, ota.Job{
				ID: j.ID, Tenant: tenant, Type: ota.JobBranch, Target: target, State: ota.JobRunning, Created: start, Pace: pace,
				Asker: ota.RefOf(tenant, device), Chain: "x", Digest: j.Digest, Branch: j.Branch,
			})
		}
	}
	facts(t, []fact{
		{"a profile", nil, reaching("target: profile:pump, branch: one"), spoken, waits, nil, "", begins(ref(ota.ProfileRef, string(profile)), ota.Pace{})},
		{"a device, slowly", nil, reaching(`target: "device:${device.name}", branch: one, rate: 10/1h`), spoken, waits, nil, "", begins(ota.RefOf(tenant, device), ota.Pace{Count: 10, Every: time.Hour})},
		{"nobody", nil, reaching("target: profile:valve, branch: one"), spoken, append(waits, "for_each_device error"), nil, ota.NotFound, nil},
		{"no target", nil, reaching(`target: "${device.name}", branch: one`), spoken, append(waits, "for_each_device error"), nil, ota.Invalid, nil},
	})
}

func TestForEachDeviceSettings(t *testing.T) {
	refused(t, reaching, []refusal{
		{"branch: one", "needs the setting target"}, {"target: profile:pump", "needs the setting branch"}, {"target: pump, branch: one", "target is \"pump\""},
		{"target: profile:pump, branch: two", "there is no branch two"}, {"target: profile:pump, branch: one, rate: 1/2d", "slower than one device in 24h"},
	})
}
