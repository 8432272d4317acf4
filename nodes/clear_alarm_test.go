package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestClearAlarm(t *testing.T) {
	before := func(w *world) {
		h := w.homes[ota.RefOf(tenant, device)]
		h.Raise("battery", ota.Info, "low", start)
		h.Raise("level", ota.Info, "high", start)
	}
	stand := func(keys ...string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			t.Helper()
			var got []string
			for _, a := range r.Home.Alarms {
				got = append(got, a.Key)
			}
			same(t, "alarms", got, keys)
		}
	}
	facts(t, []fact{
		{"cleared", before, alarms, says(`{"well":true,"key":"battery"}`), []string{"filter passed", "clear_alarm cleared"}, nil, "", stand("level")},
		{"another key", before, alarms, says(`{"well":true,"key":"heat"}`), []string{"filter passed", "clear_alarm absent"}, nil, "", stand("battery", "level")},
		{"no key", before, alarms, says(`{"well":true}`), []string{"filter passed", "clear_alarm error"}, nil, ota.Invalid, stand("battery", "level")},
	})
}
