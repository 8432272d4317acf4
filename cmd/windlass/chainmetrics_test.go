package main

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scraped is what Prometheus reads of chains, sorted.
func scraped(t *testing.T, m *chainMetrics) []string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(m)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var out []string
	for l := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(l, "#") {
			out = append(out, strings.TrimSpace(l))
		}
	}
	slices.Sort(out)
	return out
}

func TestChainMetrics(t *testing.T) {
	m := newChainMetrics()
	north, south := map[string]string{"site": "north", "kind": "a\"b"}, map[string]string{"site": "south", "kind": ""}
	m.Add("one", "seen", "counter", north, 1)
	m.Add("one", "seen", "counter", north, 2.5)
	m.Add("one", "seen", "counter", south, 1)
	m.Add("one", "seen", "gauge", nil, 7)
	m.Add("one", "seen", "gauge", nil, 6)
	m.Add("two", "seen", "counter", nil, 1) // other labels than in chain one
	want := []string{
		`windlass_chain_metric_seen_total{chain="one",kind="",site="south"} 1`,
		`windlass_chain_metric_seen_total{chain="one",kind="a\"b",site="north"} 3.5`,
		`windlass_chain_metric_seen_total{chain="two"} 1`,
		`windlass_chain_metric_seen{chain="one"} 6`,
	}
	if diff := cmp.Diff(want, scraped(t, m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChainMetricsAreBounded(t *testing.T) {
	m := newChainMetrics()
	for i := range maxSeries + 5 {
		m.Add("one", "seen", "counter", map[string]string{"device": fmt.Sprint(i)}, 1)
	}
	m.Add("one", "seen", "counter", map[string]string{"device": "0"}, 1)
	m.Add("two", "seen", "counter", nil, 1)
	got := scraped(t, m)
	if len(got) != maxSeries+2 {
		t.Errorf("%d series, want %d, one of another chain and the dropped ones", len(got), maxSeries)
	}
	for _, want := range []string{`windlass_chain_metric_seen_total{chain="one",device="0"} 2`, `windlass_chain_metrics_dropped_total{chain="one"} 5`} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
