package redis

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/windlass-ota/windlass/ota"
)

// memoryWarning is said at start, in the health report and on the page.
const memoryWarning = "neither redis-server nor valkey-server was found: everything is kept in memory and is lost when this process ends, and it is slow; " +
	"install one of them (apt-get install redis-server), or name a Redis with --redis"

// memory is a Redis within this process, which keeps nothing.
func memory() (*Server, error) {
	m := miniredis.NewMiniRedis()
	secret := ota.NewID()
	m.RequireAuth(secret) // it listens on a port that other users reach
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("start a store in memory: %w", err)
	}
	ended := make(chan struct{})
	var age sync.WaitGroup
	age.Go(func() { expire(m, ended) })
	end := sync.OnceValue(func() error {
		close(ended)
		age.Wait()
		m.Close()
		return nil
	})
	return &Server{url: "redis://:" + secret + "@" + m.Addr(), warning: memoryWarning, close: end}, nil
}

// expire lets keys run out, once a second. Miniredis would do so by itself
// (ClockTTL), but looks at every key for each command then.
func expire(m *miniredis.Miniredis, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ended:
			return
		case now := <-tick.C:
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}
