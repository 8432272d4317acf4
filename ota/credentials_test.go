package ota

import (
	"strings"
	"testing"
)

func TestCredentialsCheck(t *testing.T) {
	hash := CertificateHash([]byte("der"))
	for _, tc := range []struct {
		name   string
		c      Credentials
		member string
	}{
		{"token", Credentials{Token: "A1_b-2"}, ""},
		{"no token", Credentials{}, "accessToken"},
		{"token with a slash", Credentials{Token: "a/b"}, "accessToken"},
		{"client", Credentials{Type: MQTTBasic, ClientID: "c"}, ""},
		{"user", Credentials{Type: MQTTBasic, UserName: "u", Password: "p"}, ""},
		{"password alone", Credentials{Type: MQTTBasic, ClientID: "c", Password: "p"}, "userName"},
		{"nobody", Credentials{Type: MQTTBasic}, "clientId"},
		{"NUL in a name", Credentials{Type: MQTTBasic, ClientID: "a\x00b"}, "clientId"},
		{"long", Credentials{Type: MQTTBasic, UserName: strings.Repeat("u", 256)}, "userName"},
		{"certificate", Credentials{Type: X509Certificate, Certificate: hash}, ""},
		{"no certificate", Credentials{Type: X509Certificate}, "certificate"},
		{"half a hash", Credentials{Type: X509Certificate, Certificate: hash[:32]}, "certificate"},
		{"endpoint", Credentials{Type: LwM2M, Endpoint: "e"}, ""},
		{"psk", Credentials{Type: LwM2M, Endpoint: "e", Identity: "i", Key: make([]byte, 16)}, ""},
		{"short key", Credentials{Type: LwM2M, Endpoint: "e", Identity: "i", Key: make([]byte, 15)}, "key"},
		{"key of nobody", Credentials{Type: LwM2M, Endpoint: "e", Key: make([]byte, 16)}, "identity"},
		{"both", Credentials{Type: LwM2M, Endpoint: "e", Identity: "i", Key: make([]byte, 16), Certificate: hash}, "certificate"},
		{"no endpoint", Credentials{Type: LwM2M}, "endpoint"},
		{"type", Credentials{Type: "TOKEN"}, "type"},
	} {
		if member, err := tc.c.Check(); member != tc.member || (err == nil) != (tc.member == "") || err != nil && CodeOf(err) != Invalid {
			t.Errorf("%s: %q, %v", tc.name, member, err)
		}
	}
}

// The hash is the one that ThingsBoard's users know: openssl x509 -outform der |
// base64 -w0 | openssl dgst -sha3-256.
func TestCertificateHash(t *testing.T) {
	const want = "c356f8d776ee51e1970c75abf308614114da0eb632c38780962e26dfdcf1297a" // of these bytes
	if got := CertificateHash([]byte("hello world")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
