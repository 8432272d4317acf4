package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// clockAge is how old a comparison with Redis's clock may get. Two quartz
// clocks part by less than a millisecond in that time.
const clockAge = 10 * time.Second

// clock tells the time of Redis, so that all processes mean the same moment
// whatever their machines believe. It runs on this machine's monotonic clock
// between comparisons; a jump of its wall clock moves nothing.
type clock struct {
	c redis.UniversalClient

	mu    sync.Mutex
	local time.Time // monotonic
	there time.Time // what Redis said then; zero before the first answer
	busy  bool
	wait  sync.WaitGroup
}

// now is cut to milliseconds, as everything stored is.
func (k *clock) now() time.Time {
	k.mu.Lock()
	age := time.Since(k.local)
	old := age > clockAge
	if k.there.IsZero() && age > time.Second {
		k.mu.Unlock()
		_ = k.sync(context.Background())
		k.mu.Lock()
	} else if old && !k.busy {
		k.busy = true
		k.wait.Go(func() {
			_ = k.sync(context.Background())
			k.mu.Lock()
			k.busy = false
			k.mu.Unlock()
		})
	}
	t := time.Now() // Redis has not answered yet: better than nothing
	if !k.there.IsZero() {
		t = k.there.Add(time.Since(k.local))
	}
	k.mu.Unlock()
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// sync compares with Redis's clock now.
func (k *clock) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := time.Now()
	there, err := k.c.Time(ctx).Result()
	if err != nil {
		k.mu.Lock()
		k.local, k.there = shift(k.local, k.there) // do not ask again at once
		k.mu.Unlock()
		return fail("read redis's clock", err)
	}
	after := time.Now()
	k.mu.Lock()
	k.local, k.there = before.Add(after.Sub(before)/2), there
	k.mu.Unlock()
	return nil
}

// shift moves a comparison to the present, by the local clock alone.
func shift(local, there time.Time) (time.Time, time.Time) {
	now := time.Now()
	if there.IsZero() {
		return now, there
	}
	return now, there.Add(now.Sub(local))
}
