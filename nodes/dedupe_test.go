package nodes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func deduped(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: dedupe, with: {" + with + "}}\n"
}

func TestDedupe(t *testing.T) {
	chain := deduped(`key: "${msg.values.a}", for: 1h`)
	say := func(a string) ota.Message {
		return ota.Message{Event: ota.Telemetry, Values: []byte(`{"a":"` + a + `"}`)}
	}
	seen := func(a string, after time.Duration) func(w *world) {
		return func(w *world) {
			w.run(t, chain, say(a))
			w.now = w.now.Add(after)
		}
	}
	count := func(n ...int) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			var got []int
			for _, m := range w.homes[ota.RefOf(tenant, device)].Marks {
				got = append(got, m.Count)
			}
			same(t, "counts", got, n)
		}
	}
	facts(t, []fact{
		{"first", nil, chain, say("x"), []string{"dedupe first"}, nil, "", count(1)},
		{"again", seen("x", 59*time.Minute), chain, say("x"), []string{"dedupe repeated"}, nil, "", count(2)},
		{"its time is over", seen("x", time.Hour), chain, say("x"), []string{"dedupe first"}, nil, "", count(1)},
		{"another key", seen("x", 0), chain, say("y"), []string{"dedupe first"}, nil, "", count(1, 1)},
		{"marks that have ended go", func(w *world) { seen("x", 0)(w); seen("z", 2*time.Hour)(w) }, chain, say("y"), []string{"dedupe first"}, nil, "", count(1)},
		{"no more than so many", func(w *world) {
			for i := range 100 {
				seen(fmt.Sprint(i), time.Second)(w)
			}
		}, chain, say("99"), []string{"dedupe repeated"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "marks", len(w.homes[ota.RefOf(tenant, device)].Marks), 64)
		}},
	})
}

func TestDedupeIsOfAChain(t *testing.T) {
	w := newWorld()
	m := ota.Message{Event: ota.Telemetry, Values: []byte(`{}`)}
	w.run(t, deduped("key: a, for: 1h"), m)
	other := "chain: y\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: dedupe, with: {key: a, for: 1h}}\n"
	same(t, "path", pathOf(w.run(t, other, m)), []string{"dedupe first"})
}

func TestDedupeSettings(t *testing.T) {
	refused(t, deduped, []refusal{{"key: a", "needs the setting for"}, {"for: 1h", "needs the setting key"}})
}
