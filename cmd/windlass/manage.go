package main

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/mqtt"
)

// management is the API that operators and tools use.
func (s *server) management(token string) *api.Server {
	return api.New(api.Deps{
		Homes: s.house.facts, Facts: s.house.store, Lister: s.house.store, Letters: s.house.store, Retry: s.engine.Retry, Blobs: s.house.blobs, Wishes: s.house.wishes(s.cfg), Doors: s.house.store,
		Auth: api.AdminToken(token), Log: s.log, NewDeviceID: s.house.store.NewDevice,
		Links: s.house.links, Chains: s.chains, Runs: s.engine, Replayer: s.replayer, Nodes: api.Catalogue(factories()), Schema: s.chains.schema,
		ChecksPackages: func() bool {
			for _, k := range ota.Kinds() {
				if chain, _ := s.engine.Set().Answer(ota.PackageAdded, "", k); chain != nil {
					return true
				}
			}
			return false
		},
		PackageAdded: func(ctx context.Context, ref ota.Ref) error {
			h, err := s.house.store.Get(ctx, ref)
			if err == nil {
				_, err = s.engine.Handle(ctx, ota.Message{Event: ota.PackageAdded, Tenant: ref.Tenant, Home: ref, Kind: h.Package.Kind})
			}
			return err
		},
		Pace:      s.cfg.OffersPace,
		CheckMQTT: mqtt.CheckSettings, Ready: s.ready.Load, Health: s.health,
		Info:   api.Info{Version: version, Process: s.house.process, Started: s.started.UTC(), Doors: s.doors},
		Limits: api.Limits{Upload: s.cfg.Limits.Upload, Uploads: s.cfg.Limits.Uploads, Body: s.cfg.Limits.Body},
	})
}

// health says how each part is. A chain file with a fault is told and is no
// illness: the last good chains go on.
func (s *server) health(ctx context.Context) []api.Part {
	c := api.Part{Name: "chains", OK: true}
	if f := s.chains.Faults(); len(f) > 0 {
		c.Detail = "the last good chains run; " + f[0]
	}
	return append(s.house.health(ctx), c)
}

// metrics is what Prometheus reads.
func (s *server) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &engineMetrics{s}, s.house.metrics)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// engineMetrics reads the engine's counters when somebody asks for them.
type engineMetrics struct{ s *server }

var (
	metricTurns    = prometheus.NewDesc("windlass_turns_total", "What the engine was handed, by how it was worked.", []string{"kind"}, nil)
	metricTaken    = prometheus.NewDesc("windlass_node_taken_total", "How often a step was left, by outlet.", []string{"chain", "step", "node", "outlet"}, nil)
	metricErrors   = prometheus.NewDesc("windlass_node_errors_total", "How often a step failed.", []string{"chain", "step", "node"}, nil)
	metricSkipped  = prometheus.NewDesc("windlass_node_skipped_total", "How often a step was skipped, since its when was false.", []string{"chain", "step", "node"}, nil)
	metricSeconds  = prometheus.NewDesc("windlass_node_seconds", "Mean time of a step, from a sample.", []string{"chain", "step", "node"}, nil)
	metricSessions = prometheus.NewDesc("windlass_sessions", "Open sessions of devices in this process.", nil, nil)
	metricMQTT     = prometheus.NewDesc("windlass_mqtt_connections_total", "MQTT connections, by what became of them.", []string{"outcome"}, nil)
	metricMQTTOpen = prometheus.NewDesc("windlass_mqtt_connections", "Open MQTT connections.", nil, nil)
	metricMQTTLost = prometheus.NewDesc("windlass_mqtt_ignored_total", "What was said over MQTT and meant nothing, or could not be said.", []string{"what"}, nil)
	metricFaults   = prometheus.NewDesc("windlass_chain_faults", "Faults that kept the chain files from being loaded again; 0 when what runs is what the files say.", nil, nil)
	metricTaps     = prometheus.NewDesc("windlass_taps", "Taps that are on chains or steps in this process.", nil, nil)
	metricLost     = prometheus.NewDesc("windlass_words_lost_total", "Words to devices that nobody took.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *engineMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{metricTurns, metricTaken, metricErrors, metricSkipped, metricSeconds, metricSessions, metricLost, metricFaults, metricTaps, metricMQTT, metricMQTTOpen, metricMQTTLost, metricLwM2MClients, metricLwM2M, metricCoAP, metricCoAPPeers} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *engineMetrics) Collect(ch chan<- prometheus.Metric) {
	c := m.s.engine.Counts()
	for kind, n := range map[string]int64{
		"ask": c.Asks.Load(), "move": c.Moves.Load(), "conflict": c.Conflicts.Load(), "dead_letter": c.Deads.Load(),
		"not_taken": c.NotTaken.Load(), "not_heard": c.NotHeard.Load(),
	} {
		ch <- prometheus.MustNewConstMetric(metricTurns, prometheus.CounterValue, float64(n), kind)
	}
	for _, chain := range m.s.engine.Set().Chains() {
		for _, st := range chain.Stats() {
			nodeMetrics(ch, chain, st)
		}
	}
	ch <- prometheus.MustNewConstMetric(metricSessions, prometheus.GaugeValue, float64(m.s.router.Sessions()))
	ch <- prometheus.MustNewConstMetric(metricTaps, prometheus.GaugeValue, float64(len(m.s.engine.Taps())))
	ch <- prometheus.MustNewConstMetric(metricFaults, prometheus.GaugeValue, float64(len(m.s.chains.Faults())))
	ch <- prometheus.MustNewConstMetric(metricLost, prometheus.CounterValue, float64(m.s.router.Lost()))
	if m.s.coap != nil {
		coapMetrics(ch, m.s.coap.Stats())
	}
	if m.s.mqtt != nil {
		mqttMetrics(ch, m.s.mqtt.Stats())
	}
	if m.s.lwm2m != nil {
		lwm2mMetrics(ch, m.s.lwm2m.Stats())
	}
}

func mqttMetrics(ch chan<- prometheus.Metric, st mqtt.Stats) {
	ch <- prometheus.MustNewConstMetric(metricMQTTOpen, prometheus.GaugeValue, float64(st.Open))
	for outcome, n := range map[string]uint64{"accepted": st.Accepted, "refused": st.Refused, "cut": st.Cut} {
		ch <- prometheus.MustNewConstMetric(metricMQTT, prometheus.CounterValue, float64(n), outcome)
	}
	for what, n := range map[string]uint64{"publish": st.Unknown, "word": st.Dropped} {
		ch <- prometheus.MustNewConstMetric(metricMQTTLost, prometheus.CounterValue, float64(n), what)
	}
}

func nodeMetrics(ch chan<- prometheus.Metric, chain *engine.Chain, st engine.StepStats) {
	for outlet, n := range st.Taken {
		ch <- prometheus.MustNewConstMetric(metricTaken, prometheus.CounterValue, float64(n), chain.Name, st.Step, st.Node, outlet)
	}
	if st.Errors > 0 {
		ch <- prometheus.MustNewConstMetric(metricErrors, prometheus.CounterValue, float64(st.Errors), chain.Name, st.Step, st.Node)
	}
	if st.Skipped > 0 {
		ch <- prometheus.MustNewConstMetric(metricSkipped, prometheus.CounterValue, float64(st.Skipped), chain.Name, st.Step, st.Node)
	}
	if st.Mean > 0 {
		ch <- prometheus.MustNewConstMetric(metricSeconds, prometheus.GaugeValue, st.Mean.Seconds(), chain.Name, st.Step, st.Node)
	}
}
