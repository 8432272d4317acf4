package mqtt

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// secured opens a door with TLS besides; trust is by what clients know it.
func secured(t testing.TB) (open func(*Config, *Deps), trust *tls.Config) {
	cert := transporttest.Certificate(t, "windlass")
	return func(c *Config, d *Deps) {
		c.ListenTLS, d.TLS = "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}}
	}, transporttest.Trust(cert)
}

// dialTLS connects with certificates, or without any.
func (s *server) dialTLS(t *testing.T, v mqttwire.Version, trust *tls.Config, certs ...tls.Certificate) *client {
	t.Helper()
	c := trust.Clone()
	c.Certificates = certs
	nc, err := tls.Dial("tcp", s.mqtt.AddrTLS().String(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t, nc, mqttwire.NewReader(nc, mqttwire.MaxRemaining), v}
}

// The whole contract holds over TLS.
func TestTransportTLS(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server {
		open, trust := secured(t)
		deps := Deps{Auth: w.Auth, Files: w.Blobs, Router: w.Router, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		var cfg Config
		open(&cfg, &deps)
		tr, err := New(cfg, deps)
		if err != nil {
			t.Fatal(err)
		}
		stop := transporttest.Serve(t, tr, w.Handler)
		return transporttest.Server{Name: "mqtt", Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
			return dialSuiteOver(t, token, mqttwire.V5, func() (net.Conn, error) { return tls.Dial("tcp", tr.AddrTLS().String(), trust) })
		}}
	})
}

// A device is known by its certificate alone, whatever stands in CONNECT, and
// one without a certificate by its token.
func TestCertificate(t *testing.T) {
	open, trust := secured(t)
	s := start(t, Config{}, nil, open)
	tests := []struct {
		name   string
		certs  []tls.Certificate
		user   string
		device ota.DeviceID
		v3     byte
		v5     mqttwire.Reason
	}{
		{"known", []tls.Certificate{transporttest.Certificate(t, "d7")}, "", "d7", 0, 0},
		{"known, a token of another", []tls.Certificate{transporttest.Certificate(t, "d7")}, "T1", "d7", 0, 0},
		{"unknown", []tls.Certificate{transporttest.Certificate(t, "stranger")}, "", "", 5, mqttwire.NotAuthorized},
		{"unknown, with a good token", []tls.Certificate{transporttest.Certificate(t, "stranger")}, "T1", "", 5, mqttwire.BadUserNameOrPassword},
		{"none, a token", nil, "T1", "d1", 0, 0},
		{"none, no token", nil, "", "", 5, mqttwire.NotAuthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqttwire.Version) {
				c := s.dialTLS(t, v, trust, tt.certs...)
				c.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: tt.user != "", UserName: []byte(tt.user)})
				want := tt.v3
				if v == mqttwire.V5 {
					want = byte(tt.v5)
				}
				if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != want {
					t.Fatalf("got %+v, want code %#x", ack, want)
				}
				if tt.device == "" {
					return
				}
				mark := fmt.Sprintf(`{%q:1}`, t.Name())
				c.send(publish1(1, "v2/t", mark))
				c.wantAck(mqttwire.PUBACK, 1, 0)
				for _, m := range s.events(ota.Telemetry) {
					if string(m.Values) == mark && m.Device != tt.device {
						t.Errorf("it is %s, want %s", m.Device, tt.device)
					}
				}
			})
		})
	}
}

// A device that reads nothing is cut over TLS too, and who pushes to it goes on.
func TestSlowReaderTLS(t *testing.T) {
	open, trust := secured(t)
	s := start(t, Config{WriteTimeout: 200 * time.Millisecond}, nil, open)
	c := s.dialTLS(t, mqttwire.V311, trust)
	c.send(&mqttwire.Connect{Version: mqttwire.V311, CleanStart: true, HasUserName: true, UserName: []byte("T1")})
	c.next()
	c.subscribed(subscribe(1, 0, "v2/a"), 0)
	big := offer("d1", `{"a":"`+strings.Repeat("x", 32<<10)+`"}`)
	until(t, "the connection is cut", func() bool {
		s.push(big)
		return s.router.Sessions() == 0
	})
}

// Without a certificate there is no door with TLS.
func TestTLSNeedsCertificate(t *testing.T) {
	s := start(t, Config{}, nil)
	if _, err := New(Config{ListenTLS: "127.0.0.1:0"}, Deps{Auth: tokens{}, Files: s, Router: s.router}); err == nil {
		t.Error("a door with TLS was opened without a certificate")
	}
}
