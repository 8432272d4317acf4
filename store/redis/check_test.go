package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// oneDevice stores a device that stands in a line, is assigned something by
// itself and has something coming.
func oneDevice(t *testing.T, s *Store) *ota.Home {
	t.Helper()
	h := sampleDevice(300)
	f := &h.Device.Firmware
	f.Enqueue(&ota.Package{ID: ota.PackageID(ota.NewID()), Kind: ota.Firmware}, "2", f.Followed.Rollout, "", s.Now())
	f.Assigned = &ota.Assignment{Package: "p"}
	h.Post(ota.Pending{At: s.Now().Add(time.Hour), Event: ota.Decide})
	if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
		t.Fatal(err)
	}
	return h
}

// A recount that finds nothing proves something only if it finds what is wrong.
func TestCheckFindsWhatDiffers(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	ctx := t.Context()
	h := oneDevice(t, s)
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(ctx); err != nil || r.Err() != nil || r.Homes != 1 {
		t.Fatalf("before: %+v, %v", r, err)
	}
	f := &h.Device.Firmware
	line, member := at.part.wait(f.Followed.Rollout), waitMember(ota.Firmware, at.num)
	for name, x := range map[string]struct {
		spoil, mend func() error
		says        string
	}{
		"counter":       {func() error { return c.HIncrBy(ctx, at.part.count(), "f:QUEUED", 1).Err() }, func() error { return c.HIncrBy(ctx, at.part.count(), "f:QUEUED", -1).Err() }, "f:QUEUED is 2, want 1"},
		"extra counter": {func() error { return c.HSet(ctx, at.part.count(), "f:FAILED", 1).Err() }, func() error { return c.HDel(ctx, at.part.count(), "f:FAILED").Err() }, "f:FAILED is 1, want none"},
		"rollout":       {func() error { return c.HIncrBy(ctx, at.part.rollout(f.Followed.Rollout), "f:QUEUED", 3).Err() }, func() error { return c.HIncrBy(ctx, at.part.rollout(f.Followed.Rollout), "f:QUEUED", -3).Err() }, "is 4, want 1"},
		"state bit":     {func() error { return c.SetBit(ctx, at.part.state(ota.Firmware, ota.Failed), 9, 1).Err() }, func() error { return c.Del(ctx, at.part.state(ota.Firmware, ota.Failed)).Err() }, "9 is , want none"},
		"lost bit":      {func() error { return c.SetBit(ctx, at.part.all(), int64(at.num), 0).Err() }, func() error { return c.SetBit(ctx, at.part.all(), int64(at.num), 1).Err() }, "is missing"},
		"line":          {func() error { return c.ZRem(ctx, line, member).Err() }, func() error { return c.ZAdd(ctx, line, z(f.Update.Place, member)).Err() }, "is missing"},
		"place":         {func() error { return c.ZAdd(ctx, line, z(0.5, member)).Err() }, func() error { return c.ZAdd(ctx, line, z(f.Update.Place, member)).Err() }, "is 0.5, want"},
		"waits":         {func() error { return c.SAdd(ctx, at.slot.waits(), "x/y").Err() }, func() error { return c.SRem(ctx, at.slot.waits(), "x/y").Err() }, "x/y is , want none"},
		"due":           {func() error { return c.ZAdd(ctx, at.slot.due(), z(1, dueMember(at.short, "e:9"))).Err() }, func() error { return c.ZRem(ctx, at.slot.due(), dueMember(at.short, "e:9")).Err() }, "e:9 is 1, want none"},
		"assigned":      {func() error { return c.SAdd(ctx, at.part.assigned("q"), "5").Err() }, func() error { return c.SRem(ctx, at.part.assigned("q"), "5").Err() }, "5 is , want none"},
		"needs":         {func() error { return c.HIncrBy(ctx, at.part.needs(), "d2", 1).Err() }, func() error { return c.HDel(ctx, at.part.needs(), "d2").Err() }, "d2 is 1, want none"},
		"name":          {func() error { return c.Rename(ctx, nameKey("main", h.Device.Name), nameKey("main", "x")).Err() }, func() error { return c.Rename(ctx, nameKey("main", "x"), nameKey("main", h.Device.Name)).Err() }, "is missing"},
		"record":        {func() error { return c.Rename(ctx, at.key, at.part.device(at.num+1)).Err() }, func() error { return c.Rename(ctx, at.part.device(at.num+1), at.key).Err() }, "it lies at"},
	} {
		if err := x.spoil(); err != nil {
			t.Fatal(err)
		}
		r, err := s.Check(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(r.Differences, "\n"), x.says) {
			t.Errorf("%s: %v; want it to say %q", name, r.Differences, x.says)
		}
		if err := x.mend(); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Check(ctx); err != nil || r.Err() != nil {
			t.Fatalf("%s, mended: %v, %v", name, r.Err(), err)
		}
	}
	// What is due for others follows from no home, and is no fault.
	if err := c.ZAdd(ctx, at.slot.due(), z(1, outboxMember("ab.0"))).Err(); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Check(ctx); err != nil || r.Err() != nil {
		t.Errorf("with an outbox: %v, %v", r.Err(), err)
	}
}

// A creation may die after each of its steps; the sweep ends what it left.
func TestSweepEndsWhatWasLeft(t *testing.T) {
	c, m := redistest.Memory(t)
	s := open(t, c)
	ctx := t.Context()
	start := s.Now()
	later := func(d time.Duration) {
		m.SetTime(start.Add(d))
		if err := s.SyncClock(ctx); err != nil {
			t.Fatal(err)
		}
	}
	later(0)
	h := sampleDevice(300)
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	nonce := string(ota.NewTurnID())
	claims := claimsOf(at, h)
	exists := func() (n int64) {
		t.Helper()
		for _, cl := range claims {
			n += c.Exists(ctx, cl.key).Val()
		}
		return n
	}

	// Before the commit.
	if err := s.reserve(ctx, at, h.Ref, nonce, claims); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx); err != nil || exists() != 2 {
		t.Fatalf("a young reservation: %d keys, %v", exists(), err)
	}
	_, err = s.Find(ctx, h.Ref.Tenant, ota.DeviceRef, h.Device.Name)
	if ota.CodeOf(err) != ota.NotFound {
		t.Errorf("a name that is only reserved: %v", err)
	}
	later(2 * time.Minute)
	if err := s.Sweep(ctx); err != nil || exists() != 0 || c.Exists(ctx, at.slot.claims()).Val() != 0 {
		t.Fatalf("an old reservation: %d keys, %v", exists(), err)
	}
	// The creator was only slow: its commit must not count on what was swept.
	slow := &ota.Turn{ID: ota.TurnID(nonce), Home: h}
	p, err := s.prepare(ctx, slow)
	if err != nil {
		t.Fatal(err)
	}
	if said, _, err := s.run(ctx, p); said != saidClaim || err != nil {
		t.Fatalf("a commit after the sweep: %s, %v", said, err)
	}

	// After the commit, before the confirmation.
	if err := s.reserve(ctx, at, h.Ref, nonce, claims); err != nil {
		t.Fatal(err)
	}
	if said, _, err := s.run(ctx, p); said != saidWritten || err != nil {
		t.Fatalf("commit: %s, %v", said, err)
	}
	if r, err := s.Find(ctx, h.Ref.Tenant, ota.DeviceRef, h.Device.Name); err != nil || r != h.Ref {
		t.Errorf("a name that is not confirmed yet: %s, %v", r, err)
	}
	later(4 * time.Minute)
	if err := s.Sweep(ctx); err != nil || c.Exists(ctx, at.slot.claims()).Val() != 0 {
		t.Fatal(err)
	}
	for _, cl := range claims {
		if v := c.Get(ctx, cl.key).Val(); v == "" || v[0] != markConfirmed {
			t.Errorf("%s is %q", cl.key, v)
		}
	}

	// After the commit of a new name, before the old one is freed.
	h, err = s.Load(ctx, h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	rename := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h}
	h.Device.Name = "new name"
	if p, err = s.prepare(ctx, rename); err != nil {
		t.Fatal(err)
	}
	if err := s.reserve(ctx, at, h.Ref, string(rename.ID), p.added); err != nil {
		t.Fatal(err)
	}
	if said, _, err := s.run(ctx, p); said != saidWritten || err != nil {
		t.Fatalf("rename: %s, %v", said, err)
	}
	later(6 * time.Minute)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if c.Exists(ctx, claims[0].key).Val() != 0 || c.Exists(ctx, at.slot.claims()).Val() != 0 {
		t.Error("the old name is still taken")
	}
	if r, err := s.Check(ctx); err != nil || r.Err() != nil {
		t.Errorf("%v, %v", r.Err(), err)
	}
}

// A creation that died is in nobody's way for longer than a minute, sweep or
// none.
func TestAbandonedNameIsTakenOver(t *testing.T) {
	c, m := redistest.Memory(t)
	s := open(t, c)
	ctx := t.Context()
	dead, alive := sampleDevice(300), sampleDevice(301)
	alive.Device.Name = dead.Device.Name
	at, err := placeOf(dead.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.reserve(ctx, at, dead.Ref, string(ota.NewTurnID()), claimsOf(at, dead)); err != nil {
		t.Fatal(err)
	}
	create := func() error {
		return s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: alive})
	}
	if err := create(); ota.CodeOf(err) != ota.Invalid {
		t.Fatalf("while it may live: %v", err)
	}
	m.SetTime(time.Now().Add(2 * time.Minute))
	if err := s.SyncClock(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	if err := create(); err != nil {
		t.Fatalf("after it has died: %v", err)
	}
}

// So is a name whose device was deleted by somebody who died then.
func TestNameOfTheDeletedIsTakenOver(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	ctx := t.Context()
	dead, alive := oneDevice(t, s), sampleDevice(301)
	alive.Device.Name, alive.Device.Credentials.Token = dead.Device.Name, dead.Device.Credentials.Token
	create := func() error { return s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: alive}) }
	if err := create(); ota.CodeOf(err) != ota.Invalid {
		t.Fatalf("while it lives: %v", err)
	}
	p, err := s.prepare(ctx, &ota.Turn{ID: ota.NewTurnID(), Was: dead.Clone(), Home: dead, Delete: true})
	if err != nil {
		t.Fatal(err)
	}
	if said, _, err := s.run(ctx, p); said != saidWritten || err != nil {
		t.Fatalf("delete: %s, %v", said, err)
	}
	if err := create(); err != nil {
		t.Fatalf("after it has died: %v", err)
	}
	if r, err := s.Check(ctx); err != nil || r.Err() != nil {
		t.Errorf("%v, %v", r.Err(), err)
	}
}

// An index is read in chunks; numbers on both sides of an edge must be listed.
func TestListCrossesChunks(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	const edge = bitsChunk * 8
	var want, got []string
	for i, p := range []at{{0, 1}, {3, 7}, {3, edge - 1}, {3, edge}, {3, edge + 1}, {3, 5*edge + 3}, {4, 1}, {40, edge}, {255, 3 * edge}} {
		h := sampleDevice(0)
		h.Device.ID = ota.NewDeviceID(p.shard, p.num)
		h.Ref.ID, h.Device.Name, h.Device.Credentials.Token = string(h.Device.ID), strconv.Itoa(i), strconv.Itoa(i)
		if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
		want = append(want, h.Device.Name)
	}
	for _, limit := range []int{1, 2, 4, 100} {
		got = got[:0]
		for q := (ota.Query{Tenant: "main", Type: ota.DeviceRef, Limit: limit}); ; {
			page, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range page.Homes {
				got = append(got, h.Device.Name)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %v, want %v", limit, got, want)
		}
	}
}

func TestDroppedLettersAreCounted(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	h := oneDevice(t, s)
	for i := range maxDead + 7 {
		x := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Dead: &ota.DeadLetter{ID: strconv.Itoa(i)}}
		if err := s.Commit(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.DroppedLetters(t.Context(), "main"); err != nil || n != 7 {
		t.Errorf("%d dropped, %v, want 7", n, err)
	}
	if all, err := s.DeadLetters(t.Context(), "main", 1000); err != nil || len(all) != maxDead {
		t.Errorf("%d kept, %v, want %d", len(all), err, maxDead)
	}
}

func z(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }
