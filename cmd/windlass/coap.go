package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/coap"
)

// openCoAP opens the CoAP doors that the configuration names.
func (s *server) openCoAP(auth *transports.Authenticator) error {
	if s.cfg.CoAP == "" && s.cfg.CoAPS == "" {
		return nil
	}
	t, err := coap.New(coap.Config{
		Listen: s.cfg.CoAP, Secure: s.cfg.CoAPS, Certificate: s.certificate.shows(),
		MaxBody: s.cfg.Limits.CoAPBody, Sessions: s.cfg.Limits.Sessions, Drain: drainTime,
	}, coap.Deps{Auth: auth, Claims: s.provisioner, Router: s.router, Files: s.house.blobs, Doors: &s.ways, Log: s.log})
	if err != nil {
		return err
	}
	s.coap = t
	s.opened("coap", t.Addr())
	s.opened("coaps", t.SecureAddr())
	s.sources = append(s.sources, source{"coap", t})
	return nil
}

// Call implements [engine.Caller] for devices, which are asked over CoAP.
func (s *server) Call(ctx context.Context, c ota.Call) (ota.Called, error) {
	if s.coap == nil {
		return ota.Called{}, ota.Errorf(ota.Busy, "ask device", "the CoAP door is off")
	}
	return s.coap.Call(ctx, c)
}

var (
	metricCoAP      = prometheus.NewDesc("windlass_coap_total", "What came and went over CoAP: blocks sent, requests without a good token, datagrams that are no message, what there was no room for, answers that waited until their address was proven.", []string{"what"}, nil)
	metricCoAPPeers = prometheus.NewDesc("windlass_coap_peers", "Addresses that are remembered, and those of them with an exchange.", []string{"which"}, nil)
)

func coapMetrics(ch chan<- prometheus.Metric, st coap.Stats) {
	for what, n := range map[string]uint64{"block": st.Blocks, "refused": st.Refused, "malformed": st.Malformed, "dropped": st.Dropped, "held": st.Held} {
		ch <- prometheus.MustNewConstMetric(metricCoAP, prometheus.CounterValue, float64(n), what)
	}
	for which, n := range map[string]int{"all": st.Peers, "exchange": st.Sessions} {
		ch <- prometheus.MustNewConstMetric(metricCoAPPeers, prometheus.GaugeValue, float64(n), which)
	}
}
