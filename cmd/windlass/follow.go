package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// look takes over what another process has made active, if it has, and does
// again a reload for which the store was away.
func (s *chainFolder) look(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.late {
		files, err := s.read()
		if err == nil {
			_, err = s.settle(ctx, files, cause{})
		}
		if s.late = ota.CodeOf(err) == ota.Busy; s.late {
			return err
		}
		s.note(err)
		return err
	}
	s.mu.Lock()
	mark, files := s.active.Mark, s.files
	s.mu.Unlock()
	is, err := s.store.ActiveChains(ctx, mark)
	if err != nil || is.Mark == mark && mark != "" {
		return err
	}
	changed, err := s.settle(ctx, files, cause{follow: true})
	if faults := s.note(err); faults != nil {
		s.mu.Lock()
		s.active.Mark = is.Mark // said once
		s.mu.Unlock()
		s.log.Error("chains that another process has made active have faults here; those that ran go on", "faults", faults)
		return nil
	}
	if len(changed) > 0 {
		s.log.Info("chains were made active by another process", "changed", changed)
	}
	return err
}

// lookEvery is how soon a process hears of what another one has made active.
const lookEvery = time.Second

// follow looks again and again, until ctx ends.
func (s *chainFolder) follow(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("what chains are active could not be read", "err", err)
		}
	}
}

// nameLost names the revisions that runs wait on and that this program cannot
// load: such runs become dead letters when they are due.
func (s *chainFolder) nameLost(ctx context.Context, library *engine.Library) error {
	needed, err := s.store.NeededChains(ctx)
	if err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(needed)) {
		if s.set().Revision(d) != nil {
			continue
		}
		if _, err := library.Chain(ctx, d); ota.CodeOf(err) == ota.NotFound || ota.CodeOf(err) == ota.Invalid {
			s.log.Error("runs wait on a revision of a chain that cannot be loaded; they become dead letters when they are due", "revision", d, "homes", needed[d], "err", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}
