package chaintest

import (
	"context"
	"math"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// longestGap keeps reckoning within what a duration holds.
const longestGap = 366 * 24 * time.Hour

// bucketKey names a token bucket.
type bucketKey struct {
	tenant ota.TenantID
	name   string
}

// Take implements [ota.Rates], on the moved clock: a bucket is kept as the moment
// at which it is full again.
func (s *store) Take(_ context.Context, t ota.TenantID, name string, p ota.Pace, burst int) (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Every <= 0 {
		return 0, nil
	}
	if p.Count <= 0 {
		return 0, ota.Errorf(ota.Invalid, "take a token", "%d every %v is no pace", p.Count, p.Every)
	}
	gap := min(max(p.Every/time.Duration(p.Count), time.Microsecond), longestGap)
	holds := time.Duration(int64(gap) * min(max(int64(burst), 1), math.MaxInt64/8/int64(gap)))
	key := bucketKey{t, name}
	full := s.buckets[key]
	if most := s.now.Add(holds); full.After(most) {
		full = most
	}
	if full.Before(s.now) {
		full = s.now
	}
	if wait := full.Add(gap).Sub(s.now) - holds; wait > 0 {
		return wait, nil
	}
	s.buckets[key] = full.Add(gap)
	return 0, nil
}
