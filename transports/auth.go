package transports

import (
	"context"
	"crypto/x509"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxKey bounds the keys that are looked up, in bytes: the longest is that of a
// client id and a user name.
const maxKey = 600

// ErrTooMany refuses an address that has shown too many wrong credentials lately.
// It is Busy: the same words may be right a little later. Nothing was looked up.
var ErrTooMany error = ota.Errorf(ota.Busy, "authenticate", "too many wrong credentials from this address")

// Guard bounds how often one address may be wrong. Zero members mean the
// defaults: 100 at once, 10 a second.
type Guard struct {
	Burst int           // wrong credentials at once
	Every time.Duration // after which one more is forgiven
}

// Authenticator proves devices by their credentials, for all transports
// together. An address that keeps showing wrong ones is refused without a
// look-up, save for what was right not long ago: whoever shares an
// address with an attacker goes on.
type Authenticator struct {
	facts  ota.Facts
	issued func(context.Context, []*x509.Certificate) (ota.Ref, error) // nil: nobody is known by an issuer
	now    func() time.Time
	burst  time.Duration
	every  time.Duration
	seed   maphash.Seed
	mu     sync.Mutex
	wrong  map[netip.Prefix]time.Time // when all is forgiven
	known  map[uint64]struct{}        // hashes of what was right
	before map[uint64]struct{}        // the generation before that
}

// Both tables are bounded: the first forgets the forgiven, then any; of the
// second the older generation goes.
const (
	maxWrong = 1 << 16
	maxKnown = 1 << 17
)

// NewAuthenticator returns one that knows nobody yet.
func NewAuthenticator(facts ota.Facts, g Guard) *Authenticator {
	if g.Burst <= 0 {
		g.Burst = 100
	}
	if g.Every <= 0 {
		g.Every = 100 * time.Millisecond
	}
	return &Authenticator{
		facts: facts, now: time.Now, burst: time.Duration(g.Burst) * g.Every, every: g.Every, seed: maphash.MakeSeed(),
		wrong: map[netip.Prefix]time.Time{}, known: map[uint64]struct{}{},
	}
}

// Token returns the device with that access token. address is the remote one,
// with or without a port. An unknown token is [ota.NotFound], too many of them
// [ErrTooMany], a store that is away [ota.Busy].
func (a *Authenticator) Token(ctx context.Context, token, address string) (ota.Ref, error) {
	if strings.HasPrefix(token, "\x00") { // the keys of other credentials begin so
		token = ""
	}
	return a.byKey(ctx, token, address, nil)
}

// Basic returns the device that a client's name, its user name or both belong
// to, as ThingsBoard tries them: credentials of the client and its user
// together, of the user alone, of the client alone; a user name alone may be an
// access token, whatever the client is called. Errors are those of Token; a
// wrong password is NotFound.
func (a *Authenticator) Basic(ctx context.Context, clientID, userName, password, address string) (ota.Ref, error) {
	return a.byKeys(ctx, basicKeys(clientID, userName), password, address, func(c *ota.Credentials) bool { return c.Admits(password) })
}

// Certificate returns the device whose credentials name the first certificate
// of a chain, the device's own, or else one that another of the chain has issued
// it to and a profile trusts ([NewProvisioner]). That it holds the private key the TLS layer has
// seen; when the certificate is valid and by whom it was issued says nothing
// here: its hash does. Errors are those of Token.
func (a *Authenticator) Certificate(ctx context.Context, chain []*x509.Certificate, address string) (ota.Ref, error) {
	if len(chain) == 0 {
		return ota.Ref{}, ota.Errorf(ota.NotFound, "authenticate", "no certificate was shown")
	}
	hash := ota.CertificateHash(chain[0].Raw)
	if a.issued != nil && len(chain) > 1 && a.Allowed(address) {
		if _, err := a.facts.ByKey(ctx, ota.CertificateKey(hash)); ota.CodeOf(err) == ota.NotFound {
			if ref, err := a.issued(ctx, chain); ota.CodeOf(err) != ota.NotFound {
				return ref, err
			}
		}
	}
	return a.byKey(ctx, ota.CertificateKey(hash), address, nil)
}

// PSK returns the device with a pre-shared key's identity, and the key. Errors
// are those of Token. That the peer has the key is for the DTLS layer to see.
func (a *Authenticator) PSK(ctx context.Context, identity, address string) (ota.Ref, []byte, error) {
	var key []byte
	ref, err := a.byKey(ctx, ota.IdentityKey(identity), address, func(c *ota.Credentials) bool {
		key = slices.Clone(c.Key)
		return len(key) > 0
	})
	return ref, key, err
}

// Endpoint returns the device with an LwM2M endpoint name and its credentials,
// which say how such a client has to prove itself. Errors are those of Token.
func (a *Authenticator) Endpoint(ctx context.Context, endpoint, address string) (ota.Ref, ota.Credentials, error) {
	var out ota.Credentials
	ref, err := a.byKey(ctx, ota.EndpointKey(endpoint), address, func(c *ota.Credentials) bool {
		out = c.Clone()
		return true
	})
	return ref, out, err
}

// byKey is byKeys with one key and nothing secret beside it.
func (a *Authenticator) byKey(ctx context.Context, key, address string, right func(*ota.Credentials) bool) (ota.Ref, error) {
	return a.byKeys(ctx, []string{key}, "", address, right)
}

// byKeys returns the device with the first of some keys that there is and whose
// credentials right likes. The secret is what was shown beside the keys: that a
// key is well known excuses nobody who shows another secret with it.
func (a *Authenticator) byKeys(ctx context.Context, keys []string, secret, address string, right func(*ota.Credentials) bool) (ota.Ref, error) {
	asked := false
	for _, key := range keys {
		shown := key
		if secret != "" {
			shown += "\x00" + secret
		}
		hash := maphash.String(a.seed, shown)
		if !a.admit(address, hash) {
			continue
		}
		asked = true
		if key == "" || len(key) > maxKey {
			continue
		}
		ref, err := a.has(ctx, key, right)
		if err == nil {
			a.right(hash)
		}
		if ota.CodeOf(err) != ota.NotFound {
			return ref, err
		}
	}
	if !asked && len(keys) > 0 {
		return ota.Ref{}, ErrTooMany
	}
	a.fail(network(address))
	return ota.Ref{}, errUnknown
}

var errUnknown error = ota.Errorf(ota.NotFound, "authenticate", "no such credentials")

// has returns the device with a key if right likes its credentials.
func (a *Authenticator) has(ctx context.Context, key string, right func(*ota.Credentials) bool) (ota.Ref, error) {
	ref, err := a.facts.ByKey(ctx, key)
	if err != nil || right == nil {
		return ref, err
	}
	h, err := a.facts.Get(ctx, ref)
	switch {
	case err != nil:
		return ota.Ref{}, err
	case h.Device == nil || !h.Device.Credentials.Has(key) || !right(&h.Device.Credentials):
		return ota.Ref{}, errUnknown
	}
	return ref, nil
}

// basicKeys lists the keys that an MQTT client may be known by, the closest
// first.
func basicKeys(clientID, userName string) []string {
	var out []string
	if userName != "" {
		if clientID != "" {
			out = append(out, ota.BasicKey(clientID, userName))
		}
		if !strings.HasPrefix(userName, "\x00") {
			out = append(out, userName)
		}
		return append(out, ota.BasicKey("", userName))
	}
	if clientID != "" {
		out = append(out, ota.BasicKey(clientID, ""))
	}
	return out
}

// Allowed says whether an address has not been wrong too often.
func (a *Authenticator) Allowed(address string) bool { return a.admit(address, 0) }

// Failed notes that an address was wrong once more.
func (a *Authenticator) Failed(address string) { a.fail(network(address)) }

func (a *Authenticator) admit(address string, hash uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) == 0 {
		return true
	}
	until, ok := a.wrong[network(address)]
	if !ok || until.Sub(a.now()) <= a.burst-a.every {
		return true
	}
	if _, ok = a.known[hash]; !ok {
		_, ok = a.before[hash]
	}
	return ok
}

func (a *Authenticator) fail(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	until := a.wrong[from]
	if until.Before(now) {
		until = now
	}
	if _, ok := a.wrong[from]; !ok && len(a.wrong) >= maxWrong {
		a.forget(now)
	}
	a.wrong[from] = until.Add(a.every)
}

// forget makes room: the forgiven go first, then any one.
func (a *Authenticator) forget(now time.Time) {
	looked := 0
	for addr, until := range a.wrong {
		if !until.After(now) {
			delete(a.wrong, addr)
		}
		if looked++; looked == 64 { // so that a flood pays little for each
			break
		}
	}
	for addr := range a.wrong {
		if len(a.wrong) < maxWrong {
			break
		}
		delete(a.wrong, addr)
	}
}

func (a *Authenticator) right(hash uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.known[hash]; ok {
		return
	}
	if len(a.known) >= maxKnown {
		a.before, a.known = a.known, map[uint64]struct{}{}
	}
	a.known[hash] = struct{}{}
}

// network is who an address counts as: itself, or of IPv6 its /64, which is
// what one subscriber gets.
func network(address string) netip.Prefix {
	ap, err := netip.ParseAddrPort(address)
	addr := ap.Addr()
	if err != nil {
		if addr, err = netip.ParseAddr(address); err != nil {
			return netip.Prefix{} // what has no address shares one place
		}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
