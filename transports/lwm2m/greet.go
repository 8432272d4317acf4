package lwm2m

import (
	"context"
	"errors"
	"time"

	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// greet is the first thing that is done with a client: what it runs is asked,
// its states are observed, and what was under way with it is taken up.
func (s *session) greet(ctx context.Context) {
	h, settings, err := s.t.about(ctx, s.ref)
	if err != nil {
		s.t.log.Warn("a client is not known to the end", "device", s.ref.ID, "err", err)
	}
	s.mu.Lock()
	s.settings = settings
	s.mu.Unlock()
	s.readVersion(ctx)
	for _, k := range ota.Kinds() {
		s.kinds[k].greet(ctx, h)
	}
	if settings == nil {
		return
	}
	for path := range settings.Telemetry {
		p, err := lwm2mwire.ParsePath(path)
		if err != nil {
			continue
		}
		got, err := s.observe(ctx, p, func(es []lwm2mwire.Entry) { s.do(func(context.Context) { _ = s.tellObserved(es) }) })
		if err == nil {
			_ = s.tellObserved(got) // it has said so in the log
		}
	}
}

// profile is what the profile of the device says; nil where it says nothing.
func (s *session) profile() *ota.LwM2MSettings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings
}

// about is a device as the house knows it, and what its profile says of LwM2M;
// nil where it says nothing.
func (t *Transport) about(ctx context.Context, ref ota.Ref) (*ota.Device, *ota.LwM2MSettings, error) {
	h, err := t.d.Facts.Get(ctx, ref)
	if err != nil || h.Device == nil {
		return nil, nil, err
	}
	p, err := t.d.Facts.Get(ctx, ota.Ref{Tenant: ref.Tenant, Type: ota.ProfileRef, ID: string(h.Device.Profile)})
	if err != nil || p.Profile == nil {
		return h.Device, nil, err
	}
	return h.Device, p.Profile.LwM2M, nil
}

// readVersion reads what object 3 says of the firmware: /3/0/3.
func (s *session) readVersion(ctx context.Context) {
	for range 3 {
		got, err := s.read(ctx, lwm2mwire.P(3, 0, 3))
		if err == nil {
			if len(got) > 0 {
				s.v3, _ = got[0].Value.Text()
			}
			return
		}
		if no := (*answerError)(nil); errors.As(err, &no) && no.code>>5 == 4 { // it has none
			return
		}
		select {
		case <-time.After(500 * time.Millisecond): // it may not know yet that it is registered
		case <-ctx.Done():
			return
		}
	}
}
