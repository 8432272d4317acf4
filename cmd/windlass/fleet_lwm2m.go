package main

import (
	"context"
	"net"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// client makes a client of LwM2M of a device, whose endpoint is its name. What a
// package turns it into is the version that is assigned, as no simulation reads
// it from the bytes.
func (s *simulation) client(d api.Device, fails bool, notice func(sim.Event)) sim.Player {
	p := &sim.LwM2M{
		Name: d.Name, Endpoint: d.Name, Kind: s.kind, Target: s.target, Delivery: 2, Install: s.install, Loss: s.loss, Notice: notice,
		Dial: func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "udp", s.address) },
	}
	t := s.track(d)
	if t.Target != nil {
		p.Target = ota.Version{Title: t.Target.Title, Version: t.Target.Version}
	}
	if p.Runs = (ota.Version{Title: p.Target.Title, Version: "0"}); t.Current != nil {
		p.Runs = ota.Version{Title: t.Current.Title, Version: t.Current.Version}
	}
	if fails {
		p.Behaves.Fails = simFailure
	}
	return p
}
