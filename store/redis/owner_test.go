package redis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
)

// A pool whose server died looks for it once a second, also when it was closed
// meanwhile: that goroutine of the client's ends by itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// emptied is c without anything in it.
func emptied(t *testing.T, c redis.UniversalClient) redis.UniversalClient {
	t.Helper()
	flush := func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }
	var err error
	switch c := c.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(t.Context(), flush)
	case *redis.Client:
		err = flush(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// backends are the kinds of Redis that owners and buses must work on.
var backends = map[string]func(t testing.TB) redis.UniversalClient{
	"memory": func(t testing.TB) redis.UniversalClient {
		c, _ := redistest.Memory(t)
		return c
	},
	"server":  redistest.Single,
	"cluster": redistest.Cluster,
}

func TestOwners(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			storetest.Owners(t, func(t *testing.T) func(string) storetest.Process {
				emptied(t, c)
				return func(process string) storetest.Process {
					s := New(c)
					t.Cleanup(func() { s.Close() })
					o, err := NewOwner(s, process)
					if err != nil {
						t.Fatal(err)
					}
					return storetest.Process{Stored: s, Owner: o}
				}
			})
		})
	}
}

func newOwner(t testing.TB, c redis.UniversalClient, process string) (*Store, *Owner) {
	t.Helper()
	s := New(c)
	t.Cleanup(func() { s.Close() })
	o, err := NewOwner(s, process)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

// dueDevices stores n devices of a profile that have something due.
func dueDevices(t testing.TB, s *Store, n int, profile ota.ProfileID) {
	t.Helper()
	for i := range n {
		name := fmt.Sprint("d", i)
		id, err := s.NewDevice(context.Background(), "main", name)
		if err != nil {
			t.Fatal(err)
		}
		h := &ota.Home{Ref: ota.RefOf("main", id), Device: &ota.Device{ID: id, Tenant: "main", Name: name, Profile: profile}}
		h.Post(ota.Pending{At: s.Now(), Event: ota.Decide, Kind: ota.Firmware})
		if err := s.Commit(context.Background(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
	}
}

// A process that was stopped for longer than its leases last goes on where it
// was: with tasks in hand, and believing that the slots are its own.
func TestStoppedOwnerIsRefused(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			sa, a := newOwner(t, c, "a")
			_, b := newOwner(t, c, "b")
			dueDevices(t, sa, 20, "p")
			if n, err := a.Own(t.Context()); n != ota.Shards+1 || err != nil {
				t.Fatal(n, err)
			}
			tasks, _, err := a.Due(t.Context(), 10)
			if err != nil || len(tasks) != 10 {
				t.Fatal(len(tasks), err)
			}
			for s, h := range a.held { // ten seconds go by
				if err := c.Set(t.Context(), s.lease(), leaseHead(h.lease)+"1", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Del(t.Context(), processesKey).Err(); err != nil {
				t.Fatal(err)
			}
			if n, err := b.Own(t.Context()); n != ota.Shards+1 || err != nil {
				t.Fatalf("the other takes %d slots, %v", n, err)
			}
			more, _, err := a.Due(t.Context(), 20) // it wakes up in the middle of this
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range append(tasks, more...) {
				h, err := sa.Load(t.Context(), task.Home)
				if err != nil {
					t.Fatal(err)
				}
				was := h.Clone()
				h.Pending = nil
				err = sa.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: was, Home: h, Began: &task.Origin})
				if ota.CodeOf(err) != ota.Conflict {
					t.Fatalf("the stopped owner's commit gives %v", err)
				}
			}
			for _, h := range a.held {
				h.asked = h.asked.Add(-renewAfter)
			}
			if n, err := a.Own(t.Context()); n != 0 || err != nil {
				t.Errorf("after it has looked it has %d slots, %v", n, err)
			}
			if all, _, err := b.Due(t.Context(), 100); len(all) != 20 || err != nil {
				t.Errorf("the new owner has %d tasks, %v", len(all), err)
			}
		})
	}
}

// Without Redis an owner is Busy and holds nothing longer than its leases; when
// Redis is back it goes on.
func TestOwnerOutlivesRedis(t *testing.T) {
	server := redistest.StartServer(t, true, "--appendonly", "yes", "--appendfsync", "always")
	s, o := newOwner(t, server.Client(t), "a")
	dueDevices(t, s, 3, "p")
	if _, err := o.Own(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := o.Own(t.Context()); ota.CodeOf(err) != ota.Busy {
		t.Errorf("without Redis to own gives %v", err)
	}
	if _, _, err := o.Due(t.Context(), 10); ota.CodeOf(err) != ota.Busy {
		t.Errorf("without Redis what is due gives %v", err)
	}
	if _, err := o.Draw(t.Context(), "main", "offers", ota.Pace{Count: 1, Every: time.Second}); ota.CodeOf(err) != ota.Busy {
		t.Errorf("without Redis a pace gives %v", err)
	}
	for _, h := range o.held {
		h.asked = h.asked.Add(-leaseFor) // time goes by
	}
	if tasks, _, err := o.Due(t.Context(), 10); len(tasks) > 0 || err != nil {
		t.Errorf("with leases that may have run out it hands out %v, %v", tasks, err)
	}
	server.Start(t)
	eventually(t, "all three are handed out", func() bool {
		if _, err := o.Own(t.Context()); err != nil {
			return false
		}
		tasks, _, err := o.Due(t.Context(), 10)
		return err == nil && len(tasks) == 3
	})
}

// BenchmarkOffers reads the best 100 places of 20,000 devices in 256 lines.
func BenchmarkOffers(b *testing.B) {
	s, o := newOwner(b, redistest.Single(b), "a")
	ctx := b.Context()
	commit := func(h *ota.Home) {
		if err := s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			b.Fatal(err)
		}
	}
	r := ota.RolloutID(ota.NewID())
	commit(&ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: string(r)}, Rollout: &ota.Rollout{ID: r, Tenant: "main", State: ota.RolloutRunning, Quota: 1, Mark: 1}})
	var all sync.WaitGroup
	for part := range 20 {
		all.Go(func() {
			for i := range 1000 {
				name := fmt.Sprint("d", part, "-", i)
				id, err := s.NewDevice(ctx, "main", name)
				if err != nil {
					b.Error(err)
					return
				}
				d := &ota.Device{ID: id, Tenant: "main", Name: name, Profile: "p"}
				d.Firmware.Update = &ota.Update{ID: "1", Kind: ota.Firmware, State: ota.Queued, Rollout: r, Place: ota.Share(string(r), string(id))}
				if err := s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: &ota.Home{Ref: ota.RefOf("main", id), Device: d}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if _, err := o.Own(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		tasks, err := o.Offers(ctx, 100)
		if err != nil || len(tasks) != 100 {
			b.Fatal(len(tasks), err)
		}
		for _, h := range o.held {
			for _, l := range h.lines {
				clear(l.out)
			}
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "places/s")
}

func BenchmarkOwner(b *testing.B) {
	c := redistest.Single(b)
	s, o := newOwner(b, c, "a")
	dueDevices(b, s, 1000, "p")
	ctx := b.Context()
	if _, err := o.Own(ctx); err != nil {
		b.Fatal(err)
	}
	b.Run("renew all", func(b *testing.B) {
		for b.Loop() {
			for _, h := range o.held {
				h.asked = h.asked.Add(-renewAfter)
			}
			if _, err := o.Own(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look at all, hand out 100", func(b *testing.B) {
		for b.Loop() {
			for _, h := range o.held {
				h.looked = time.Time{}
				clear(h.due)
			}
			tasks, _, err := o.Due(ctx, 100)
			if err != nil || len(tasks) != 100 {
				b.Fatal(len(tasks), err)
			}
		}
	})
	b.Run("look at all, nothing free", func(b *testing.B) {
		if _, _, err := o.Due(ctx, 1000); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			for _, h := range o.held {
				h.looked = time.Time{}
			}
			if _, _, err := o.Due(ctx, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("draw", func(b *testing.B) {
		for b.Loop() {
			if _, err := o.Draw(ctx, "main", "offers", ota.Pace{Count: 100000, Every: time.Second}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page of a job, 4 members a shard", func(b *testing.B) {
		id := ota.NewID()
		job := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.JobRef, ID: id}, Job: &ota.Job{ID: id, Tenant: "main", Target: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "p"}, State: ota.JobRunning, Created: s.Now()}}
		if err := s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: job}); err != nil {
			b.Fatal(err)
		}
		if err := o.Spread(ctx, job.Job); err != nil {
			b.Fatal(err)
		}
		var h *held
		for _, h = range o.held {
			if h.lease.Shard >= 0 {
				break
			}
		}
		for b.Loop() {
			if err := o.page(ctx, entry{h: h, member: pageMember("main", id)}, &ota.Task{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
