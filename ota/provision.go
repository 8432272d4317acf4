package ota

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"regexp"
	"time"
)

// ProvisionStrategy says which devices may make themselves known to a profile,
// in ThingsBoard's words.
type ProvisionStrategy string

// The strategies.
const (
	ProvisionNone  ProvisionStrategy = "DISABLED"
	ProvisionNew   ProvisionStrategy = "ALLOW_CREATE_NEW_DEVICES"
	ProvisionKnown ProvisionStrategy = "CHECK_PRE_PROVISIONED_DEVICES"
	ProvisionChain ProvisionStrategy = "X509_CERTIFICATE_CHAIN"
)

// Provisioning is how devices of a profile make themselves known.
type Provisioning struct {
	Strategy ProvisionStrategy `json:",omitempty"` // "" is DISABLED

	// What a device shows to be let in; unique in the tenant. Nothing logs Secret.
	Key    string `json:",omitempty"`
	Secret string `json:",omitempty"`

	// X509_CERTIFICATE_CHAIN: the hash of the certificate that issues those of
	// the devices; what finds a device's name in the common name of its own, by
	// the first group where there is one; whether a device that is not there is made.
	Certificate string `json:",omitempty"`
	Pattern     string `json:",omitempty"`
	Create      bool   `json:",omitempty"`
}

// maxPattern bounds an expression over names, in bytes.
const maxPattern = 255

// Check says what is wrong with p, with the JSON name of the member that it is
// about, or nil.
func (p *Provisioning) Check() (member string, err error) {
	bad := func(member, format string, args ...any) (string, error) {
		return member, Errorf(Invalid, "check provisioning", format, args...)
	}
	switch p.Strategy {
	case "", ProvisionNone:
	case ProvisionNew, ProvisionKnown:
		switch {
		case p.Key == "" || len(p.Key) > maxCredential:
			return bad("key", "devices show a key of 1 to %d bytes", maxCredential)
		case len(p.Secret) < minKey || len(p.Secret) > maxCredential:
			return bad("secret", "devices show a secret of %d to %d bytes", minKey, maxCredential)
		}
	case ProvisionChain:
		if c := (Credentials{Type: X509Certificate, Certificate: p.Certificate}); p.Certificate == "" {
			return bad("certificate", "%s has the certificate that issues those of the devices", ProvisionChain)
		} else if _, err := c.Check(); err != nil {
			return "certificate", err
		}
		if _, err := regexp.Compile(p.Pattern); err != nil || p.Pattern == "" || len(p.Pattern) > maxPattern {
			return bad("pattern", "%q is no regular expression (RE2) over the common name of a certificate: %v", p.Pattern, err)
		}
	default:
		return bad("strategy", "%q is none of DISABLED, ALLOW_CREATE_NEW_DEVICES, CHECK_PRE_PROVISIONED_DEVICES, X509_CERTIFICATE_CHAIN", p.Strategy)
	}
	return "", nil
}

// names lists what a profile is found by because of p, which is unique as its
// name is. No name that somebody gives begins with such a byte.
func (p *Provisioning) names() []string {
	switch p.Strategy {
	case ProvisionNew, ProvisionKnown:
		return []string{provisionName(p.Key)}
	case ProvisionChain:
		return []string{issuerName(p.Certificate)}
	}
	return nil
}

func provisionName(key string) string { return "\x00provision\x00" + key }
func issuerName(hash string) string   { return "\x00issuer\x00" + hash }

// ProvisionRequest is what a device says that wants to be known.
type ProvisionRequest struct {
	Device      string      // its name; "": one of chance
	Key, Secret string      // the profile's
	Credentials Credentials // zero: an access token of chance
}

// Provision makes a device known that shows a profile's key and secret, and
// returns its credentials: a new one, or one that was made before and has never
// asked. It is NotFound where no profile has that key and secret, Invalid where
// the credentials that it wishes for are wrong, and a Conflict in every other
// case: a device of that name exists, or does not, or has asked already, or
// another one has these credentials.
func (w Wishes) Provision(ctx context.Context, t TenantID, q ProvisionRequest) (Credentials, error) {
	const op = "provision"
	p, err := w.provisions(ctx, t, provisionName(q.Key))
	if err != nil {
		return Credentials{}, err
	}
	if p == nil || q.Key == "" || subtle.ConstantTimeCompare([]byte(p.Provision.Secret), []byte(q.Secret)) != 1 {
		return Credentials{}, Errorf(NotFound, op, "no profile has this key and secret")
	}
	if p.Provision.Strategy == ProvisionKnown {
		return w.provisionKnown(ctx, t, p, q.Device)
	}
	if q.Device == "" {
		q.Device = rand.Text()[:20]
	}
	if q.Credentials.IsZero() {
		q.Credentials = Credentials{Token: rand.Text()}
	}
	if _, err := q.Credentials.Check(); err != nil {
		return Credentials{}, err
	}
	if err := CheckName("device", q.Device); err != nil {
		return Credentials{}, err
	}
	_, made, err := w.create(ctx, t, Device{Name: q.Device, Profile: p.ID, Credentials: q.Credentials, Provisioned: w.Homes.Now()})
	if CodeOf(err) == Invalid || err == nil && !made {
		err = Errorf(Conflict, op, "there is a device %q, or one with these credentials, already", q.Device)
	}
	return q.Credentials, err
}

// provisions returns the profile with one of the names of its provisioning, or
// nil.
func (w Wishes) provisions(ctx context.Context, t TenantID, name string) (*Profile, error) {
	ref, err := w.Facts.Find(ctx, t, ProfileRef, name)
	if err == nil {
		var h *Home
		if h, err = w.Facts.Get(ctx, ref); err == nil && h.Profile != nil {
			for _, n := range h.Profile.Provision.names() {
				if n == name {
					return h.Profile, nil
				}
			}
			return nil, nil
		}
	}
	if CodeOf(err) == NotFound {
		return nil, nil
	}
	return nil, err
}

func (w Wishes) provisionKnown(ctx context.Context, t TenantID, p *Profile, name string) (Credentials, error) {
	const op = "provision"
	ref, err := w.Facts.Find(ctx, t, DeviceRef, name)
	if CodeOf(err) == NotFound {
		return Credentials{}, Errorf(Conflict, op, "there is no device %q that waits for it", name)
	}
	if err != nil {
		return Credentials{}, err
	}
	var out Credentials
	err = w.change(ctx, ref, func(d *Device) error {
		if d.Profile != p.ID || !d.Provisioned.IsZero() {
			return Errorf(Conflict, op, "device %q has asked already, or is of another profile", name)
		}
		d.Provisioned, out = w.Homes.Now(), d.Credentials.Clone()
		return nil
	})
	return out, err
}

// Issued returns the device that a certificate was issued to by the certificate
// with a hash, which a profile trusts to name its devices. commonName is the
// device's, hash that of its own certificate, which the device is known by from
// then on: it may have had another one before. NotFound where no profile trusts
// the issuer, the name does not fit, or the device is not to be made.
func (w Wishes) Issued(ctx context.Context, t TenantID, issuer, commonName, hash string) (Ref, error) {
	const op = "look up issuer"
	p, err := w.provisions(ctx, t, issuerName(issuer))
	if err != nil {
		return Ref{}, err
	}
	if p == nil {
		return Ref{}, Errorf(NotFound, op, "no profile trusts it")
	}
	name := namedBy(p.Provision.Pattern, commonName)
	if name == "" || CheckName("device", name) != nil {
		return Ref{}, Errorf(NotFound, op, "the common name %q does not fit profile %s", commonName, p.Name)
	}
	own := Credentials{Type: X509Certificate, Certificate: hash}
	ref, err := w.Facts.Find(ctx, t, DeviceRef, name)
	if CodeOf(err) == NotFound && p.Provision.Create {
		ref, _, err = w.create(ctx, t, Device{Name: name, Profile: p.ID, Credentials: own, Provisioned: w.Homes.Now()})
	}
	if err != nil {
		return Ref{}, err
	}
	return ref, w.change(ctx, ref, func(d *Device) error {
		if d.Profile != p.ID {
			return Errorf(NotFound, op, "device %q is not of profile %s", name, p.Name)
		}
		if d.Credentials.SameKeys(&own) {
			return errSame
		}
		d.Credentials = own
		return nil
	})
}

// namedBy finds a device's name in a common name.
func namedBy(pattern, commonName string) string {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return ""
	}
	switch m := re.FindStringSubmatch(commonName); len(m) {
	case 0:
		return ""
	case 1:
		return m[0]
	default:
		return m[1]
	}
}

// Claim is a device's word that whoever knows a secret may have it for a while.
type Claim struct {
	Secret string
	Until  time.Time
}

// The bounds of a claim.
const (
	defaultClaim = time.Minute
	maxClaim     = 24 * time.Hour
)

// Claim lets a device be claimed with a secret, "" for its name alone, for a
// while: 0 is a minute. A second claim takes the place of the first.
func (w Wishes) Claim(ctx context.Context, device Ref, secret string, during time.Duration) error {
	if during == 0 {
		during = defaultClaim
	}
	if len(secret) > maxCredential || during < 0 || during > maxClaim {
		return Errorf(Invalid, "claim device", "a secret has at most %d bytes, and a claim lasts up to %s", maxCredential, maxClaim)
	}
	return w.change(ctx, device, func(d *Device) error {
		d.Claim = Claim{Secret: secret, Until: w.Homes.Now().Add(during)}
		return nil
	})
}

// errSame says that nothing is to be written.
var errSame = Errorf(Conflict, "change device", "it is so already")

// change writes a device again until nobody else was faster.
func (w Wishes) change(ctx context.Context, device Ref, with func(*Device) error) error {
	for try := 1; ; try++ {
		h, err := w.Homes.Load(ctx, device)
		if err != nil {
			return err
		}
		was := h.Clone()
		switch err := with(h.Device); {
		case errors.Is(err, errSame):
			return nil
		case err != nil:
			return err
		}
		err = w.Homes.Commit(ctx, &Turn{ID: NewTurnID(), Was: was, Home: h})
		if CodeOf(err) != Conflict || try == maxTries {
			return err
		}
	}
}
