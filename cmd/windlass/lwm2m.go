package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/lwm2m"
)

// openLwM2M opens the LwM2M doors that the configuration names.
func (s *server) openLwM2M(auth *transports.Authenticator) error {
	if s.cfg.LwM2M == "" && s.cfg.LwM2MS == "" {
		return nil
	}
	t, err := lwm2m.New(lwm2m.Config{Listen: s.cfg.LwM2M, Secure: s.cfg.LwM2MS, MaxClients: s.cfg.Limits.Sessions}, lwm2m.Deps{
		Auth: auth, Router: s.router, Facts: s.house.facts, Files: s.house.blobs, Key: s.house.links.Key, Certificate: s.certificate.shows(), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.opened("lwm2m", t.Addr())
	s.opened("lwm2ms", t.SecureAddr())
	s.lwm2m = t
	s.sources = append(s.sources, source{"lwm2m", t})
	return nil
}

var (
	metricLwM2MClients = prometheus.NewDesc("windlass_lwm2m_clients", "LwM2M clients that are registered.", nil, nil)
	metricLwM2M        = prometheus.NewDesc("windlass_lwm2m_total", "What was done over LwM2M.", []string{"what"}, nil)
)

func lwm2mMetrics(ch chan<- prometheus.Metric, st lwm2m.Stats) {
	ch <- prometheus.MustNewConstMetric(metricLwM2MClients, prometheus.GaugeValue, float64(st.Registered))
	for what, n := range map[string]uint64{
		"refused": st.Refused, "word_dropped": st.Dropped, "push": st.Pushes, "pull": st.Pulls, "block": st.Blocks, "stalled": st.Stalled,
	} {
		ch <- prometheus.MustNewConstMetric(metricLwM2M, prometheus.CounterValue, float64(n), what)
	}
}
