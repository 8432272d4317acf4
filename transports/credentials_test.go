package transports

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// people knows devices by their credentials.
type people struct {
	ota.Facts
	homes []*ota.Home
}

func (p *people) ByKey(_ context.Context, key string) (ota.Ref, error) {
	for _, h := range p.homes {
		if h.Device.Credentials.Has(key) {
			return h.Ref, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "key", "nobody has it")
}

func (p *people) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	for _, h := range p.homes {
		if h.Ref == r {
			return h, nil
		}
	}
	return nil, ota.Errorf(ota.NotFound, "get", "there is none")
}

func folk(all map[ota.DeviceID]ota.Credentials) *people {
	p := &people{}
	for id, c := range all {
		p.homes = append(p.homes, &ota.Home{Ref: ota.RefOf("main", id), Device: &ota.Device{ID: id, Credentials: c}})
	}
	return p
}

const from = "192.0.2.1:1000"

func TestBasic(t *testing.T) {
	a := NewAuthenticator(folk(map[ota.DeviceID]ota.Credentials{
		"token": {Token: "T1"},
		"both":  {Type: ota.MQTTBasic, ClientID: "c", UserName: "u", Password: "right"},
		"user":  {Type: ota.MQTTBasic, UserName: "v", Password: "right"},
		"open":  {Type: ota.MQTTBasic, UserName: "open"},
		"name":  {Type: ota.MQTTBasic, ClientID: "lone"},
	}), Guard{})
	for _, tc := range []struct{ client, user, password, want string }{
		{"whatever", "T1", "", "token"},
		{"whatever", "T1", "a password is not looked at", "token"},
		{"c", "u", "right", "both"},
		{"c", "u", "wrong", ""},
		{"c", "u", "", ""},
		{"d", "u", "right", ""},
		{"any", "v", "right", "user"},
		{"", "v", "right", "user"},
		{"", "v", "wrong", ""},
		{"x", "open", "anything", "open"},
		{"lone", "", "", "name"},
		{"c", "", "", ""},
		{"lone", "unknown", "", ""},
		{"", "", "", ""},
		{"", "\x00mqtt\x00lone\x00", "", ""},
	} {
		ref, err := a.Basic(t.Context(), tc.client, tc.user, tc.password, from)
		if ref.ID != tc.want || (tc.want == "") != (ota.CodeOf(err) == ota.NotFound) {
			t.Errorf("%+v: %q, %v", tc, ref.ID, err)
		}
	}
}

func TestKeysAndCertificates(t *testing.T) {
	cert := &x509.Certificate{Raw: []byte("a certificate")}
	key := []byte("0123456789abcdef")
	a := NewAuthenticator(folk(map[ota.DeviceID]ota.Credentials{
		"cert":  {Type: ota.X509Certificate, Certificate: ota.CertificateHash(cert.Raw)},
		"psk":   {Type: ota.LwM2M, Endpoint: "urn:imei:1", Identity: "id", Key: key},
		"plain": {Type: ota.LwM2M, Endpoint: "urn:imei:2"},
	}), Guard{})
	ctx := t.Context()
	if ref, err := a.Certificate(ctx, []*x509.Certificate{cert}, from); ref.ID != "cert" {
		t.Errorf("certificate: %v, %v", ref, err)
	}
	for _, chain := range [][]*x509.Certificate{nil, {{Raw: []byte("another")}}} {
		if _, err := a.Certificate(ctx, chain, from); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("%d certificates: %v", len(chain), err)
		}
	}
	if ref, k, err := a.PSK(ctx, "id", from); ref.ID != "psk" || string(k) != string(key) {
		t.Errorf("psk: %v, %v", ref, err)
	}
	for _, identity := range []string{"", "urn:imei:1", "nobody"} {
		if _, k, err := a.PSK(ctx, identity, from); ota.CodeOf(err) != ota.NotFound || k != nil {
			t.Errorf("identity %q: %v", identity, err)
		}
	}
	for ep, id := range map[string]string{"urn:imei:1": "psk", "urn:imei:2": "plain", "urn:imei:3": "", "id": ""} {
		ref, c, err := a.Endpoint(ctx, ep, from)
		if ref.ID != id || id != "" && c.Endpoint != ep || id == "" && ota.CodeOf(err) != ota.NotFound {
			t.Errorf("endpoint %q: %v, %v", ep, ref, err)
		}
	}
	// What another type of credentials is found by is nobody's access token.
	for _, h := range []string{ota.EndpointKey("urn:imei:2"), ota.IdentityKey("id"), ota.CertificateKey(ota.CertificateHash(cert.Raw))} {
		if ref, err := a.Token(ctx, h, from); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("token %q: %v, %v", h, ref, err)
		}
	}
}

// Who has guessed too often goes on neither with a client that is well known nor
// with other kinds of credentials; who has the right ones does.
func TestPasswordsAreGuarded(t *testing.T) {
	a := NewAuthenticator(folk(map[ota.DeviceID]ota.Credentials{
		"d": {Type: ota.MQTTBasic, UserName: "u", Password: "right"},
	}), Guard{Burst: 3, Every: time.Hour})
	ctx := t.Context()
	if _, err := a.Basic(ctx, "", "u", "right", from); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := a.Basic(ctx, "", "u", "wrong", from); ota.CodeOf(err) != ota.NotFound {
			t.Fatal(err)
		}
	}
	if _, err := a.Basic(ctx, "", "u", "guess", from); !errors.Is(err, ErrTooMany) {
		t.Errorf("a fourth guess: %v", err)
	}
	if _, _, err := a.PSK(ctx, "id", from); !errors.Is(err, ErrTooMany) {
		t.Errorf("another kind of guess: %v", err)
	}
	if ref, err := a.Basic(ctx, "", "u", "right", from); ref.ID != "d" {
		t.Errorf("the right password: %v", err)
	}
}
