// Package schedule is the clock as a source of messages: what is due in the
// slots that this process owns (time-outs, parked runs, pages of jobs, offers
// whose turn has come) enters by the same door as a device's words.
//
// It keeps nothing that must survive: what is due lies in the store, and each
// turn's commit removes what began it. It decides nothing either; that is for
// the chains. It bounds how much goes on at once, keeps the pace of offers, and
// waits before it tries again what did not work.
package schedule

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// PaceName is the pace that all offers of a tenant share.
const PaceName = "offers"

// Config says how much goes on at once. The zero value of each member means its
// default, save for Pace, where it means unlimited.
type Config struct {
	Pace       ota.Pace      // of the offers of one tenant, over all processes
	Workers    int           // turns at once; default 64
	Batch      int           // tasks fetched at once; default 512
	Tick       time.Duration // how often leases are renewed and the store is asked; default 1 s
	Backoff    time.Duration // before what failed is tried again, doubled each time; default 500 ms
	MaxBackoff time.Duration // default 1 minute
	Drain      time.Duration // to give leases back at the end; default 5 s
}

func (c Config) filled() Config {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Tick, time.Second}, {&c.Backoff, 500 * time.Millisecond}, {&c.MaxBackoff, time.Minute}, {&c.Drain, 5 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Workers <= 0 {
		c.Workers = 64
	}
	if c.Batch <= 0 {
		c.Batch = 512
	}
	return c
}

// Deps is what the source works with; all are required.
type Deps struct {
	Owner ota.Owner
	Homes ota.Homes // to read a job that is not in every shard yet
	Log   *slog.Logger
}

// Source hands over what is due.
type Source struct {
	c Config
	d Deps
}

var _ transports.Source = (*Source)(nil)

// New returns a source that does nothing yet.
func New(c Config, d Deps) *Source { return &Source{c.filled(), d} }

// Serve implements [transports.Source]. At the end it waits for the turns that
// go on and gives its leases back, so that others need not wait for them to run
// out.
func (s *Source) Serve(ctx context.Context, h transports.Handler) error {
	r := &run{
		c: s.c, d: s.d, h: h,
		pool:    pool{busy: map[ota.Ref][]item{}},
		slots:   make(chan struct{}, s.c.Workers),
		members: make(chan struct{}, max(1, s.c.Workers*3/4)),
		again:   newBackoff(s.c.Backoff, s.c.MaxBackoff),
		due:     make(chan struct{}, 1),
		offers:  make(chan struct{}, 1),
		lanes:   map[ota.TenantID]*lane{},
		tracks:  map[ota.Ref]*track{},
	}
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){r.own, r.hints, r.workDue, r.workPages, r.workOffers} {
		loops.Go(func() { loop(ctx) })
	}
	loops.Wait()
	r.pool.wait()
	r.again.stop()
	for t, ok := r.pages.take(); ok; t, ok = r.pages.take() {
		r.d.Owner.Done(t)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.c.Drain)
	defer cancel()
	if err := s.d.Owner.Release(last); err != nil {
		s.d.Log.Warn("leases were not given back; they run out by themselves", "error", err)
	}
	return nil
}

// run is one Serve.
type run struct {
	c Config
	d Deps
	h transports.Handler

	pool    pool
	slots   chan struct{} // one for each turn that goes on
	members chan struct{} // of those, the ones of job pages: a large job leaves room for the rest
	again   *backoff

	due, offers chan struct{} // wake a loop early

	pages pages
	mu    sync.Mutex
	lanes map[ota.TenantID]*lane // offers that wait for their moment

	tracks map[ota.Ref]*track // pages of jobs that do a branch
}

// own keeps the leases, in a loop of its own so that no work can make them lapse.
func (r *run) own(ctx context.Context) {
	held, failing := -1, false
	for {
		n, err := r.d.Owner.Own(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			r.d.Log.Warn("leases cannot be renewed", "error", err)
		case err == nil && (failing || n != held):
			r.d.Log.Debug("leases are held", "slots", n)
		}
		if failing = err != nil; !failing && n > held {
			wake(r.due)
			wake(r.offers)
		}
		held = n
		if !pause(ctx, r.c.Tick, nil) {
			return
		}
	}
}

// hints passes on that something due sooner was stored.
func (r *run) hints(ctx context.Context) {
	hint := r.d.Owner.Hint()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hint:
			wake(r.due)
			wake(r.offers)
		}
	}
}

// finish ends a task: at once where all went well, else after a while, until
// when the owner does not hand it out again.
func (r *run) finish(t ota.Task, err error) {
	switch {
	case errors.Is(err, errStopped):
		r.d.Owner.Done(t)
		return
	case err == nil:
		r.again.forget(keyOf(t))
		r.d.Owner.Done(t)
		return
	}
	wait := r.again.hold(keyOf(t), func() {
		r.d.Owner.Done(t)
		if t.Origin.Place != nil {
			wake(r.offers)
		} else {
			wake(r.due)
		}
	})
	level := slog.LevelDebug // what is busy will pass, and what began is gone where it was a conflict
	switch n := r.again.times(keyOf(t)); {
	case ota.CodeOf(err) == ota.Internal:
		level = slog.LevelError
	case n >= 4 && n&(n-1) == 0: // it does not pass: seldom enough to be read
		level = slog.LevelWarn
	}
	r.d.Log.Log(context.Background(), level, "what was due is tried again later", "home", t.Home.String(), "key", t.Key, "in", wait, "error", err)
}

// minGap is the least time between two questions to the owner that found
// nothing, whoever wakes us how often.
const minGap = 10 * time.Millisecond

// pause waits for d, or until woken but not below minGap; false when ctx ends.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	gap := time.NewTimer(min(minGap, d))
	defer gap.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-gap.C:
	}
	if d <= minGap {
		return true
	}
	rest := time.NewTimer(d - minGap)
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rest.C:
	case <-woken:
	}
	return true
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
