package redis

import (
	"context"
	"sync"
	"sync/atomic"
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
	c    redis.UniversalClient
	last atomic.Pointer[compared] // nil before the first try
	busy atomic.Bool
	wait sync.WaitGroup
}

// compared is a comparison of two clocks.
type compared struct {
	local time.Time // monotonic
	there time.Time // what Redis said then; zero before the first answer
}

// now is cut to milliseconds, as everything stored is.
func (k *clock) now() time.Time {
	last := k.last.Load()
	if last == nil || last.there.IsZero() && time.Since(last.local) > time.Second {
		_ = k.sync(context.Background())
		last = k.last.Load()
	}
	age := time.Since(last.local)
	if age > clockAge && k.busy.CompareAndSwap(false, true) {
		k.wait.Go(func() {
			defer k.busy.Store(false)
			_ = k.sync(context.Background())
		})
	}
	t := time.Now() // Redis has not answered yet: better than nothing
	if !last.there.IsZero() {
		t = last.there.Add(age)
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// sync compares with Redis's clock now.
func (k *clock) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := time.Now()
	there, err := k.c.Time(ctx).Result()
	if err != nil {
		k.last.Store(k.last.Load().shifted()) // do not ask again at once
		return fail("read redis's clock", err)
	}
	after := time.Now()
	k.last.Store(&compared{before.Add(after.Sub(before) / 2), there})
	return nil
}

// shifted moves a comparison to the present, by the local clock alone.
func (c *compared) shifted() *compared {
	now := time.Now()
	if c == nil || c.there.IsZero() {
		return &compared{local: now}
	}
	return &compared{now, c.there.Add(now.Sub(c.local))}
}
