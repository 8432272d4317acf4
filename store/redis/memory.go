package redis

import (
	"fmt"

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
	m.ClockTTL(true)
	return &Server{url: "redis://:" + secret + "@" + m.Addr(), warning: memoryWarning, close: func() error {
		m.Close()
		return nil
	}}, nil
}
