package transports

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxToken bounds the access tokens that are looked up, in bytes.
const maxToken = 255

// ErrTooMany refuses an address that has shown too many wrong tokens lately.
// It is Busy: the same words may be right a little later. Nothing was looked up.
var ErrTooMany error = ota.Errorf(ota.Busy, "authenticate", "too many wrong tokens from this address")

// Guard bounds how often one address may be wrong. Zero members mean the
// defaults: 100 at once, 10 a second.
type Guard struct {
	Burst int           // wrong tokens at once
	Every time.Duration // after which one more is forgiven
}

// Authenticator proves devices by their access tokens, for all transports
// together. An address that keeps showing wrong tokens is refused without a
// look-up, save for tokens that were right not long ago: whoever shares an
// address with an attacker goes on.
type Authenticator struct {
	facts  ota.Facts
	now    func() time.Time
	burst  time.Duration
	every  time.Duration
	seed   maphash.Seed
	mu     sync.Mutex
	wrong  map[netip.Prefix]time.Time // when all is forgiven
	known  map[uint64]struct{}        // hashes of tokens that were right
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
	hash := maphash.String(a.seed, token)
	if !a.admit(address, hash) {
		return ota.Ref{}, ErrTooMany
	}
	if token == "" || len(token) > maxToken {
		a.fail(network(address))
		return ota.Ref{}, ota.Errorf(ota.NotFound, "authenticate", "no such token")
	}
	ref, err := a.facts.ByToken(ctx, token)
	switch {
	case err == nil:
		a.right(hash)
	case ota.CodeOf(err) == ota.NotFound:
		a.fail(network(address))
	}
	return ref, err
}

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
