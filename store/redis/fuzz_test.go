package redis

import (
	"strconv"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// What is read back from keys may be anything: an operator may have been there.
func FuzzReadBack(f *testing.F) {
	h := sampleDevice(7)
	at, err := placeOf(h.Ref)
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range claimsOf(at, h) {
		f.Add(c.note)
		f.Add(ending + c.note)
	}
	f.Add(holding(markReserved, h.Ref, string(ota.NewTurnID())))
	f.Add(dueMember(at.short, "t:firmware"))
	f.Add(waitMember(ota.Software, 12))
	f.Add("255.67108863")
	f.Add("1732446000000 {\"a\":1}")
	f.Fuzz(func(t *testing.T, s string) {
		if tenant, num, c, ok := claimOf(s); ok {
			if t2, n2, c2, ok2 := claimOf(c.note); !ok2 || t2 != tenant || n2 != num || c2 != c {
				t.Errorf("claim %q became %q", c, c2)
			}
		}
		if mark, r, ok := holder(s); ok && holding(mark, r, s[17:17+nonceSize]) != s {
			t.Errorf("holding %q became %q", s, holding(mark, r, s[17:17+nonceSize]))
		}
		if a, b, key, ok := parseDue(s); ok && dueMember(a+"/"+b, key) != s {
			t.Errorf("due %q", s)
		}
		if k, num, ok := parseWait(s); ok {
			if k2, n2, ok2 := parseWait(waitMember(k, num)); !ok2 || k2 != k || n2 != num {
				t.Errorf("wait %q", s)
			}
		}
		if shard, num, err := parseCursor(s); err == nil && (shard < 0 || shard >= ota.Shards || num >= maxNum) {
			t.Errorf("cursor %q is %d.%d", s, shard, num)
		}
		if v := unpackValue(ota.SharedScope, "k", s); len(v.JSON) > len(s) {
			t.Errorf("value %q", s)
		}
		for _, n := range setBits(s, 0) {
			if n >= uint64(len(s))*8 {
				t.Errorf("bit %d of %d bytes", n, len(s))
			}
		}
		_, _ = keyKind(s)
	})
}

// What is active is read back as it was written, and what nobody wrote is an
// error at most.
func FuzzActive(f *testing.F) {
	for _, v := range []string{"", "|", "a|b|1|file", "a||-1|x|y", "a|b|c|d", "a|b|99999999999999999999|d"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		a, err := parseActive("x", v)
		if err != nil {
			return
		}
		again, err := parseActive("x", a.Digest+"|"+a.File+"|"+strconv.FormatInt(a.At.UnixMilli(), 10)+"|"+a.By)
		if err != nil || again != a {
			t.Errorf("%q is %+v and then %+v, %v", v, a, again, err)
		}
	})
}
