package main

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/store/redis"
)

// mendEvery is how often it is looked whether Redis was started again.
const mendEvery = time.Second

// mend recounts what follows from the homes whenever Redis was started: a Redis
// that was killed while it wrote may hold half of a turn.
func (s *server) mend(ctx context.Context) error {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for failing := false; ; {
		m, err := s.house.owner.Mend(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			s.log.Warn("counters and indexes are not recounted yet", "err", err)
		}
		failing = err != nil
		s.logMended(m)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *server) logMended(m redis.Mended) {
	for _, t := range m.Trouble {
		s.log.Error("a record cannot be read, and nothing of its shard is mended", "record", t)
	}
	switch n := len(m.Differences) + m.More; {
	case n > 0:
		s.log.Warn("counters and indexes were mended after a start of redis", "mended", n, "shards", m.Slots, "left", m.Left, "homes", m.Homes,
			"redis", m.Life, "first", m.Differences[:min(5, len(m.Differences))])
	case m.Slots+m.Left > 0:
		s.log.Debug("counters and indexes were recounted after a start of redis", "shards", m.Slots, "left", m.Left, "homes", m.Homes, "redis", m.Life)
	}
}
