package redis

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// crc16 is the checksum that Redis Cluster makes slots of (CRC-16/XMODEM).
func crc16(s string) uint16 {
	var c uint16
	for i := range len(s) {
		c ^= uint16(s[i]) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
	}
	return c
}

func TestTagsLie64SlotsApart(t *testing.T) {
	if got := crc16("123456789"); got != 0x31c3 { // the check value of CRC-16/XMODEM
		t.Fatalf("crc16 is %#x", got)
	}
	for i := range ota.Shards {
		s := string(shardSlot(i))
		if got := int(crc16(s[1:len(s)-1]) % 16384); got != 64*i {
			t.Errorf("shard %d has tag %s in slot %d, want %d", i, s, got, 64*i)
		}
	}
}

func TestMembersComeBack(t *testing.T) {
	for _, k := range ota.Kinds() {
		if gotK, gotN, ok := parseWait(waitMember(k, 77)); gotK != k || gotN != 77 || !ok {
			t.Errorf("wait member of %s: %s %d %v", k, gotK, gotN, ok)
		}
	}
	for _, r := range []ota.RolloutID{"", ota.RolloutID(ota.NewID())} {
		if gotT, gotR, ok := parseWaits(waitsMember("main", r)); gotT != "main" || gotR != r || !ok {
			t.Errorf("waits member of %q: %s %q %v", r, gotT, gotR, ok)
		}
	}
	for _, key := range []string{"t:firmware", "e:12"} {
		if a, b, got, ok := parseDue(dueMember(deviceShort("main", 9), key)); a != "main" || b != "9" || got != key || !ok {
			t.Errorf("due member of a device: %q %q %q %v", a, b, got, ok)
		}
		if a, b, got, ok := parseDue(dueMember(nounShort(ota.JobRef, "x-1"), key)); a != "job" || b != "x-1" || got != key || !ok {
			t.Errorf("due member of a noun: %q %q %q %v", a, b, got, ok)
		}
	}
	for _, bad := range []string{"", "x", "outbox:abc.1"} {
		if _, _, _, ok := parseDue(bad); ok {
			t.Errorf("due member %q was taken", bad)
		}
	}
	for _, bad := range []string{"", "x1", "f", "fx"} {
		if _, _, ok := parseWait(bad); ok {
			t.Errorf("wait member %q was taken", bad)
		}
	}
}
