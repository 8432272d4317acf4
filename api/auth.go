package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Authenticator says who bears a token. The time it takes must not tell how
// much of a wrong token was right.
type Authenticator func(token string) (who string, ok bool)

// AdminToken is the Authenticator of one token, whose bearer is "admin". An
// empty token lets nobody in.
func AdminToken(token string) Authenticator {
	want := sha256.Sum256([]byte(token))
	return func(got string) (string, bool) {
		sum := sha256.Sum256([]byte(got))
		return "admin", subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && token != ""
	}
}

type userKey struct{}

func withUser(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, userKey{}, who)
}

// user is who asks.
func user(ctx context.Context) string {
	who, _ := ctx.Value(userKey{}).(string)
	return who
}

// authenticate answers 401, or 429 to an address that has guessed too often,
// and then returns false.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (string, bool) {
	from := addressOf(r)
	if !s.fails.allowed(from) {
		w.Header().Set("Retry-After", "1")
		writeProblem(w, problem(http.StatusTooManyRequests, "too many wrong tokens from this address; try again in a second"))
		return "", false
	}
	token, ok := bearer(r)
	if ok {
		who, ok := s.Auth(token)
		if ok {
			return who, true
		}
		s.fails.count(from)
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="windlass"`)
	detail := "the token is wrong"
	if !ok {
		detail = `this needs the header "Authorization: Bearer TOKEN"`
	}
	writeProblem(w, problem(http.StatusUnauthorized, "%s", detail))
	return "", false
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// addressOf is whom failures are counted for: the address, of IPv6 the /64 that
// one household or machine usually has whole.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// The limit on wrong tokens from one address: so many at once, and one more in
// each interval.
const (
	failBurst    = 20
	failInterval = time.Second
	failMemory   = 10000 // addresses remembered
)

// failures counts wrong tokens by address. What an address has used up comes
// back with time, so only the moment at which it will all be back is kept.
type failures struct {
	now func() time.Time
	mu  sync.Mutex
	at  map[string]time.Time
}

func newFailures(now func() time.Time) *failures {
	return &failures{now: now, at: map[string]time.Time{}}
}

func (f *failures) allowed(address string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[address].Sub(f.now()) <= (failBurst-1)*failInterval
}

func (f *failures) count(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if len(f.at) >= failMemory {
		f.forget(now)
	}
	at := f.at[address]
	if at.Before(now) {
		at = now
	}
	f.at[address] = at.Add(failInterval)
}

// forget drops addresses that have nothing to answer for any more; where all
// still have, any of them, so that memory is bounded.
func (f *failures) forget(now time.Time) {
	for a, at := range f.at {
		if !at.After(now) {
			delete(f.at, a)
		}
	}
	for a := range f.at {
		if len(f.at) < failMemory {
			break
		}
		delete(f.at, a)
	}
}
