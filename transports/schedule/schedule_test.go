package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner is an ota.Owner and the one home that a source loads, in memory, on the
// clock of the test.
type owner struct {
	ota.Homes

	mu        sync.Mutex
	due       []entry
	line      []ota.Task // offers, best places first
	flight    map[taskKey]bool
	owned     atomic.Int64
	draws     int
	moment    map[ota.TenantID]time.Time
	hint      chan struct{}
	advanced  []string
	spread    []string
	delivered []string
	released  bool
	job       *ota.Job
	advance   error
}

type entry struct {
	at   time.Time
	task ota.Task
}

func newOwner() *owner {
	return &owner{flight: map[taskKey]bool{}, moment: map[ota.TenantID]time.Time{}}
}

func (o *owner) Now() time.Time { return time.Now() }

func (o *owner) Load(_ context.Context, r ota.Ref) (*ota.Home, error) {
	if o.job == nil {
		return nil, ota.Errorf(ota.NotFound, "load", "no such job")
	}
	return &ota.Home{Ref: r, Job: o.job}, nil
}

func (o *owner) Own(context.Context) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owned.Add(1)
	return 256, nil
}

func (o *owner) Due(_ context.Context, limit int) (out []ota.Task, next time.Time, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.due {
		switch {
		case o.flight[keyOf(e.task)]:
		case e.at.After(time.Now()):
			if next.IsZero() || e.at.Before(next) {
				next = e.at
			}
		case len(out) < limit:
			o.flight[keyOf(e.task)] = true
			out = append(out, e.task)
		}
	}
	return out, next, nil
}

func (o *owner) Offers(_ context.Context, limit int) (out []ota.Task, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.line {
		if !o.flight[keyOf(t)] && len(out) < limit {
			o.flight[keyOf(t)] = true
			out = append(out, t)
		}
	}
	return out, nil
}

func (o *owner) Delivered(_ context.Context, t ota.Task) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delivered = append(o.delivered, t.Origin.Key)
	o.due = slices.DeleteFunc(o.due, func(e entry) bool { return e.task.Origin.Key == t.Origin.Key })
	return nil
}

func (o *owner) Done(t ota.Task) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flight, keyOf(t))
}

func (o *owner) Draw(_ context.Context, t ota.TenantID, name string, p ota.Pace) (time.Duration, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name != PaceName && name != "job:j" {
		return 0, ota.Errorf(ota.Invalid, "draw", "no pace %q", name)
	}
	o.draws++
	at := o.moment[t]
	if now := time.Now(); at.Before(now) {
		at = now
	}
	o.moment[t] = at.Add(p.Every / time.Duration(p.Count))
	return time.Until(at), nil
}

func (o *owner) Spread(_ context.Context, j *ota.Job) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spread = append(o.spread, j.ID)
	o.due = nil
	return nil
}

func (o *owner) Advance(_ context.Context, w ota.JobWork, l ota.Lease, done int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.advance; err != nil {
		o.advance = nil
		return err
	}
	o.advanced = append(o.advanced, fmt.Sprintf("%s/%d %s->%s %d token %d", w.Job, w.Shard, w.Cursor, w.Next, done, l.Token))
	if w.Failed > 0 {
		o.advanced[len(o.advanced)-1] += fmt.Sprintf(" failed %d", w.Failed)
	}
	o.due = slices.DeleteFunc(o.due, func(e entry) bool { return e.task.Page != nil && e.task.Page.Cursor == w.Cursor })
	return nil
}

func (o *owner) Hint() <-chan struct{} { return o.hint }

func (o *owner) Release(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released = true
	return nil
}

// gone removes what began m, as a turn's commit does.
func (o *owner) gone(m ota.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	is := func(t ota.Task) bool {
		return m.Began != nil && t.Origin.Key == m.Began.Key && t.Home.ID == string(m.Device)+m.Home.ID && t.Kind == m.Kind
	}
	o.due = slices.DeleteFunc(o.due, func(e entry) bool { return is(e.task) })
	o.line = slices.DeleteFunc(o.line, is)
}

func (o *owner) add(in time.Duration, tasks ...ota.Task) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range tasks {
		o.due = append(o.due, entry{time.Now().Add(in), t})
	}
}

func (o *owner) queue(t ota.Task) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line = append(o.line, t)
}

func timer(device, key string) ota.Task {
	return ota.Task{Home: ota.RefOf("main", ota.DeviceID(device)), Key: key, Origin: ota.Origin{Key: device + key, Lease: ota.Lease{Token: 7}}}
}

func offer(t ota.TenantID, device string) ota.Task {
	return ota.Task{Home: ota.RefOf(t, ota.DeviceID(device)), Kind: ota.Firmware, Origin: ota.Origin{Place: &ota.Place{Rollout: "r1", Kind: ota.Firmware, Device: ota.DeviceID(device)}}}
}

// diary is what was handed over, and when, counted from the start.
type diary struct {
	began time.Time
	mu    sync.Mutex
	lines []string
	now   map[ota.DeviceID]int
	most  int
	sum   int
}

func (d *diary) enter(m ota.Message) (double bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%v %s %s%s %s%s", time.Since(d.began), m.Event, m.Device, m.Home.ID, m.Key, m.Rollout))
	d.now[m.Device]++
	d.sum++
	d.most = max(d.most, d.sum)
	return d.now[m.Device] > 1
}

func (d *diary) leave(m ota.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now[m.Device]--
	d.sum--
}

// all returns a sorted copy of the lines.
func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(slices.Values(d.lines))
}

func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := d.all(); !slices.Equal(got, lines) {
		t.Errorf("handed over:\n%q\nwant:\n%q", got, lines)
	}
}

// serve runs a source until the test function returns.
func serve(t *testing.T, c Config, o *owner, handle transports.HandlerFunc, test func(d *diary, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &diary{began: time.Now(), now: map[ota.DeviceID]int{}}
		h := transports.HandlerFunc(func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
			if d.enter(m) {
				t.Errorf("two turns of %s at once", m.Device)
			}
			defer d.leave(m)
			replies, err := handle(ctx, m)
			if err == nil {
				o.gone(m)
			}
			return replies, err
		})
		o.hint = make(chan struct{}, 1) // of this bubble
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- New(c, Deps{Owner: o, Homes: o, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, h)
		}()
		var once sync.Once
		stop := func() {
			once.Do(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if !o.released {
					t.Error("leases were not given back")
				}
				if len(o.flight) != 0 {
					t.Errorf("still in flight: %v", o.flight)
				}
			})
		}
		test(d, stop)
		stop()
	})
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func fine(context.Context, ota.Message) ([]ota.Reply, error) { return nil, nil }

func TestDue(t *testing.T) {
	o := newOwner()
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		o.add(0, timer("d1", "t:firmware"))
		o.add(2500*time.Millisecond, timer("d2", "e:1"))
		o.add(time.Hour, timer("d3", "e:1"))
		o.add(0, ota.Task{Home: ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: "r1"}, Key: "r:4", Origin: ota.Origin{Key: "r1r:4"}})
		pass(10 * time.Second)
		d.want(t, "0s due d1 t:firmware", "0s due r1 r:4", "2.5s due d2 e:1")
		if n := o.owned.Load(); n < 10 {
			t.Errorf("leases were renewed %d times in 10 s", n)
		}
	})
}

func TestHintWakes(t *testing.T) {
	o := newOwner()
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		pass(300 * time.Millisecond)
		o.add(0, timer("d1", "e:1"))
		o.queue(offer("main", "d2"))
		o.hint <- struct{}{}
		pass(20 * time.Millisecond)
		d.want(t, "300ms due d1 e:1", "300ms offer_due d2 r1")
	})
}

// TestOneTurnOfAHome: of a device's tasks one runs at a time, and takes no
// worker from others meanwhile.
func TestOneTurnOfAHome(t *testing.T) {
	o := newOwner()
	slow := func(context.Context, ota.Message) ([]ota.Reply, error) {
		<-time.After(100 * time.Millisecond)
		return nil, nil
	}
	serve(t, Config{Workers: 2}, o, slow, func(d *diary, _ func()) {
		o.add(0, timer("d1", "a"), timer("d1", "b"), timer("d1", "c"), timer("d2", "a"))
		pass(time.Second)
		d.want(t, "0s due d1 a", "0s due d2 a", "100ms due d1 b", "200ms due d1 c")
	})
}

func TestWorkersAreBounded(t *testing.T) {
	o := newOwner()
	slow := func(context.Context, ota.Message) ([]ota.Reply, error) {
		<-time.After(10 * time.Millisecond)
		return nil, nil
	}
	serve(t, Config{Workers: 8}, o, slow, func(d *diary, _ func()) {
		for i := range 200 {
			o.add(0, timer(fmt.Sprint("d", i), "a"))
			o.queue(offer("main", fmt.Sprint("o", i)))
		}
		o.add(0, pageOf(0, "", 200))
		pass(2 * time.Second)
		if d.most > 8 || len(d.all()) != 600 {
			t.Errorf("%d turns at once, 8 at most; %d turns of 600", d.most, len(d.all()))
		}
	})
}

func TestBusyIsTriedAgainLater(t *testing.T) {
	for name, task := range map[string]ota.Task{"timer": timer("d1", "a"), "offer": offer("main", "d1")} {
		t.Run(name, func(t *testing.T) {
			o := newOwner()
			var tries atomic.Int64
			busy := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
				if m.Device == "d1" {
					if tries.Add(1) < 6 {
						return nil, ota.Errorf(ota.Busy, "step", "away")
					}
				}
				return nil, nil
			}
			serve(t, Config{Backoff: time.Second, MaxBackoff: 4 * time.Second}, o, busy, func(d *diary, _ func()) {
				if task.Origin.Place != nil {
					o.queue(task)
				} else {
					o.add(0, task)
				}
				o.add(5*time.Second, timer("d2", "a"))
				pass(3 * time.Second)
				if n := tries.Load(); n < 2 || n > 4 {
					t.Errorf("%d tries in 3 s", n)
				}
				pass(30 * time.Second)
				if n := tries.Load(); n != 6 || len(d.all()) != 7 {
					t.Errorf("%d tries; %q", n, d.all())
				}
			})
		})
	}
}

func TestPace(t *testing.T) {
	o := newOwner()
	serve(t, Config{Pace: ota.Pace{Count: 100, Every: time.Minute}}, o, fine, func(d *diary, stop func()) {
		o.queue(offer("acme", "a1"))
		for i := range 50 {
			o.queue(offer("main", fmt.Sprint("d", i)))
		}
		pass(12*time.Second + 100*time.Millisecond)
		at := map[string]bool{}
		for _, l := range d.all() {
			at[l] = true
		}
		for i := range 21 {
			if line := fmt.Sprintf("%v offer_due d%d r1", time.Duration(i)*600*time.Millisecond, i); !at[line] {
				t.Fatalf("no %q in %q", line, d.all())
			}
		}
		if len(d.all()) != 22 {
			t.Errorf("%d offers in 12 s, want 21 of one tenant and 1 of the other", len(d.all()))
		}
		stop()
		if n := len(o.line); n != 29 {
			t.Errorf("%d offers are left, want 29", n)
		}
	})
}

func TestFastPace(t *testing.T) {
	o := newOwner()
	serve(t, Config{Pace: ota.Pace{Count: 2000, Every: time.Second}}, o, fine, func(d *diary, _ func()) {
		for i := range 5000 {
			o.queue(offer("main", fmt.Sprint("d", i)))
		}
		pass(2 * time.Second)
		if n := len(d.all()); n < 3800 || n > 4010 {
			t.Errorf("%d offers in 2 s at 2000 a second", n)
		}
	})
}

func TestUnlimited(t *testing.T) {
	o := newOwner()
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		for i := range 5000 {
			o.queue(offer("main", fmt.Sprint("d", i)))
		}
		pass(time.Second + 20*time.Millisecond)
		if len(d.all()) != 5000 || o.draws != 0 {
			t.Errorf("%d offers, %d draws", len(d.all()), o.draws)
		}
	})
}

func pageOf(shard int, cursor string, members int) ota.Task {
	w := &ota.JobWork{Job: "j", Tenant: "main", Kind: ota.Firmware, Cause: "new", Revision: 3, Shard: shard, Cursor: cursor, Next: cursor + "x"}
	for i := range members {
		w.Members = append(w.Members, ota.RefOf("main", ota.DeviceID(fmt.Sprint("m", i))))
	}
	return ota.Task{Home: ota.Ref{Tenant: "main", Type: ota.JobRef, ID: "j"}, Page: w, Origin: ota.Origin{Lease: ota.Lease{Shard: shard, Token: 7}}}
}

func TestPageOfAJob(t *testing.T) {
	o := newOwner()
	decide := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.Decide || m.Kind != ota.Firmware || m.Cause != "new" || m.Revision != 3 || m.Began != nil || m.Tenant != "main" {
			t.Errorf("handed over %+v", m)
		}
		if m.Device == "m1" {
			return nil, ota.Errorf(ota.NotFound, "load", "it was deleted meanwhile")
		}
		return nil, nil
	}
	serve(t, Config{}, o, decide, func(d *diary, _ func()) {
		o.add(0, pageOf(5, "a", 100), pageOf(6, "b", 0))
		pass(time.Second)
		slices.Sort(o.advanced)
		if want := []string{"j/5 a->ax 100 token 7", "j/6 b->bx 0 token 7"}; !slices.Equal(o.advanced, want) || len(d.all()) != 100 {
			t.Errorf("advanced %q, want %q; %d turns", o.advanced, want, len(d.all()))
		}
	})
}

func TestPageThatFails(t *testing.T) {
	tests := []struct {
		name  string
		code  ota.Code
		heals int64 // after so many tries
		max   int64 // of tries
		goes  bool
	}{
		{"busy for a while", ota.Busy, 3, 3, true},
		{"busy for ever", ota.Busy, 1 << 30, 1 << 30, false},
		{"a fault of ours", ota.Internal, 1 << 30, maxPageTries + 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner()
			var tries atomic.Int64
			decide := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
				if m.Device == "m1" {
					if tries.Add(1) < tt.heals {
						return nil, ota.Errorf(tt.code, "step", "no")
					}
				}
				return nil, nil
			}
			serve(t, Config{}, o, decide, func(_ *diary, _ func()) {
				o.add(0, pageOf(5, "a", 3))
				pass(20 * time.Minute)
				if goes := len(o.advanced) == 1; goes != tt.goes || tries.Load() > tt.max || tries.Load() < 3 {
					t.Errorf("advanced %q after %d tries", o.advanced, tries.Load())
				}
			})
		})
	}
}

func TestPageOfALostShard(t *testing.T) {
	o := newOwner()
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		o.advance = ota.Errorf(ota.Conflict, "advance", "the lease is another's")
		o.add(0, pageOf(5, "a", 1))
		pass(time.Second)
		if len(o.advanced) != 1 { // it was handed out again, so it is ours again
			t.Errorf("advanced %q", o.advanced)
		}
	})
}

func TestJobIsSpread(t *testing.T) {
	o := newOwner()
	o.job = &ota.Job{ID: "j", State: ota.JobRunning}
	ref := ota.Ref{Tenant: "main", Type: ota.JobRef, ID: "j"}
	key := (&ota.Home{Ref: ref, Job: o.job}).Dues()[0].Key
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		o.add(0, ota.Task{Home: ref, Key: key})
		pass(time.Second)
		if !slices.Equal(o.spread, []string{"j"}) {
			t.Errorf("spread %q", o.spread)
		}
		d.want(t)
		o.mu.Lock()
		o.job = nil
		o.mu.Unlock()
		o.add(0, ota.Task{Home: ref, Key: key})
		pass(time.Second)
		if !slices.Equal(o.spread, []string{"j"}) {
			t.Errorf("a job that is gone was spread: %q", o.spread)
		}
	})
}

// TestDrain: what has begun ends, what has not is left in the store.
func TestDrain(t *testing.T) {
	o := newOwner()
	var ended int
	var mu sync.Mutex
	slow := func(ctx context.Context, _ ota.Message) ([]ota.Reply, error) {
		<-time.After(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		ended++
		return nil, ctx.Err()
	}
	serve(t, Config{Workers: 4}, o, slow, func(d *diary, stop func()) {
		for i := range 20 {
			o.add(0, timer(fmt.Sprint("d", i), "a"), timer("d0", fmt.Sprint("b", i)))
		}
		o.add(0, pageOf(1, "a", 100))
		pass(time.Second)
		stop()
		if began := len(d.all()); began != ended || began > 4 {
			t.Errorf("%d began, %d ended", began, ended)
		}
		if len(o.advanced) != 0 {
			t.Errorf("a page was ended that was not worked: %q", o.advanced)
		}
	})
}

// TestLeasesAreKept: however stuck the work is.
func TestLeasesAreKept(t *testing.T) {
	o := newOwner()
	stuck := func(context.Context, ota.Message) ([]ota.Reply, error) { <-time.After(time.Minute); return nil, nil }
	serve(t, Config{Workers: 1}, o, stuck, func(*diary, func()) {
		for i := range 5 {
			o.add(0, timer(fmt.Sprint("d", i), "a"))
		}
		pass(30 * time.Second)
		if n := o.owned.Load(); n < 29 {
			t.Errorf("leases were renewed %d times in 30 s", n)
		}
	})
}
