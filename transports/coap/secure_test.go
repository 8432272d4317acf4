package coap

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// book is the suite's authenticator, with devices that come over DTLS beside:
// the identity or the certificate "d1" is device d1.
type book struct{ *transports.Authenticator }

func (book) PSK(_ context.Context, identity, _ string) (ota.Ref, []byte, error) {
	if identity != "d1" && identity != "d2" {
		return ota.Ref{}, nil, ota.Errorf(ota.NotFound, "authenticate", "no such identity")
	}
	return ota.RefOf("main", ota.DeviceID(identity)), []byte("key of " + identity), nil
}

func (book) Certificate(_ context.Context, chain []*x509.Certificate, _ string) (ota.Ref, error) {
	if name := chain[0].Subject.CommonName; name == "d1" {
		return ota.RefOf("main", "d1"), nil
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "authenticate", "no such certificate")
}

// secure starts a transport that speaks DTLS alone.
func secure(t *testing.T, image []byte, answer transports.HandlerFunc) *rig {
	own := transporttest.Certificate(t, "server")
	return start(t, Config{Secure: "127.0.0.1:0", Certificate: func() *tls.Certificate { return &own }}, image, answer)
}

func (r *rig) shake(t *testing.T, opts ...dtls.ClientOption) (*sim.CoAP, error) {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", r.SecureAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dtls.DialWithOptions("udp", at, opts...)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return &sim.CoAP{Conn: conn, Ack: time.Second}, nil
}

func psk(identity, key string) []dtls.ClientOption {
	return []dtls.ClientOption{
		dtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }), dtls.WithPSKIdentityHint([]byte(identity)),
		dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8),
	}
}

func showing(c tls.Certificate) []dtls.ClientOption {
	return []dtls.ClientOption{dtls.WithCertificates(c), dtls.WithInsecureSkipVerify(true)}
}

// TestSecure: a device that has shaken hands needs no token, also for packages,
// and cannot speak for another.
func TestSecure(t *testing.T) {
	image := noise(10_000)
	r := secure(t, image, shared(`{"a":1}`))
	for name, opts := range map[string][]dtls.ClientOption{"key": psk("d1", "key of d1"), "certificate": showing(transporttest.Certificate(t, "d1"))} {
		t.Run(name, func(t *testing.T) {
			c, err := r.shake(t, opts...)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"fw", "sw", "fw/T1", "fw?size=10000&chunk=0"} {
				if got, err := c.Fetch(t.Context(), path, nil); err != nil || !bytes.Equal(got, image) {
					t.Errorf("%s: %d bytes, %v", path, len(got), err)
				}
			}
			for _, path := range []string{"api/v1/telemetry", "api/v1/attributes", "api/v1/T1/telemetry"} {
				if a, err := c.Post(t.Context(), path, []byte(`{"a":1}`)); err != nil || a.Code != coapwire.Created {
					t.Errorf("%s: %s, %v", path, a.Code, err)
				}
			}
			for _, path := range []string{"api/v1/T2/telemetry", "api/v1/nobody/telemetry"} {
				if a, err := c.Post(t.Context(), path, []byte(`{"a":1}`)); err != nil || a.Code != coapwire.Unauthorized {
					t.Errorf("%s: %s, %v", path, a.Code, err)
				}
			}
			if _, err := c.Fetch(t.Context(), "fw/T2", nil); err == nil {
				t.Error("another's token was taken")
			}
			if got, err := c.Observe(t.Context(), "api/v1/attributes"); err != nil || string(got) != `{"a":1}` {
				t.Errorf("observe: %s, %v", got, err)
			}
			until(t, "a push is heard", func() bool {
				heard, _ := r.router.Send(t.Context(), push("d1", ota.Reply{Word: ota.SayAttributes, Shared: []byte(`{"b":2}`)}))
				return heard
			})
			if got, err := c.Next(t.Context(), 5*time.Second); err != nil || string(got) != `{"b":2}` {
				t.Errorf("heard %s, %v", got, err)
			}
			c.Conn.Close()
			until(t, "the session is over", func() bool { return r.router.Sessions() == 0 })
		})
	}
	for _, m := range r.events(ota.Telemetry, ota.ChunkRequested) {
		if m.Device != "d1" {
			t.Errorf("%+v", m)
		}
	}
}

// TestNobodyShakesHands who is not known: 0 sessions.
func TestNobodyShakesHands(t *testing.T) {
	r := secure(t, noise(2000), nil)
	for name, opts := range map[string][]dtls.ClientOption{
		"a wrong key": psk("d1", "key of d2"), "an unknown identity": psk("d9", "key of d1"), "no identity": psk("", "key of d1"),
		"a certificate of nobody": showing(transporttest.Certificate(t, "d9")), "no certificate": {dtls.WithInsecureSkipVerify(true)},
		"a weak suite": append(psk("d1", "key of d1"), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CBC_SHA256)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := r.shake(t, opts...)
			if err != nil {
				return
			}
			c.Ack, c.Says = 100*time.Millisecond, 1
			if got, err := c.Fetch(t.Context(), "fw", nil); err == nil {
				t.Errorf("came in and got %d bytes", len(got))
			}
		})
	}
	t.Cleanup(func() {
		if n := len(r.events(ota.ChunkRequested)); n != 0 || r.Stats().Sessions != 0 {
			t.Errorf("%d requests were handled", n)
		}
	})
}

// tape passes datagrams between a client and the server, and keeps those that go
// up.
type tape struct {
	net.PacketConn
	server net.Addr
	sent   [][]byte
}

func (x *tape) WriteTo(b []byte, a net.Addr) (int, error) {
	x.sent = append(x.sent, bytes.Clone(b))
	return x.PacketConn.WriteTo(b, a)
}

// TestReplayedRecords: what was recorded and is sent again is not taken again,
// from the same address or another.
func TestReplayedRecords(t *testing.T) {
	r := secure(t, nil, nil)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &tape{PacketConn: pc, server: r.SecureAddr()}
	conn, err := dtls.ClientWithOptions(x, x.server, psk("d1", "key of d1")...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &sim.CoAP{Conn: conn, Ack: time.Second}
	for i := range 3 {
		if a, err := c.Post(t.Context(), "api/v1/telemetry", fmt.Appendf(nil, `{"n":%d}`, i)); err != nil || a.Code != coapwire.Created {
			t.Fatalf("%s, %v", a.Code, err)
		}
	}
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for range 3 {
		for _, b := range x.sent {
			if _, err := pc.WriteTo(b, x.server); err != nil {
				t.Fatal(err)
			}
			if _, err := other.WriteTo(b, x.server); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, err := c.Post(t.Context(), "api/v1/telemetry", []byte(`{"n":3}`)); err != nil || a.Code != coapwire.Created {
		t.Fatalf("behind the replay: %s, %v", a.Code, err)
	}
	if n := len(r.events(ota.Telemetry)); n != 4 {
		t.Errorf("%d messages were handed over, 4 were said", n)
	}
}
