package main

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-ota/windlass/engine"
)

// maxSeries bounds the series of one chain: labels may come from devices.
const maxSeries = 1000

// chainMetrics is what the metric steps of chains have counted in this process.
type chainMetrics struct {
	mu     sync.Mutex
	chains map[string]*chainSeries
}

type chainSeries struct {
	series  map[string]*series
	dropped float64
}

// series is one line of what Prometheus reads.
type series struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	texts []string // of the labels
	value float64
}

var _ engine.Metrics = (*chainMetrics)(nil)

func newChainMetrics() *chainMetrics { return &chainMetrics{chains: map[string]*chainSeries{}} }

// Add implements engine.Metrics.
func (m *chainMetrics) Add(chain, name, kind string, labels map[string]string, value float64) {
	names := slices.Sorted(maps.Keys(labels))
	var key strings.Builder
	key.WriteString(kind + "\xff" + name)
	for _, n := range names {
		key.WriteString("\xff" + n + "\xff" + labels[n]) // labels are UTF-8, which has no such byte
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chains[chain]
	if c == nil {
		c = &chainSeries{series: map[string]*series{}}
		m.chains[chain] = c
	}
	s := c.series[key.String()]
	if s == nil {
		if len(c.series) >= maxSeries {
			c.dropped++
			return
		}
		s = newSeries(chain, name, kind, names, labels)
		c.series[key.String()] = s
	}
	if s.kind == prometheus.CounterValue {
		s.value += value
	} else {
		s.value = value
	}
}

func newSeries(chain, name, kind string, names []string, labels map[string]string) *series {
	s := &series{kind: prometheus.GaugeValue, texts: []string{chain}}
	full := "windlass_chain_metric_" + name
	if kind == "counter" {
		s.kind, full = prometheus.CounterValue, full+"_total"
	}
	for _, n := range names {
		s.texts = append(s.texts, labels[n])
	}
	s.desc = prometheus.NewDesc(full, "What metric steps of chains have counted.", append([]string{"chain"}, names...), nil)
	return s
}

// metricDropped is no name that a chain could choose: theirs have another
// beginning.
var metricDropped = prometheus.NewDesc("windlass_chain_metrics_dropped_total", "What metric steps counted and was dropped, since the chain has 1,000 series.", []string{"chain"}, nil)

// Describe implements prometheus.Collector. It names nothing, since nobody knows
// what chains will count.
func (m *chainMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *chainMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for chain, c := range m.chains {
		for _, s := range c.series {
			ch <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value, s.texts...)
		}
		if c.dropped > 0 {
			ch <- prometheus.MustNewConstMetric(metricDropped, prometheus.CounterValue, c.dropped, chain)
		}
	}
}
