package ota

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
)

// Identifiers are opaque text, UUIDs in the usual form (RFC 9562). A TenantID
// may also be a short word.
type (
	// TenantID names who owns everything below it.
	TenantID string
	// OwnerID names the tenant itself ("") or a customer below it.
	OwnerID string
	// DeviceID names a device and says in which shard its home lies.
	DeviceID string
	// ProfileID names a device profile.
	ProfileID string
	// GroupID names a device group.
	GroupID string
	// PackageID names a package.
	PackageID string
	// RolloutID names a rollout.
	RolloutID string
	// TurnID names one turn of one run, so that a commit sent twice counts once.
	TurnID string
)

// DefaultTenant is the one tenant of an installation that knows no others.
const DefaultTenant TenantID = "main"

// Shards is the number of parts that devices are spread over. It is fixed for
// the life of the data.
const Shards = 256

// NewID returns a random UUID (version 4).
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	return uuid(b)
}

// NewTurnID returns 16 random bytes as text; they are not printable.
func NewTurnID() TurnID {
	var b [16]byte
	rand.Read(b[:])
	return TurnID(b[:])
}

// NewDeviceID makes the id of the device with number num in shard: a UUID of
// version 8 whose first byte is the shard, the next five the number, and the
// rest random, so that a device is found by its id without an index and an id
// cannot be guessed from another. num must be below 1<<40.
func NewDeviceID(shard int, num uint64) DeviceID {
	var b [16]byte
	rand.Read(b[:])
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], num)
	b[0] = byte(shard)
	copy(b[1:6], n[3:])
	b[6] = b[6]&0x0f | 0x80
	return DeviceID(uuid(b))
}

// Place returns the shard of the device and its number there; ok is false
// where id is not one that [NewDeviceID] made.
func (id DeviceID) Place() (shard int, num uint64, ok bool) {
	b, ok := parseUUID(string(id))
	if !ok || b[6]>>4 != 8 {
		return 0, 0, false
	}
	var n [8]byte
	copy(n[3:], b[1:6])
	return int(b[0]), binary.BigEndian.Uint64(n[:]), true
}

func uuid(b [16]byte) string {
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

func parseUUID(s string) (b [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return b, false
	}
	hexDigits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(b[:], []byte(hexDigits)); err != nil {
		return b, false
	}
	return b, true
}

// RefType says what a home is the home of.
type RefType string

// The nouns that have a home.
const (
	DeviceRef   RefType = "device"
	ProfileRef  RefType = "profile"
	GroupRef    RefType = "group"
	PackageRef  RefType = "package"
	RolloutRef  RefType = "rollout"
	ScheduleRef RefType = "schedule"
	JobRef      RefType = "job"
	ApprovalRef RefType = "approval"
	InletRef    RefType = "inlet"

	// SlotRef stands for the slots under a key, which have no home.
	SlotRef RefType = "slot"
)

// Ref points at one home.
type Ref struct {
	Tenant TenantID
	Type   RefType
	ID     string
}

// String prints type and id.
func (r Ref) String() string { return string(r.Type) + " " + r.ID }

// RefOf points at the home of a device.
func RefOf(t TenantID, d DeviceID) Ref { return Ref{t, DeviceRef, string(d)} }
