package dtlsx

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
)

// certificate is one of a name, which signs itself.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var errStranger = errors.New("a stranger")

func listen(t *testing.T, c Config) *Listener {
	t.Helper()
	l, err := Listen("127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l.Close() // twice is once
	})
	return l
}

// dial shakes hands and sends a word.
func dial(t *testing.T, l *Listener, opts ...dtls.ClientOption) error {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dtls.DialWithOptions("udp", at, opts...)
	if err != nil {
		return err
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	_, err = conn.Write([]byte("hello"))
	return err
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

func TestHandshakes(t *testing.T) {
	own, known, stranger := certificate(t, "server"), certificate(t, "pump-7"), certificate(t, "pump-8")
	l := listen(t, Config{
		PSK: func(_ context.Context, identity, address string) ([]byte, error) {
			if identity != "d1" || !strings.HasPrefix(address, "127.0.0.1:") {
				return nil, errStranger
			}
			return []byte("key of d1"), nil
		},
		Certificate: &own,
		Verify: func(_ context.Context, chain []*x509.Certificate, address string) error {
			if chain[0].Subject.CommonName != "pump-7" || !strings.HasPrefix(address, "127.0.0.1:") {
				return errStranger
			}
			return nil
		},
	})
	tests := []struct {
		name string
		opts []dtls.ClientOption
		want string // who came; "" nobody
	}{
		{"key", psk("d1", "key of d1"), "d1"},
		{"wrong key", psk("d1", "key of d2"), ""},
		{"unknown identity", psk("d9", "key of d1"), ""},
		{"certificate", showing(known), "pump-7"},
		{"another's certificate", showing(stranger), ""},
		{"no certificate", []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)}, ""},
		{"a suite without authenticated encryption", append(showing(known), dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dialled := make(chan error, 1)
			go func() { dialled <- dial(t, l, tt.opts...) }()
			if tt.want == "" {
				if err := <-dialled; err == nil {
					t.Error("the handshake went well")
				}
				return
			}
			nc, err := l.AcceptWithContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			c := nc.(*Conn)
			who := c.Identity
			if c.Chain != nil {
				who = c.Chain[0].Subject.CommonName
			}
			b := make([]byte, 100)
			n, err := c.Read(b)
			if who != tt.want || err != nil || string(b[:n]) != "hello" {
				t.Errorf("%q came and said %q, %v", who, b[:n], err)
			}
			if err := <-dialled; err != nil {
				t.Error(err)
			}
		})
	}
	select {
	case c := <-l.ready:
		t.Errorf("somebody without proof was let in: %+v", c)
	default:
	}
}

// TestStandingStill: hellos that lead to nothing are dropped, and whoever means
// it comes in beside them.
func TestStandingStill(t *testing.T) {
	l := listen(t, Config{PSK: func(context.Context, string, string) ([]byte, error) { return []byte("key"), nil }, Handshake: 200 * time.Millisecond, HalfOpen: 4})
	hello := append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 1}, make([]byte, 49)...)
	for range 20 {
		conn, err := net.Dial("udp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	late := time.Now().Add(10 * time.Second)
	for {
		dialled := make(chan error, 1)
		go func() { dialled <- dial(t, l, psk("d1", "key")...) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		c, err := l.AcceptWithContext(ctx)
		cancel()
		if err == nil {
			c.Close()
			if err := <-dialled; err != nil {
				t.Error(err)
			}
			return
		}
		if time.Now().After(late) {
			t.Fatal("nobody came in beside hellos that stand still")
		}
	}
}

func TestNobodyCouldProve(t *testing.T) {
	own := certificate(t, "server")
	for _, c := range []Config{{}, {Certificate: &own}} {
		if _, err := Listen("127.0.0.1:0", c); !errors.Is(err, ErrNoProof) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestIsHello(t *testing.T) {
	good := append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 1}, make([]byte, 49)...)
	if !isHello(good) {
		t.Error("a hello is none")
	}
	for i, v := range map[int]byte{0: 23, 1: 3, 4: 1, 13: 2} {
		b := append([]byte(nil), good...)
		b[i] = v
		if isHello(b) {
			t.Errorf("byte %d = %d is a hello", i, v)
		}
	}
	for n := range 14 {
		if isHello(good[:n]) {
			t.Errorf("%d bytes are a hello", n)
		}
	}
}
