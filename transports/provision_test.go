package transports

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// wishes answers as it is told and keeps what it was asked.
type wishes struct {
	asked  ota.ProvisionRequest
	gives  ota.Credentials
	err    error
	issuer string // that a profile trusts
	secret string
	during time.Duration
}

func (w *wishes) Provision(_ context.Context, _ ota.TenantID, q ota.ProvisionRequest) (ota.Credentials, error) {
	w.asked = q
	return w.gives, w.err
}

func (w *wishes) Issued(_ context.Context, _ ota.TenantID, issuer, commonName, _ string) (ota.Ref, error) {
	if issuer != w.issuer {
		return ota.Ref{}, ota.Errorf(ota.NotFound, "issued", "not trusted")
	}
	return ota.RefOf("main", ota.DeviceID(commonName)), nil
}

func (w *wishes) Claim(_ context.Context, _ ota.Ref, secret string, during time.Duration) error {
	w.secret, w.during = secret, during
	return nil
}

func TestProvision(t *testing.T) {
	for _, tc := range []struct {
		body  string
		gives ota.Credentials
		err   ota.Code
		want  string
	}{
		{`{"deviceName":"d","provisionDeviceKey":"k","provisionDeviceSecret":"s"}`, ota.Credentials{Token: "T"}, "", `{"status":"SUCCESS","credentialsType":"ACCESS_TOKEN","credentialsValue":"T"}`},
		{`{"deviceName":"d","provisionDeviceKey":"k","provisionDeviceSecret":"s","credentialsType":"MQTT_BASIC","username":"u","password":"p","clientId":"c"}`,
			ota.Credentials{Type: ota.MQTTBasic, ClientID: "c", UserName: "u", Password: "p"}, "",
			`{"status":"SUCCESS","credentialsType":"MQTT_BASIC","credentialsValue":{"clientId":"c","userName":"u","password":"p"}}`},
		{`{"provisionDeviceKey":"k"}`, ota.Credentials{}, ota.NotFound, `{"status":"NOT_FOUND","errorMsg":"Provision data was not found!"}`},
		{`{"provisionDeviceKey":"k"}`, ota.Credentials{}, ota.Conflict, `{"status":"FAILURE","errorMsg":"Failed to provision device!"}`},
	} {
		w := &wishes{gives: tc.gives}
		if tc.err != "" {
			w.err = ota.Errorf(tc.err, "provision", "no")
		}
		reply, ok, err := NewProvisioner(NewAuthenticator(folk(nil), Guard{}), w, "main").Provision(t.Context(), []byte(tc.body), from)
		if string(reply) != tc.want || ok != (tc.err == "") || err != nil {
			t.Errorf("%s\n got %s %v %v\nwant %s", tc.body, reply, ok, err, tc.want)
		}
		if ok && !w.asked.Credentials.IsZero() && !w.asked.Credentials.SameKeys(&tc.gives) {
			t.Errorf("%s: asked for %v", tc.body, w.asked.Credentials.Kind())
		}
	}
}

// Whoever guesses keys is refused as whoever guesses tokens is.
func TestProvisionIsGuarded(t *testing.T) {
	w := &wishes{err: ota.Errorf(ota.NotFound, "provision", "no")}
	p := NewProvisioner(NewAuthenticator(folk(nil), Guard{Burst: 2, Every: time.Hour}), w, "main")
	for i, want := range []error{nil, nil, ErrTooMany} {
		if _, ok, err := p.Provision(t.Context(), []byte(`{}`), from); ok || !errors.Is(err, want) {
			t.Errorf("guess %d: %v", i, err)
		}
	}
	if _, _, err := p.Provision(t.Context(), []byte(`[`), "192.0.2.9:1"); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("no JSON: %v", err)
	}
}

func TestClaimBodies(t *testing.T) {
	w := &wishes{}
	p := NewProvisioner(NewAuthenticator(folk(nil), Guard{}), w, "main")
	for body, want := range map[string]wishes{
		"": {}, "{}": {}, `{"secretKey":"s","durationMs":60000}`: {secret: "s", during: time.Minute},
	} {
		if err := p.Claim(t.Context(), one, []byte(body)); err != nil || w.secret != want.secret || w.during != want.during {
			t.Errorf("%q: %v, %q for %s", body, err, w.secret, w.during)
		}
	}
	for _, body := range []string{"[]", `{"durationMs":-1}`, `{"secretKey":1}`} {
		if err := p.Claim(t.Context(), one, []byte(body)); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// issue makes a certificate, signed by the parent or by itself.
func issue(t *testing.T, name string, until time.Duration, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(until),
		IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out, key
}

func TestIssuedChains(t *testing.T) {
	ca, caKey := issue(t, "ca", time.Hour, nil, nil)
	forged, forgedKey := issue(t, "ca", time.Hour, nil, nil)
	leaf, _ := issue(t, "d", time.Hour, ca, caKey)
	old, _ := issue(t, "d", -time.Hour, ca, caKey)
	fake, _ := issue(t, "d", time.Hour, forged, forgedKey)
	a := NewAuthenticator(folk(nil), Guard{})
	NewProvisioner(a, &wishes{issuer: ota.CertificateHash(ca.Raw)}, "main")
	for _, tc := range []struct {
		name  string
		chain []*x509.Certificate
		want  string
	}{
		{"the chain", []*x509.Certificate{leaf, ca}, "d"},
		{"without the issuer", []*x509.Certificate{leaf}, ""},
		{"out of date", []*x509.Certificate{old, ca}, ""},
		{"the issuer beside another's signature", []*x509.Certificate{fake, ca}, ""},
		{"another issuer of the same name", []*x509.Certificate{fake, forged}, ""},
		{"no chain", []*x509.Certificate{fake, forged, ca}, ""},
	} {
		ref, err := a.Certificate(t.Context(), tc.chain, from)
		if ref.ID != tc.want || (tc.want == "") != (ota.CodeOf(err) == ota.NotFound) {
			t.Errorf("%s: %v, %v", tc.name, ref, err)
		}
	}
}
