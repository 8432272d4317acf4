package engine

import (
	"hash/maphash"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// locks lets one turn at a time have a home, in the order in which they came.
// It is one lock for each home that somebody uses now, not a stripe: a turn may
// wait for a call, and must not hold up strangers.
type locks struct {
	seed   maphash.Seed
	shards [64]lockShard
}

type lockShard struct {
	mu   sync.Mutex
	held map[ota.Ref]*homeLock
	free []*homeLock
}

type homeLock struct {
	mu    sync.Mutex
	users int
}

func newLocks() *locks {
	l := &locks{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].held = map[ota.Ref]*homeLock{}
	}
	return l
}

// lock waits for the home and returns what gives it back.
func (l *locks) lock(r ota.Ref) (unlock func()) {
	s := &l.shards[maphash.String(l.seed, r.ID)%uint64(len(l.shards))]
	s.mu.Lock()
	h := s.held[r]
	if h == nil {
		h = s.take()
		s.held[r] = h
	}
	h.users++
	s.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		s.mu.Lock()
		if h.users--; h.users == 0 {
			delete(s.held, r)
			s.free = append(s.free, h)
		}
		s.mu.Unlock()
	}
}

func (s *lockShard) take() *homeLock {
	if n := len(s.free); n > 0 {
		h := s.free[n-1]
		s.free = s.free[:n-1]
		return h
	}
	return &homeLock{}
}
