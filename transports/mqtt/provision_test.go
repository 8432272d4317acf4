package mqtt

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// claims notes who wants to be made known or claimed.
type claims struct{ claimed chan string }

func (claims) Provision(_ context.Context, body []byte, _ string) (reply []byte, ok bool, err error) {
	switch string(body) {
	case "{":
		return nil, false, ota.Errorf(ota.Invalid, "read", "not JSON")
	case `{"busy":1}`:
		return nil, false, ota.Errorf(ota.Busy, "store", "away")
	case `{"broken":1}`:
		return nil, false, errors.New("a defect")
	case `{"wrong":1}`:
		return []byte(`{"status":"NOT_FOUND"}`), false, nil
	}
	return []byte(`{"status":"SUCCESS"}`), true, nil
}

func (c claims) Claim(_ context.Context, d ota.Ref, body []byte) error {
	switch string(body) {
	case "{":
		return ota.Errorf(ota.Invalid, "read", "not JSON")
	case `{"busy":1}`:
		return ota.Errorf(ota.Busy, "store", "away")
	}
	c.claimed <- d.ID + string(body)
	return nil
}

func provisioning(_ *Config, d *Deps) { d.Claims = claims{make(chan string, 8)} }

// guest connects as somebody whom nobody knows.
func (s *server) guest(t *testing.T, v mqttwire.Version, user, client string) *client {
	t.Helper()
	c := s.dial(t, v)
	c.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: user != "", UserName: []byte(user), ClientID: []byte(client)})
	if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != 0 {
		t.Fatalf("refused: %+v", ack)
	}
	return c
}

// A device that is not known yet publishes one request and hears the answer,
// subscribed or not; nothing is handed over, and it has no session.
func TestProvision(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil, provisioning)
		c := s.guest(t, v, "provision", "")
		c.send(publish1(1, "/provision/request", `{"deviceName":"x"}`))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		if p := c.wantPublish("/provision/response", `{"status":"SUCCESS"}`); p.QoS != 1 {
			t.Errorf("QoS %d", p.QoS)
		}
		c = s.guest(t, v, "", "provision")
		refused := byte(0x80)
		if v == mqttwire.V5 {
			refused = 0x8f
		}
		c.subscribed(subscribe(1, 0, "/provision/response", "v1/devices/me/attributes", "provision/#", "#"), 0, refused, refused, refused)
		c.send(publish("/provision/request", `{"wrong":1}`))
		if p := c.wantPublish("/provision/response", `{"status":"NOT_FOUND"}`); p.QoS != 0 {
			t.Errorf("QoS %d", p.QoS)
		}
		if n := s.router.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
		c.send(publish1(2, "v1/devices/me/telemetry", `{}`))
		c.wantClosed(mqttwire.NotAuthorized)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.heard) != 0 {
			t.Errorf("handed over: %+v", s.heard)
		}
	})
}

func TestProvisionFails(t *testing.T) {
	s := start(t, Config{}, nil, provisioning)
	for body, want := range map[string]mqttwire.Reason{`{"busy":1}`: mqttwire.ServerBusy, `{"broken":1}`: mqttwire.UnspecifiedError} {
		c := s.guest(t, mqttwire.V5, "provision", "")
		c.send(publish1(1, "/provision/request", body))
		c.wantClosed(want)
	}
	c := s.guest(t, mqttwire.V5, "provision", "")
	c.send(publish1(1, "/provision/request", "{"))
	c.wantAck(mqttwire.PUBACK, 1, mqttwire.PayloadFormatInvalid)
	old := s.guest(t, mqttwire.V311, "provision", "")
	old.send(publish1(1, "/provision/request", "{"))
	old.wantClosed(0)
}

// A guest must go in time, however lively it is.
func TestProvisionEnds(t *testing.T) {
	s := start(t, Config{GuestTime: 300 * time.Millisecond}, nil, provisioning)
	c := s.guest(t, mqttwire.V5, "provision", "")
	c.wantAlive()
	c.send(publish("/provision/request", `{"deviceName":"x"}`))
	c.wantPublish("/provision/response", `{"status":"SUCCESS"}`)
	c.wantAlive()
	c.wantClosed(mqttwire.KeepAliveTimeout)
}

func TestClaim(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		all := claims{make(chan string, 8)}
		s := start(t, Config{}, nil, func(_ *Config, d *Deps) { d.Claims = all })
		c := s.login(t, v)
		c.send(publish1(1, "v1/devices/me/claim", `{"secretKey":"s"}`))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		c.send(publish1(2, "v1/devices/me/claim", ""))
		c.wantAck(mqttwire.PUBACK, 2, 0)
		if a, b := <-all.claimed, <-all.claimed; a != `d1{"secretKey":"s"}` || b != "d1" {
			t.Errorf("claimed %s and %s", a, b)
		}
		c.send(publish1(3, "v1/devices/me/claim", "{"))
		if v != mqttwire.V5 {
			c.wantClosed(0)
			return
		}
		c.wantAck(mqttwire.PUBACK, 3, mqttwire.PayloadFormatInvalid)
		c.send(publish1(4, "v1/devices/me/claim", `{"busy":1}`))
		c.wantClosed(mqttwire.ServerBusy)
	})
}
