package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestMetric(t *testing.T) {
	chain := func(with string) string {
		return "chain: count\nsummary: Counts.\ntrigger: telemetry\nfields: {telemetry: {battery: number}}\nsteps: [{node: metric, with: {" + with + "}}]\n"
	}
	done, failed := []string{"metric done"}, []string{"metric error"}
	counts := func(want ...string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			t.Helper()
			same(t, "counted", w.counts, want)
		}
	}
	m := says(`{"n":2.5,"site":"north","bad":"x"}`)
	facts(t, []fact{
		{"one", nil, chain("name: seen"), m, done, nil, "", counts("count counter seenmap[] 1")},
		{"by a value, with labels", nil, chain("name: seen, value: msg.values.n, labels: {site: \"${text(msg.values.site, '')}\", kind: pump}"), m, done, nil, "", counts("count counter seenmap[kind:pump site:north] 2.5")},
		{"a gauge falls", nil, chain("name: level, kind: gauge, value: \"(msg.values.n ?? 0) - 5\""), m, done, nil, "", counts("count gauge levelmap[] -2.5")},
		{"a duration", nil, chain("name: waited, value: duration(\"90s\")"), m, done, nil, "", counts("count counter waitedmap[] 90")},
		{"a counter does not fall", nil, chain("name: seen, value: \"(msg.values.n ?? 0) - 5\""), m, failed, nil, ota.Invalid, counts()},
		{"no number", nil, chain("name: seen, value: msg.values.bad"), m, failed, nil, ota.Invalid, counts()},
		{"absent", nil, chain("name: seen, value: msg.values.none"), m, failed, nil, ota.Invalid, counts()},
	})
}

func TestMetricRefusesNames(t *testing.T) {
	for with, want := range map[string]string{
		"name: Seen":                  `x.yaml:4:31: name is "Seen", want small letters, digits and _ (bad_literal)`,
		"name: seen_total":            `x.yaml:4:31: name ends in _total, which is put behind counters anyway (bad_literal)`,
		"name: a, labels: {chain: x}": `x.yaml:4:40: labels holds "chain", want small letters, digits and _, and not chain, which is there by itself (bad_literal)`,
		"name: a, labels: {a-b: x}":   `x.yaml:4:40: labels holds "a-b", want small letters, digits and _, and not chain, which is there by itself (bad_literal)`,
		"name: \"${device.name}\"":    `x.yaml:4:37: name must be known when the chain is loaded; no ${…} here (bad_literal)`,
		"name: a, kind: sum":          `x.yaml:4:46: kind is "sum", want one of counter and gauge (bad_word)`,
	} {
		same(t, with, faultsOf(t, "chain: x\nsummary: A test.\ntrigger: connected\nsteps: [{node: metric, with: {"+with+"}}]\n"), want)
	}
}
