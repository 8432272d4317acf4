package nodes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Take is ota.Rates: what w.tokens says, and a note of who asked.
func (w *world) Take(_ context.Context, t ota.TenantID, name string, p ota.Pace, burst int) (time.Duration, error) {
	w.drawn = append(w.drawn, fmt.Sprintf("%s %d/%s burst %d", t, p.Count, p.Every, burst))
	w.buckets = append(w.buckets, name)
	return w.tokens, w.away
}

func throttled(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: rpc_requested\nsteps:\n  - {node: throttle, name: gate, with: {" + with + "}, to: {limited: shut}}\n  - {node: reply, with: {body: in}}\n" +
		"branches:\n  shut: [{node: reply, with: {body: \"at ${steps.gate.retry_at}\"}}]\n"
}

func TestThrottle(t *testing.T) {
	ask := ota.Message{Event: ota.RPCRequested, Method: "north"}
	chain := throttled(`key: "site ${msg.method}", rate: 10/1h, burst: 3`)
	facts(t, []fact{
		{"a token", nil, chain, ask, []string{"gate passed", "reply replied"}, []string{"body 200 in"}, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "drawn", w.drawn, []string{"main 10/1h0m0s burst 3"})
		}},
		{"none", func(w *world) { w.tokens = 6 * time.Minute }, chain, ask, []string{"gate limited", "shut.reply replied"}, []string{"body 200 at 2026-11-23T09:06:00Z"}, "", nil},
		{"the store is away", func(w *world) { w.away = ota.Errorf(ota.Busy, "take", "away") }, chain, ask, []string{"gate error"}, nil, ota.Busy, nil},
	})
	w := newWorld()
	w.run(t, chain, ask)
	w.run(t, chain, ota.Message{Event: ota.RPCRequested, Method: "south"})
	w.run(t, chain, ask)
	same(t, "buckets", []bool{w.buckets[0] == w.buckets[1], w.buckets[0] == w.buckets[2]}, []bool{false, true})
}

func TestThrottleSettings(t *testing.T) {
	refused(t, throttled, []refusal{{"key: a", "needs the setting rate"}, {"rate: 1/1h", "needs the setting key"}, {"key: a, rate: 5", "rate: "}, {"key: a, rate: 1/1h, burst: 0", "burst is 0, want 1 to"}})
}
