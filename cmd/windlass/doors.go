package main

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// use makes other chains answer, and opens their doors.
func (s *server) use(set *engine.Set) {
	s.engine.Use(set)
	s.ways.Use(set.Doors())
	select {
	case s.arming <- struct{}{}:
	default:
	}
}

// armAgain is how long is waited where a schedule could not be written down.
const armAgain = 2 * time.Second

// arm writes down the next times of the schedules of the chains in use, as often
// as other chains are.
func (s *server) arm(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.arming:
		case <-again:
		}
		again = nil
		if err := s.engine.Arm(ctx, ota.DefaultTenant); err != nil && ctx.Err() == nil {
			s.log.Warn("the schedules of chains are not due yet", "err", err)
			again = time.After(armAgain)
		}
	}
}

// Publish implements [engine.Publisher].
func (s *server) Publish(w ota.BrokerWord) {
	s.bridge.Publish(w)
}
