package transports

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxProvision bounds what a device that is not known yet may say of itself, in
// bytes: a certificate is the longest of it.
const maxProvision = 16 << 10

// Wishes is what the house does for devices that make themselves known;
// [ota.Wishes] does it.
type Wishes interface {
	Provision(ctx context.Context, t ota.TenantID, q ota.ProvisionRequest) (ota.Credentials, error)
	Issued(ctx context.Context, t ota.TenantID, issuer, commonName, hash string) (ota.Ref, error)
	Claim(ctx context.Context, device ota.Ref, secret string, during time.Duration) error
}

// Provisioner lets devices make themselves known and be claimed, in the words
// of ThingsBoard's device API, the same over every transport.
type Provisioner struct {
	auth   *Authenticator
	wishes Wishes
	tenant ota.TenantID
}

// NewProvisioner returns one whose devices become a tenant's. From then on auth
// knows devices by who issued their certificate, too: it is called before auth
// is used.
func NewProvisioner(auth *Authenticator, wishes Wishes, tenant ota.TenantID) *Provisioner {
	p := &Provisioner{auth, wishes, tenant}
	auth.issued = p.issued
	return p
}

type provisionRequest struct {
	DeviceName      string              `json:"deviceName"`
	Key             string              `json:"provisionDeviceKey"`
	Secret          string              `json:"provisionDeviceSecret"`
	CredentialsType ota.CredentialsType `json:"credentialsType"`
	Token           string              `json:"token"`
	UserName        string              `json:"username"`
	Password        string              `json:"password"`
	ClientID        string              `json:"clientId"`
	Hash            string              `json:"hash"`
}

type provisionReply struct {
	Status string              `json:"status"`
	Error  string              `json:"errorMsg,omitempty"`
	Type   ota.CredentialsType `json:"credentialsType,omitempty"`
	Value  any                 `json:"credentialsValue,omitempty"`
}

type basicValue struct {
	ClientID string `json:"clientId,omitempty"`
	UserName string `json:"userName,omitempty"`
	Password string `json:"password,omitempty"`
}

// Provision answers a device that shows a profile's key and secret. The reply is
// what it is told, whatever came of it, and ok says whether it is known now. An
// error means that there is no reply: an [ota.Invalid] one that the body cannot
// be read, [ErrTooMany] that the address has tried too often, [ota.Busy] that the
// store is away. A wrong key or secret counts as wrong credentials do.
func (p *Provisioner) Provision(ctx context.Context, body []byte, address string) (reply []byte, ok bool, err error) {
	var q provisionRequest
	if len(body) > maxProvision {
		return nil, false, ota.Errorf(ota.Invalid, "read provision request", "it has over %d bytes", maxProvision)
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, false, ota.Errorf(ota.Invalid, "read provision request", "%v", err)
	}
	if !p.auth.Allowed(address) {
		return nil, false, ErrTooMany
	}
	c, err := p.wishes.Provision(ctx, p.tenant, ota.ProvisionRequest{Device: q.DeviceName, Key: q.Key, Secret: q.Secret, Credentials: q.credentials()})
	switch ota.CodeOf(err) {
	case "":
		reply, err = json.Marshal(provisionReply{Status: "SUCCESS", Type: c.Kind(), Value: q.value(c)})
		return reply, err == nil, err
	case ota.NotFound:
		p.auth.Failed(address)
		reply, err = json.Marshal(provisionReply{Status: "NOT_FOUND", Error: "Provision data was not found!"})
	case ota.Invalid, ota.Conflict:
		p.auth.Failed(address) // else names could be guessed
		reply, err = json.Marshal(provisionReply{Status: "FAILURE", Error: "Failed to provision device!"})
	}
	return reply, false, err
}

// credentials are those that a device wishes for; none is a token of chance.
func (q *provisionRequest) credentials() ota.Credentials {
	c := ota.Credentials{Type: q.CredentialsType}
	switch q.CredentialsType {
	case ota.MQTTBasic:
		c.ClientID, c.UserName, c.Password = q.ClientID, q.UserName, q.Password
	case ota.X509Certificate:
		c.Certificate = q.Hash
		if hash, err := ota.HashOfPEM(q.Hash); err == nil {
			c.Certificate = hash
		}
	default:
		c.Token = q.Token
	}
	return c
}

// value is how a device is told its credentials.
func (q *provisionRequest) value(c ota.Credentials) any {
	switch c.Kind() {
	case ota.MQTTBasic:
		return basicValue{c.ClientID, c.UserName, c.Password}
	case ota.X509Certificate:
		if q.CredentialsType == ota.X509Certificate {
			return q.Hash
		}
		return c.Certificate
	case ota.LwM2M:
		return c.Endpoint
	}
	return c.Token
}

// Claim lets whoever knows the secret in a body, which may be empty, have the
// device for a while. It is Invalid where the body cannot be read.
func (p *Provisioner) Claim(ctx context.Context, device ota.Ref, body []byte) error {
	var q struct {
		Secret   string `json:"secretKey"`
		Duration int64  `json:"durationMs"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &q); err != nil || q.Duration < 0 {
			return ota.Errorf(ota.Invalid, "read claim", `want {"secretKey":"…","durationMs":60000}, or nothing: %v`, err)
		}
	}
	return p.wishes.Claim(ctx, device, q.Secret, time.Duration(min(q.Duration, int64(365*24*time.Hour/time.Millisecond)))*time.Millisecond)
}

// issued returns the device whose certificate was issued by one that a profile
// trusts and that stands in the chain, each signed by the next.
func (p *Provisioner) issued(ctx context.Context, chain []*x509.Certificate) (ota.Ref, error) {
	now := time.Now()
	for i, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			break
		}
		if i == 0 {
			continue
		}
		if chain[i-1].CheckSignatureFrom(c) != nil {
			break
		}
		ref, err := p.wishes.Issued(ctx, p.tenant, ota.CertificateHash(c.Raw), chain[0].Subject.CommonName, ota.CertificateHash(chain[0].Raw))
		if ota.CodeOf(err) != ota.NotFound {
			return ref, err
		}
	}
	return ota.Ref{}, errUnknown
}
