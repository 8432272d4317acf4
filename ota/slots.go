package ota

import (
	"context"
	"time"
)

// HeldSlot is a slot that an update has taken: one of a number under a key.
type HeldSlot struct {
	Key string
	Num int // with device and kind it names the holder
}

// maxHeldSlots bounds the slots of one update.
const maxHeldSlots = 8

// SlotKnock asks for a slot.
type SlotKnock struct {
	Tenant TenantID
	Key    string
	Holder string // the same on a second try
	Max    int
	Lease  time.Duration // after which it is free again, whatever became of its holder
}

// Slots are leased places under keys, of which there are so many for all
// processes together. Taking twice, and freeing twice, is once.
type Slots interface {
	// TakeSlot takes a place under a key; false where all are taken.
	TakeSlot(ctx context.Context, k SlotKnock) (bool, error)
	// FreeSlot gives a place back before its lease ends.
	FreeSlot(ctx context.Context, t TenantID, key, holder string) error
}

// SlotHolder names who holds a slot.
func SlotHolder(d DeviceID, k Kind, num int) string { return permitName(d, num) + ":" + string(k) }

// HoldSlot notes that the update has taken a slot; it is an Invalid error where
// it has too many.
func (u *Update) HoldSlot(key string, num int) error {
	for _, s := range u.Slots {
		if s.Key == key {
			return nil
		}
	}
	if len(u.Slots) >= maxHeldSlots {
		return Errorf(Invalid, "take slot", "the update holds %d slots already", len(u.Slots))
	}
	u.Slots = append(u.Slots[:len(u.Slots):len(u.Slots)], HeldSlot{key, num})
	return nil
}

// HasSlot says whether the update holds a slot of a key.
func (u *Update) HasSlot(key string) bool {
	for _, s := range u.Slots {
		if s.Key == key {
			return true
		}
	}
	return false
}

// free gives the slots back of an update that is not under way any more.
func (x *teller) free(old, u *Update) {
	switch {
	case old != nil && (u == nil || old.ID != u.ID):
		x.freed(old.Slots)
	case u != nil && len(u.Slots) > 0 && (!u.Open() || u.State == Queued):
		x.freed(u.Slots)
		u.Slots = nil
	}
}

func (x *teller) freed(slots []HeldSlot) {
	for _, s := range slots {
		x.t.Tells++
		*x.out = append(*x.out, Outgoing{To: Ref{x.d.Tenant, SlotRef, s.Key}, Message: Message{
			Event: Tell, Tenant: x.d.Tenant, Device: x.d.ID, Home: Ref{x.d.Tenant, SlotRef, s.Key}, Kind: x.k, Key: SlotHolder(x.d.ID, x.k, s.Num),
		}})
	}
}
