package engine

import (
	"context"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// touchEvery is how often what a device does without moving anything is written
// down: that it was heard, and how far it has read.
const (
	touchHeard  = ota.Online / 2
	touchServed = 5 * time.Second
)

// heard notices a word of a device: after a long silence it has connected, and
// now and then it is written down that it is there. moved says that home is old
// now.
func (e *Engine) heard(ctx context.Context, ref ota.Ref, home *ota.Home, m ota.Message) (moved bool, err error) {
	now := e.Homes.Now()
	quiet := now.Sub(home.Device.Heard)
	if quiet < touchHeard {
		return false, nil
	}
	say := ota.Message{Event: ota.Touch, Tenant: m.Tenant, Device: m.Device, Transport: m.Transport, Address: m.Address}
	if !home.Device.Online(now) {
		say.Event = ota.Connected
	}
	_, err = e.move(ctx, say, ref, func(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		if now.Sub(h.Device.Heard) < touchHeard { // another word was faster
			return job{skip: true}, nil
		}
		if m.Event == ota.Touch {
			h.Device.Hear(now)
			return job{}, nil
		}
		return e.plain(ctx, facts, h, m)
	})
	return true, err
}

// touch notes what the process noticed of a device without a chain.
func (e *Engine) touch(ctx context.Context, m ota.Message) error {
	_, err := e.move(ctx, m, ota.RefOf(m.Tenant, m.Device), func(_ context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		now := e.Homes.Now()
		h.Device.Hear(now)
		if u := h.Device.Track(m.Kind).Update; u.Open() && m.Bound == u.Package {
			u.Served, u.LastWord = max(u.Served, m.Size), now
		}
		return job{}, nil
	})
	return err
}

// served remembers how far each device has read, between two writes of it.
type served struct {
	mu   sync.Mutex
	next map[servedKey]time.Time
}

type servedKey struct {
	device ota.Ref
	kind   ota.Kind
}

func newServed() *served { return &served{next: map[servedKey]time.Time{}} }

// due says whether what was served should be written down now. The first piece
// only starts the clock: a download that is over in five seconds costs nothing.
func (s *served) due(k servedKey, now time.Time, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, known := s.next[k]
	switch {
	case last:
		delete(s.next, k)
		return false
	case !known:
		s.next[k] = now.Add(touchServed)
		return false
	case now.Before(next):
		return false
	}
	s.next[k] = now.Add(touchServed)
	if len(s.next) > 1<<16 {
		for k, at := range s.next {
			if now.Sub(at) > time.Minute {
				delete(s.next, k)
			}
		}
	}
	return true
}

// noteServed writes down, every five seconds at most, how far a device has read.
// It moves the stall clock; a failure to write it is no failure of the reading.
func (e *Engine) noteServed(ctx context.Context, ref ota.Ref, p *ota.Reply) {
	s := p.Section
	last := s.Off+s.Len >= s.Package.Size
	if !e.served.due(servedKey{ref, p.Kind}, e.Homes.Now(), last) {
		return
	}
	err := e.touch(ctx, ota.Message{Event: ota.Touch, Tenant: ref.Tenant, Device: ota.DeviceID(ref.ID), Kind: p.Kind, Bound: s.Package.ID, Size: s.Off + s.Len})
	if err != nil {
		e.Log.Warn("progress is not written", "device", ref.ID, "err", err)
	}
}
