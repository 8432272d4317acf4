package engine

import (
	"context"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// FuzzResume reads what a store may hold of a run that waits: whatever it is, the
// run goes on or says why it cannot.
func FuzzResume(f *testing.F) {
	set, err := Compile(sources("chain: x\nsummary: A test.\ntrigger: connected\nvars: {a: x, b: 1, c: 1h}\nsteps:\n  - {node: set, with: {b: \"${vars.b + 1}\"}}\n  - {node: wait, with: {for: 1h}}\n"+
		"  - {node: say, with: {text: \"${vars.a} ${vars.b} ${vars.c} ${device.name}\"}}\n"), registryOfWaits(f), Options{})
	if err != nil {
		f.Fatal(FaultsOf(err).Text())
	}
	c := set.Chain("x")
	m := telemetry(`{"a":1}`)
	m.Event = ota.Connected
	r := testRun(c, m)
	if err := r.exec(context.Background(), c.Triggers[0].Start); err != nil || r.park == nil {
		f.Fatal("no run waits: ", err)
	}
	p, err := r.parked()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Data)
	f.Add([]byte(`{"Event":"telemetry","Came":{"Event":"telemetry","Values":"e30="},"Step":"wait"}`))
	f.Add([]byte(`{"Step":"wait","Outlet":"over","Slots":{"vars.a":3}}`))
	f.Add([]byte(`{"Step":"wait","Outlet":"nowhere","Attempt":-1,"Error":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = eventOf(ota.Parked{Data: data})
		state, err := readParked(data)
		if err != nil {
			return
		}
		r := testRun(c, state.Message)
		defer r.release()
		if r.at, err = r.resume(state, false); err == nil {
			err = r.exec(t.Context(), r.at)
		}
		if err != nil && ota.CodeOf(err) == "" {
			t.Errorf("an error without a code: %v", err)
		}
	})
}

// registryOfWaits has what the fuzzed chain needs.
func registryOfWaits(tb testing.TB) *Registry {
	tb.Helper()
	quiet := wait()
	say := say()
	say.Spec.Replies = false
	reg, err := NewRegistry([]Factory{quiet, say})
	if err != nil {
		tb.Fatal(err)
	}
	return reg
}
