package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// fleetOf stores n devices that follow a rollout, have something coming and are
// counted in everything.
func fleetOf(t *testing.T, s *Store, n int) []*ota.Home {
	t.Helper()
	all := make([]*ota.Home, n)
	for i := range all {
		h := sampleDevice(uint64(300 + i%2)) // two shards
		h.Device.ID = ota.NewDeviceID(7+i%2, uint64(i+1))
		h.Ref.ID = string(h.Device.ID)
		h.Device.Name, h.Device.Credentials.Token = fmt.Sprintf("device %d", i), fmt.Sprintf("token %d", i)
		h.Device.Firmware.Enqueue(&ota.Package{ID: ota.PackageID(ota.NewID()), Kind: ota.Firmware}, "2", h.Device.Firmware.Followed.Rollout, "", s.Now())
		if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
		all[i] = h
	}
	return all
}

// step is a turn that moves a device to its next state, into a line or out of
// it, with a time-out and a value.
func step(s *Store, h *ota.Home) (*ota.Home, *ota.Turn) {
	states := ota.States()
	next := h.Clone()
	u := next.Device.Firmware.Update
	for i, st := range states {
		if u.State == st {
			u.State = states[(i+1)%len(states)]
			break
		}
	}
	u.Entered = s.Now()
	return next, &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: next, Values: []ota.Value{{Scope: ota.ClientScope, Key: "state", JSON: []byte(`"x"`)}}}
}

func mustStep(t *testing.T, s *Store, h *ota.Home) *ota.Home {
	t.Helper()
	next, x := step(s, h)
	redistest.Eventually(t, func(ctx context.Context) error { // the pool believes a server dead for a second
		err := s.Commit(ctx, x)
		if ota.CodeOf(err) == ota.Busy {
			return err
		}
		if err != nil {
			t.Fatal(err)
		}
		return nil
	})
	return next
}

// ownAll makes an owner that has everything.
func ownAll(t *testing.T, s *Store) *Owner {
	t.Helper()
	o, err := NewOwner(s, "p"+ota.NewID()[:8])
	if err != nil {
		t.Fatal(err)
	}
	everything(t, o)
	t.Cleanup(func() { _ = o.Release(context.WithoutCancel(t.Context())) })
	return o
}

// everything waits until o owns all shards and the tenant.
func everything(t *testing.T, o *Owner) {
	t.Helper()
	redistest.Eventually(t, func(ctx context.Context) error {
		n, err := o.Own(ctx)
		if err == nil && n <= ota.Shards {
			err = fmt.Errorf("%d slots", n)
		}
		return err
	})
}

// lastTransaction is where the last one of a log begins and ends.
func lastTransaction(t *testing.T, log string) (from, to int64) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.LastIndex(b, []byte("*1\r\n$5\r\nMULTI\r\n"))
	if i < 0 || !bytes.HasSuffix(b, []byte("*1\r\n$4\r\nEXEC\r\n")) {
		t.Fatalf("the log ends with %q", b[max(0, len(b)-100):])
	}
	return int64(i), int64(len(b))
}

// A Redis that is not ours is killed in the middle of a turn, at many places of
// it, goes on, and is started once more: what follows from the homes is mended,
// and no turn that was acknowledged is lost.
func TestMendsWhatATornLogLeft(t *testing.T) {
	srv := redistest.StartServer(t, false, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, srv.Client(t))
	ctx := t.Context()
	homes := fleetOf(t, s, 6)
	o := ownAll(t, s)
	const cuts = 16
	differed := 0
	for i := range cuts {
		for j := range 3 {
			homes[j] = mustStep(t, s, homes[j])
		}
		mustStep(t, s, homes[0]) // the turn that is torn: nobody was told
		srv.Kill()
		log := srv.Log(t)
		from, to := lastTransaction(t, log)
		at := from + (to-from)*int64(i)/cuts + 1
		if err := os.Truncate(log, at); err != nil {
			t.Fatal(err)
		}
		srv.Start(t)
		if i%2 == 0 { // else the device is heard of no more
			homes[0] = mustStep(t, s, homes[0])
		}
		homes[1] = mustStep(t, s, homes[1])
		srv.Kill()
		srv.Start(t)
		everything(t, o)
		before, err := s.Check(ctx)
		if err != nil {
			t.Fatal(err)
		}
		m := mendAll(t, o)
		if len(m.Differences) != len(before.Differences) {
			t.Errorf("cut %d of %d: mended %v, want %v", at-from, to-from, m.Differences, before.Differences)
		}
		if before.Err() != nil {
			differed++
		}
		if n, err := s.Unsure(ctx); n != 0 || err != nil {
			t.Errorf("%d slots are to be recounted still, %v", n, err)
		}
		if r, err := s.Check(ctx); err != nil || r.Err() != nil || r.Homes != len(homes) {
			t.Fatalf("cut %d of %d: %d homes, %v, %v", at-from, to-from, r.Homes, r.Err(), err)
		}
		for j, h := range homes {
			got, err := s.Load(ctx, h.Ref)
			if err != nil || got.Version < h.Version || (got.Version > h.Version && (j != 0 || i != cuts-1)) {
				t.Fatalf("cut %d of %d, device %d: acknowledged %d, stored %+v, %v", at-from, to-from, j, h.Version, got, err)
			}
			homes[j] = got
		}
	}
	if differed < cuts/2 {
		t.Errorf("the log was torn %d times, and only %d times that did harm: the test tests nothing", cuts, differed)
	}
}

// A turn that changes nothing but its record is acknowledged behind a torn end,
// and Redis is killed before anything else is written: it is there.
func TestATurnBehindATornLogIsKept(t *testing.T) {
	srv := redistest.StartServer(t, false, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, srv.Client(t))
	homes := fleetOf(t, s, 1)
	for i := range 4 {
		homes[0] = mustStep(t, s, homes[0])
		mustStep(t, s, homes[0]) // torn
		srv.Kill()
		log := srv.Log(t)
		from, to := lastTransaction(t, log)
		if err := os.Truncate(log, from+(to-from)*int64(i+1)/5); err != nil {
			t.Fatal(err)
		}
		srv.Start(t)
		next := homes[0].Clone()
		next.Device.Updates++
		x := &ota.Turn{ID: ota.NewTurnID(), Was: homes[0].Clone(), Home: next}
		redistest.Eventually(t, func(ctx context.Context) error { return s.Commit(ctx, x) })
		srv.Kill()
		srv.Start(t)
		redistest.Eventually(t, func(ctx context.Context) error { return s.c.Ping(ctx).Err() })
		got, err := s.Load(t.Context(), next.Ref)
		if err != nil || got.Version != next.Version || got.LastTurn != x.ID {
			t.Fatalf("cut %d: acknowledged %d, stored %+v, %v", i, next.Version, got, err)
		}
		homes[0] = got
	}
}

// mendAll mends until nothing is left.
func mendAll(t *testing.T, o *Owner) (sum Mended) {
	t.Helper()
	redistest.Eventually(t, func(ctx context.Context) error {
		m, err := o.Mend(ctx)
		sum.Homes += m.Homes
		sum.Slots += m.Slots
		sum.Differences = append(sum.Differences, m.Differences...)
		sum.Trouble = append(sum.Trouble, m.Trouble...)
		if err == nil && m.Left > 0 {
			err = fmt.Errorf("%d left", m.Left)
		}
		return err
	})
	return sum
}

// spoil makes everything that is kept beside a device wrong.
func spoil(t *testing.T, s *Store, h *ota.Home) {
	t.Helper()
	ctx, c := t.Context(), s.c
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	f := &h.Device.Firmware
	line := at.part.wait(f.Followed.Rollout)
	for _, err := range []error{
		c.HIncrBy(ctx, at.part.count(), "f:QUEUED", 7).Err(),
		c.HSet(ctx, at.part.count(), "f:FAILED", -1).Err(),
		c.HIncrBy(ctx, at.part.rollout(f.Followed.Rollout), "f:QUEUED", -3).Err(),
		c.HSet(ctx, at.part.rollout("another"), "f:QUEUED", 3).Err(),
		c.SetBit(ctx, at.part.state(ota.Firmware, ota.Failed), 9, 1).Err(),
		c.SetBit(ctx, at.part.all(), int64(at.num), 0).Err(), //nolint:gosec // small
		c.ZRem(ctx, line, waitMember(ota.Firmware, at.num)).Err(),
		c.ZAdd(ctx, line, z(0.5, "f77")).Err(),
		c.SAdd(ctx, at.slot.waits(), "x/y").Err(),
		c.ZAdd(ctx, at.slot.due(), z(1, dueMember(at.short, "e:9"))).Err(),
		c.SAdd(ctx, at.part.assigned("q"), "5").Err(),
		c.Del(ctx, nameKey(h.Ref.Tenant, h.Device.Name)).Err(),
		c.Del(ctx, tokenKey(h.Device.Credentials.Token)).Err(),
		c.Del(ctx, at.slot.whole()).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is wrong is mended, while turns go on in the same shards, as many as
// a Redis carries if all its shards have as many.
func TestMendsWhileOthersCommit(t *testing.T) {
	for _, name := range []string{"server", "cluster"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, kinds[name](t))
			ctx := t.Context()
			homes := fleetOf(t, s, 600)
			o := ownAll(t, s)
			if m := mendAll(t, o); len(m.Differences) != 0 || m.Homes != len(homes) || m.Slots != ota.Shards+1 {
				t.Fatalf("before anything is wrong: %+v", m)
			}
			stop := make(chan struct{})
			var acked atomic.Int64
			var wait sync.WaitGroup
			defer wait.Wait()
			end := sync.OnceFunc(func() { close(stop) })
			defer end()
			for _, h := range homes[:4] {
				wait.Go(func() {
					tick := time.NewTicker(10 * time.Millisecond)
					defer tick.Stop()
					for ; ; <-tick.C {
						select {
						case <-stop:
							return
						default:
						}
						next, x := step(s, h)
						if err := s.Commit(ctx, x); err != nil {
							t.Error(err)
							return
						}
						h = next
						acked.Add(1)
					}
				})
			}
			for range 5 {
				spoil(t, s, homes[10])
				spoil(t, s, homes[11])
				o = ownAgain(t, o)
				from := acked.Load()
				m := mendAll(t, o)
				if len(m.Differences) < 20 || m.Slots != 2 || len(m.Trouble) > 0 {
					t.Errorf("%d slots, mended %q, trouble %q", m.Slots, m.Differences, m.Trouble)
				}
				t.Logf("%d turns meanwhile", acked.Load()-from)
			}
			end()
			wait.Wait()
			if r, err := s.Check(ctx); err != nil || r.Err() != nil || r.Homes != len(homes) {
				t.Errorf("%d homes, %v, %v", r.Homes, r.Err(), err)
			}
		})
	}
}

// ownAgain is another owner, that knows nothing of the slots.
func ownAgain(t *testing.T, o *Owner) *Owner {
	t.Helper()
	if err := o.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ownAll(t, open(t, o.s.c)) // an owner comes before its store is used
}

// A record that cannot be read may be a newer program's: what follows from it is
// not taken away.
func TestMendLeavesWhatItCannotRead(t *testing.T) {
	s := open(t, redistest.Single(t))
	ctx := t.Context()
	h := oneDevice(t, s)
	o := ownAll(t, s)
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.c.Append(ctx, at.key, "\xff\xff\xff").Err(); err != nil {
		t.Fatal(err)
	}
	m := mendAll(t, o)
	if len(m.Trouble) != 1 || len(m.Differences) != 0 {
		t.Errorf("trouble %q, mended %q", m.Trouble, m.Differences)
	}
	if n := s.c.HGet(ctx, at.part.count(), allField).Val(); n != "1" {
		t.Errorf("the device counts %q", n)
	}
	if n, err := s.Unsure(ctx); n != 1 || err != nil {
		t.Errorf("%d slots are unsure, %v", n, err)
	}
	if m, err := o.Mend(ctx); err != nil || m.Left+m.Slots != 0 {
		t.Errorf("at once again: %+v, %v", m, err)
	}
}

// Nor is that of one that a newer program writes while we recount.
func TestMendStopsAtWhatItCannotRead(t *testing.T) {
	s := open(t, redistest.Single(t))
	ctx := t.Context()
	h := oneDevice(t, s)
	o := ownAll(t, s)
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	life, err := s.lives(ctx)
	if err != nil {
		t.Fatal(err)
	}
	begun, err := o.beginMending(ctx, life)
	if err != nil {
		t.Fatal(err)
	}
	m := begun[at.slot]
	keys, err := s.keysOf(ctx, map[slot]*mending{at.slot: m})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.readAll(ctx, keys[at.slot]); err != nil {
		t.Fatal(err)
	}
	mustStep(t, s, h) // notes it on the list
	if err := s.c.Append(ctx, at.key, "\xff\xff\xff").Err(); err != nil {
		t.Fatal(err)
	}
	if err := m.page(ctx, []string{at.part.count(), at.part.all()}); !errors.Is(err, errTrouble) || len(m.mended) > 0 {
		t.Errorf("%v, mended %v", err, m.mended)
	}
}

// A mending that is taken over, or outlives its Redis, mends nothing more.
func TestMendingThatIsLost(t *testing.T) {
	s := open(t, redistest.Single(t))
	ctx := t.Context()
	h := oneDevice(t, s)
	o := ownAll(t, s)
	at, err := placeOf(h.Ref)
	if err != nil {
		t.Fatal(err)
	}
	life, err := s.lives(ctx)
	if err != nil || life == "" {
		t.Fatal(life, err)
	}
	begin := func() *mending {
		begun, err := o.beginMending(ctx, life)
		if err != nil || len(begun) != ota.Shards+1 {
			t.Fatalf("%d begun, %v", len(begun), err)
		}
		return begun[at.slot]
	}
	old := begin()
	spoil(t, s, h)
	keys, err := s.keysOf(ctx, map[slot]*mending{at.slot: old})
	if err != nil {
		t.Fatal(err)
	}
	begin()
	if err := old.run(ctx, keys[at.slot]); !errors.Is(err, errLost) || len(old.mended) > 0 {
		t.Errorf("taken over: %v, mended %v", err, old.mended)
	}
	last := begin()
	last.life = "another"
	if err := last.run(ctx, keys[at.slot]); !errors.Is(err, errLost) || len(last.mended) > 0 {
		t.Errorf("in another life: %v, mended %v", err, last.mended)
	}
}

func TestMendIsNothingInMemory(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	oneDevice(t, s)
	if m, err := ownAll(t, s).Mend(t.Context()); err != nil || m.Slots+m.Left != 0 {
		t.Errorf("%+v, %v", m, err)
	}
	if n, err := s.Unsure(t.Context()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
