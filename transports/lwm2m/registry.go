package lwm2m

import (
	"crypto/rand"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// registry is who is registered: a device once at most.
type registry struct {
	mu sync.Mutex
	of map[ota.Ref]*session
	at map[string]*session // by location
}

func (r *registry) init() { r.of, r.at = map[ota.Ref]*session{}, map[string]*session{} }

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.of)
}

func (r *registry) all() (out []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.of {
		out = append(out, s)
	}
	return out
}

func (r *registry) device(ref ota.Ref) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[ref]
}

func (r *registry) location(loc string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[loc]
}

// put registers a session in the place of was; ok is false where somebody else
// has done so meanwhile, or where there is no room.
func (r *registry) put(s, was *session, limit int) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[s.ref] != was || was == nil && len(r.of) >= limit {
		return false
	}
	if was != nil {
		delete(r.at, was.location)
	}
	r.of[s.ref], r.at[s.location] = s, s
	return true
}

// remove takes a session out; false where it was not in.
func (r *registry) remove(s *session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[s.location] != s {
		return false
	}
	delete(r.at, s.location)
	if r.of[s.ref] == s {
		delete(r.of, s.ref)
	}
	return true
}

// newLocation is the last part of a registration's path, which nobody guesses:
// over plain UDP it is all that proves an update of the registration.
func newLocation() string { return rand.Text() }
