package nodes

import (
	"math"
	"time"

	"github.com/windlass-ota/windlass/engine"
)

// backoff is waits that grow: first, first × factor, … up to longest.
type backoff struct {
	first   engine.Duration
	factor  engine.Number
	longest engine.Duration
	jitter  engine.Share
}

// wait is how long to wait before try number n, from 2. share, 0…1 and the same
// for the same try, chooses within the jitter, so that a turn that is run twice
// waits alike.
func (b backoff) wait(r *engine.Run, n int, share float64) (time.Duration, error) {
	first, err := b.first.Get(r)
	if err != nil {
		return 0, err
	}
	factor, err := b.factor.Get(r)
	if err != nil {
		return 0, err
	}
	longest, err := b.longest.Get(r)
	if err != nil {
		return 0, err
	}
	jitter, err := b.jitter.Get(r)
	if err != nil {
		return 0, err
	}
	wait := min(float64(first)*math.Pow(factor, float64(max(n-2, 0))), float64(longest))
	wait *= 1 + float64(jitter)*(2*share-1)
	return time.Duration(max(wait, 0)), nil
}
