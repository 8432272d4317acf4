package ota

import (
	"crypto/sha3"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
)

// CredentialsType says how a device proves who it is, in ThingsBoard's words.
type CredentialsType string

// The types of credentials.
const (
	AccessToken     CredentialsType = "ACCESS_TOKEN"
	MQTTBasic       CredentialsType = "MQTT_BASIC"
	X509Certificate CredentialsType = "X509_CERTIFICATE"
	LwM2M           CredentialsType = "LWM2M_CREDENTIALS"
)

// Credentials is how a device proves who it is. A device has one set of one
// type; members that the type does not name are empty. Nothing logs Token,
// Password or Key.
type Credentials struct {
	Type CredentialsType // "" is ACCESS_TOKEN

	// ACCESS_TOKEN.
	Token string

	// MQTT_BASIC: at least one of the first two.
	ClientID, UserName string
	Password           string // "" when none is asked for

	// X509_CERTIFICATE, and LWM2M_CREDENTIALS with a certificate: what
	// [CertificateHash] says of the device's own.
	Certificate string

	// LWM2M_CREDENTIALS. With an identity the device speaks DTLS with a
	// pre-shared key, with a certificate DTLS with that, with neither plainly.
	Endpoint string
	Identity string
	Key      []byte // 16 to 64 bytes
}

// Kind returns the type, which is ACCESS_TOKEN where none is set.
func (c *Credentials) Kind() CredentialsType {
	if c.Type == "" {
		return AccessToken
	}
	return c.Type
}

// IsZero says whether there is nothing by which a device could be known.
func (c *Credentials) IsZero() bool { return len(c.Keys()) == 0 }

// A key is what a device is found by; each is unique among all devices of all
// tenants. An access token is its own key, as that is what devices show most.
// The others begin with a byte that no token can have.

// BasicKey is the key of an MQTT client by its client id, its user name, or both.
func BasicKey(clientID, userName string) string {
	return "\x00mqtt\x00" + clientID + "\x00" + userName
}

// CertificateKey is the key of a certificate by its hash.
func CertificateKey(hash string) string { return "\x00x509\x00" + strings.ToLower(hash) }

// EndpointKey is the key of an LwM2M client by its endpoint name.
func EndpointKey(endpoint string) string { return "\x00lwm2m\x00" + endpoint }

// IdentityKey is the key of a DTLS client by its pre-shared key's identity.
func IdentityKey(identity string) string { return "\x00psk\x00" + identity }

// Keys lists what a device with these credentials is found by.
func (c *Credentials) Keys() []string {
	var out []string
	add := func(key string, is bool) {
		if is {
			out = append(out, key)
		}
	}
	switch c.Kind() {
	case AccessToken:
		add(c.Token, c.Token != "")
	case MQTTBasic:
		add(BasicKey(c.ClientID, c.UserName), c.ClientID != "" || c.UserName != "")
	case X509Certificate:
		add(CertificateKey(c.Certificate), c.Certificate != "")
	case LwM2M:
		add(EndpointKey(c.Endpoint), c.Endpoint != "")
		add(IdentityKey(c.Identity), c.Identity != "")
		add(CertificateKey(c.Certificate), c.Certificate != "")
	}
	return out
}

// Has says whether a key is one of c's.
func (c *Credentials) Has(key string) bool {
	if c.Kind() == AccessToken { // asked with each piece of a file: without a list
		return key != "" && key == c.Token
	}
	return slices.Contains(c.Keys(), key)
}

// SameKeys says whether a device with c is found by what it is found by with o.
func (c *Credentials) SameKeys(o *Credentials) bool {
	if c.Kind() == AccessToken && o.Kind() == AccessToken {
		return c.Token == o.Token
	}
	return slices.Equal(c.Keys(), o.Keys())
}

// Admits says whether a password is the right one. Where none is asked for any
// is, as with ThingsBoard.
func (c *Credentials) Admits(password string) bool {
	return c.Password == "" || subtle.ConstantTimeCompare([]byte(c.Password), []byte(password)) == 1
}

// Clone returns a copy that shares nothing with c.
func (c *Credentials) Clone() Credentials {
	out := *c
	out.Key = slices.Clone(c.Key)
	return out
}

// The bounds of credentials, in bytes.
const (
	maxCredential = 255
	minKey        = 16
	maxKey        = 64
)

// Check says what is wrong with credentials that somebody wants to give to a
// device, with the JSON name of the member that it is about, or nil.
func (c *Credentials) Check() (member string, err error) {
	bad := func(member, format string, args ...any) (string, error) {
		return member, Errorf(Invalid, "check credentials", format, args...)
	}
	for _, m := range []struct{ name, value string }{
		{"clientId", c.ClientID}, {"userName", c.UserName}, {"password", c.Password}, {"endpoint", c.Endpoint}, {"identity", c.Identity},
	} {
		if len(m.value) > maxCredential || strings.ContainsFunc(m.value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return bad(m.name, "it has at most %d bytes and no control characters", maxCredential)
		}
	}
	if h, err := hex.DecodeString(c.Certificate); c.Certificate != "" && (err != nil || len(h) != 32) {
		return bad("certificate", "it is the certificate in PEM, or the SHA3-256 of its DER bytes' base64 text in 64 hexadecimal digits")
	}
	switch c.Kind() {
	case AccessToken:
		if c.Token == "" || len(c.Token) > maxCredential || strings.ContainsFunc(c.Token, notInToken) {
			return bad("accessToken", `an access token is printable ASCII without spaces and without / \ ? # %% < >`)
		}
	case MQTTBasic:
		if c.ClientID == "" && c.UserName == "" {
			return bad("clientId", "MQTT_BASIC has a clientId, a userName or both")
		}
		if c.Password != "" && c.UserName == "" {
			return bad("userName", "MQTT has a password only beside a user name")
		}
	case X509Certificate:
		if c.Certificate == "" {
			return bad("certificate", "X509_CERTIFICATE has one")
		}
	case LwM2M:
		return c.checkLwM2M(bad)
	default:
		return bad("type", "%q is none of ACCESS_TOKEN, MQTT_BASIC, X509_CERTIFICATE, LWM2M_CREDENTIALS", c.Type)
	}
	return "", nil
}

func (c *Credentials) checkLwM2M(bad func(string, string, ...any) (string, error)) (string, error) {
	switch {
	case c.Endpoint == "":
		return bad("endpoint", "LWM2M_CREDENTIALS have the client's endpoint name")
	case c.Identity != "" && c.Certificate != "":
		return bad("certificate", "a client proves itself by a pre-shared key or by a certificate, not by both")
	case c.Identity == "" && len(c.Key) > 0:
		return bad("identity", "a pre-shared key has an identity")
	case c.Identity != "" && (len(c.Key) < minKey || len(c.Key) > maxKey):
		return bad("key", "a pre-shared key has %d to %d bytes, written as hexadecimal digits", minKey, maxKey)
	}
	return "", nil
}

// notInToken says what could not stand in a path or in an MQTT user name.
func notInToken(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\?#%<>`, r) }

// CertificateHash is how ThingsBoard names a certificate: the SHA3-256 of the
// base64 text of its DER bytes, in hexadecimal digits.
func CertificateHash(der []byte) string {
	sum := sha3.Sum256([]byte(base64.StdEncoding.EncodeToString(der)))
	return hex.EncodeToString(sum[:])
}

// HashOfPEM is the [CertificateHash] of the first certificate in a PEM text.
func HashOfPEM(text string) (string, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return "", Errorf(Invalid, "read certificate", "it is not in PEM")
	}
	return CertificateHash(block.Bytes), nil
}
