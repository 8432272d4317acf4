package chaintest

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// doors of rollouts in memory, and what is on its way to them: the outboxes of
// all homes, as one.
type doors struct {
	books map[ota.Ref]*ota.Book
	out   []ota.Outgoing
	rings []ota.Ref // whose conductor has something to see
	slots map[slotKey]map[string]time.Time
	moved func() // room may have come free
}

func (d *doors) book(r ota.Ref) *ota.Book {
	if d.books == nil {
		d.books = map[ota.Ref]*ota.Book{}
	}
	if d.books[r] == nil {
		d.books[r] = &ota.Book{}
	}
	return d.books[r]
}

// door is that of a rollout now; ok is false where it takes no permits or is gone.
func (s *store) door(r ota.Ref) (ota.Door, bool) {
	h := s.homes[r]
	if h == nil || h.Rollout == nil {
		return ota.Door{}, false
	}
	return h.Rollout.Door()
}

// Admit implements [ota.Doors].
func (s *store) Admit(_ context.Context, k ota.Knock) (ota.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.door(k.Rollout)
	if !ok {
		return ota.Answer{Held: ota.HeldGone}, nil
	}
	return s.doors.book(k.Rollout).Admit(d, k, s.now), nil
}

// Tell implements [ota.Doors].
func (s *store) Tell(_ context.Context, r ota.Ref, from ota.DeviceID, t ota.Told) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, _ := s.door(r)
	if s.doors.book(r).Tell(d, from, t) {
		s.doors.rings = append(s.doors.rings, r)
	}
	s.doors.moved()
	return nil
}

// Tally implements [ota.Doors].
func (s *store) Tally(_ context.Context, r ota.Ref) (ota.Tally, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doors.book(r).Now(s.now), nil
}

// room is how many devices a rollout would let in now; below 0: any number.
func (s *store) room(r ota.Ref) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.door(r)
	if !ok {
		return -1
	}
	return d.Room(s.doors.book(r).Now(s.now))
}

// posted takes the next message on its way to another home.
func (s *store) posted() (ota.Outgoing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doors.out) == 0 {
		return ota.Outgoing{}, false
	}
	o := s.doors.out[0]
	s.doors.out = s.doors.out[1:]
	return o, true
}

// rung takes the next rollout whose conductor has something to see: its door says
// so, or its members have changed.
func (s *store) rung() (ota.Ref, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.doors.rings); n > 0 {
		r := s.doors.rings[0]
		s.doors.rings = s.doors.rings[1:]
		return r, true
	}
	for _, r := range s.rollouts {
		h := s.homes[r]
		if h == nil || h.Rollout.State != ota.RolloutRunning {
			continue
		}
		job := s.homes[ota.Ref{Tenant: r.Tenant, Type: ota.JobRef, ID: h.Rollout.Job}]
		gathered := job == nil || job.Job.State != ota.JobRunning
		if h.Rollout.Stale(s.members(h.Rollout), s.doors.book(r).Now(s.now), gathered) {
			return r, true
		}
	}
	return ota.Ref{}, false
}

// members counts those of a rollout.
func (s *store) members(r *ota.Rollout) ota.RolloutCounts {
	all := map[ota.State]int64{}
	for _, st := range ota.Stands() {
		if n := s.counts[countKey{r.Tenant, r.Kind, r.ID, st}]; n != 0 {
			all[st] = n
		}
	}
	c := ota.CountsOf(all)
	if mark, ok := r.Band(); ok {
		c.Ahead = s.ahead(r.Tenant, r.ID, mark)
	}
	return c
}

// deliver brings a message to another home.
func (w *world) deliver(o ota.Outgoing) {
	if _, err := w.eng.Handle(w.ctx, o.Message); err != nil {
		w.note(string(o.Message.Event) + ": " + err.Error())
	}
	w.eng.Wait()
}

// ring lets the conductor of a rollout look.
func (w *world) ring(r ota.Ref) {
	w.deliver(ota.Outgoing{To: r, Message: ota.Message{Event: ota.Due, Tenant: r.Tenant, Home: r, Key: ota.DoorKey}})
}

var _ ota.Doors = (*store)(nil)

// plan works out the stages of a conductor.
func (w *world) plan(chain string, args map[string]string) ([]ota.Stage, string, error) {
	return w.eng.Plan(w.ctx, chain, args)
}
