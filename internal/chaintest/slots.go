package chaintest

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// slotKey names places under a key.
type slotKey struct {
	tenant ota.TenantID
	key    string
}

var _ ota.Slots = (*store)(nil)

// TakeSlot implements [ota.Slots].
func (s *store) TakeSlot(_ context.Context, k ota.SlotKnock) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doors.slots == nil {
		s.doors.slots = map[slotKey]map[string]time.Time{}
	}
	key := slotKey{k.Tenant, k.Key}
	held := s.doors.slots[key]
	if held == nil {
		held = map[string]time.Time{}
		s.doors.slots[key] = held
	}
	for h, until := range held {
		if !until.After(s.now) {
			delete(held, h)
		}
	}
	if _, has := held[k.Holder]; !has && len(held) >= k.Max {
		return false, nil
	}
	held[k.Holder] = s.now.Add(k.Lease)
	return true, nil
}

// FreeSlot implements [ota.Slots].
func (s *store) FreeSlot(_ context.Context, t ota.TenantID, key, holder string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.doors.slots[slotKey{t, key}], holder)
	return nil
}
