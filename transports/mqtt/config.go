package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Config is what an operator may set. A zero member means its default.
type Config struct {
	Listen         string        // address of the plain door; "": none, or ":1883" where ListenTLS is "" too
	ListenTLS      string        // address of the door with TLS; "": none
	MaxPayload     int           // bytes of an inbound payload, and of a chunk that may be asked for: 65536
	MaxInflight    int           // publishes of one connection that are worked through before its answers are written: 100
	MaxTurns       int           // publishes of all connections that are worked at a time: 1024
	MaxConnections int           // 100000; more are closed at once
	MaxBuffered    int           // bytes held of packets that have not come whole, of all connections: 256 MiB; who asks for more is cut
	ConnectTimeout time.Duration // from accept to a whole CONNECT, a TLS handshake included: 9 s
	IdleTimeout    time.Duration // silence of a client that promised no keep-alive: 10 min
	WriteTimeout   time.Duration // after which a device that takes next to nothing of what is written to it is cut: 10 s, at most twice that
	SessionExpiry  time.Duration // for which a session outlives its connection at most: 1 h; below 0: it never does
	GuestTime      time.Duration // for which a device that is not known yet may stay, from its CONNECT and again from its answer: 1 min
	Settle         time.Duration // for which a silent new session may still subscribe before it counts as connected: 500 ms
}

// slack is what a publish may have beside its payload: the longest topic that
// has a meaning here is under 100 bytes, the rest is for properties.
const slack = 4096

// maxConnect bounds a CONNECT, whose sender is nobody yet.
const maxConnect = 16 << 10

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	if c.Listen == "" && c.ListenTLS == "" {
		c.Listen = ":1883"
	}
	orInt(&c.MaxPayload, 65536)
	orInt(&c.MaxInflight, 100)
	orInt(&c.MaxTurns, 1024)
	orInt(&c.MaxConnections, 100_000)
	orInt(&c.MaxBuffered, 256<<20)
	orTime(&c.ConnectTimeout, 9*time.Second)
	orTime(&c.IdleTimeout, 10*time.Minute)
	orTime(&c.WriteTimeout, 10*time.Second)
	orTime(&c.SessionExpiry, time.Hour)
	orTime(&c.GuestTime, time.Minute)
	orTime(&c.Settle, 500*time.Millisecond)
	return c
}

// Validate says what is wrong with c, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, f := range []struct {
		name     string
		v        int64
		min, max int64
	}{
		{"max_payload", int64(c.MaxPayload), 1024, mqttwire.MaxRemaining - slack},
		{"max_inflight", int64(c.MaxInflight), 1, 65535},
		{"max_turns", int64(c.MaxTurns), 1, 1 << 20},
		{"max_connections", int64(c.MaxConnections), 1, 1 << 30},
		{"max_buffered", int64(c.MaxBuffered), 1 << 20, 1 << 40},
		{"connect_timeout", int64(c.ConnectTimeout), 1, int64(time.Hour)},
		{"idle_timeout", int64(c.IdleTimeout), 1, int64(24 * time.Hour)},
		{"write_timeout", int64(c.WriteTimeout), 1, int64(time.Hour)},
		{"guest_time", int64(c.GuestTime), 1, int64(time.Hour)},
		{"settle", int64(c.Settle), 1, int64(time.Minute)},
	} {
		if f.v < f.min || f.v > f.max {
			return ota.Errorf(ota.Invalid, "mqtt settings", "%s is %d, want %d to %d", f.name, f.v, f.min, f.max)
		}
	}
	return nil
}

// Authenticator proves a device by what it shows in CONNECT, or by the
// certificate that it came with; [transports.Authenticator] is one. Both are
// NotFound where no device is meant, Busy where that cannot be told now or the
// address was wrong too often.
type Authenticator interface {
	Basic(ctx context.Context, clientID, userName, password, address string) (ota.Ref, error)
	Certificate(ctx context.Context, chain []*x509.Certificate, address string) (ota.Ref, error)
}

// Provisioner makes devices known that were not, and lets known ones be claimed;
// [transports.Provisioner] does.
type Provisioner interface {
	Provision(ctx context.Context, body []byte, address string) (reply []byte, ok bool, err error)
	Claim(ctx context.Context, device ota.Ref, body []byte) error
}

// Files opens the files whose pieces are sent; [ota.Blobs] does.
type Files interface {
	Open(ctx context.Context, digest string) (ota.Blob, error)
}

// Deps is what the endpoint needs of the house. Auth, Files and Router are required.
type Deps struct {
	Auth   Authenticator
	Files  Files
	Router *transports.Router
	Doors  *transports.Doors // topics beside those of the device API that chains hear; nil: none
	Nouns  Nouns             // profiles, for what they say about MQTT; nil: nothing
	Fleet  Fleet             // devices that gateways speak for; nil: none
	Claims Provisioner       // nil: nobody is made known here, and nobody claimed
	TLS    *tls.Config       // what we show where TLS is spoken; required by Config.ListenTLS
	Log    *slog.Logger      // slog.Default where it is nil
}

func (d Deps) check(c Config) error {
	if c.ListenTLS != "" && d.TLS == nil {
		return errors.New("mqtt: a door with TLS needs a certificate")
	}
	if d.Auth == nil || d.Files == nil || d.Router == nil {
		return errors.New("mqtt: authenticator, files and router are required")
	}
	return nil
}

// sessionLimits is the answer to getSessionLimits, which SDKs pace themselves
// by. No rate is limited here. Gateways are told the same of what they say for
// others.
func (c Config) sessionLimits(gateway bool) []byte {
	const rates = `{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null}`
	out := fmt.Appendf(nil, `{"maxPayloadSize":%d,"maxInflightMessages":%d,"rateLimits":%s`, c.MaxPayload, c.MaxInflight, rates)
	if gateway {
		out = append(out, `,"gatewayRateLimits":`+rates...)
	}
	return append(out, '}')
}
