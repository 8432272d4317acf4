package facts

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/windlass-ota/windlass/ota"
)

// Store is what is wrapped.
type Store interface {
	ota.Homes
	ota.Facts
	ota.Lister
}

// Options bound the copies. The zero value is good.
type Options struct {
	// Age is how old a copy may get. 0: 5 s.
	Age time.Duration
	// Homes is the number of homes kept; half as many tokens, names and sets of
	// values are kept besides. 0: 65,536.
	Homes int
	// Process is this process on the bus; devices of other processes' sessions
	// are told to those.
	Process string
	// Tell lets other processes drop their copies of homes that this one has
	// written: process "" is every one. It must not block. Nil: there are no
	// others.
	Tell func(process string, refs []ota.Ref)
	// Log is told nothing in ordinary times. Nil: nobody is.
	Log *slog.Logger
}

const (
	defaultAge   = 5 * time.Second
	defaultHomes = 1 << 16
	unknownAge   = time.Second // an unknown token is asked for again after it
	loadTime     = 5 * time.Second
)

// Copies is a [Store] that answers from copies: Get, ByKey, Find, Values and
// Revision, and Load with a copy of the copy, as the commit finds out if it was
// old. What lists and counts goes through. Homes that it returns from Get are
// shared: nobody changes them. Close it once, when nobody asks any more.
type Copies struct {
	s       Store
	age     time.Duration
	process string
	tell    func(string, []ota.Ref)
	began   time.Time

	homes   *kept[ota.Ref, *ota.Home]
	tokens  *kept[string, ota.Ref]
	unknown *kept[string, struct{}]
	names   *kept[name, ota.Ref]
	values  *kept[scoped, []ota.Value]

	mu        sync.RWMutex
	revisions map[ota.TenantID]*revision
	flights   singleflight.Group
	loads     sync.WaitGroup
}

var _ Store = (*Copies)(nil)

// name is a unique name as a key.
type name struct {
	tenant ota.TenantID
	typ    ota.RefType
	name   string
}

// scoped is what a device has in one scope.
type scoped struct {
	device ota.Ref
	scope  ota.Scope
}

// New wraps s.
func New(s Store, o Options) *Copies {
	if o.Age <= 0 {
		o.Age = defaultAge
	}
	if o.Homes <= 0 {
		o.Homes = defaultHomes
	}
	if o.Tell == nil {
		o.Tell = func(string, []ota.Ref) {}
	}
	c := &Copies{s: s, age: o.Age, process: o.Process, tell: o.Tell, began: time.Now(), revisions: map[ota.TenantID]*revision{}}
	c.homes = newKept[ota.Ref, *ota.Home](o.Homes, o.Age)
	c.tokens = newKept[string, ota.Ref](o.Homes/2, o.Age)
	// Whoever guesses tokens must not push out those that are right.
	c.unknown = newKept[string, struct{}](4096, min(unknownAge, o.Age))
	c.names = newKept[name, ota.Ref](o.Homes/2, o.Age)
	c.values = newKept[scoped, []ota.Value](o.Homes/2, o.Age)
	return c
}

// Fresh is the store itself, for those whom a copy has misled.
func (c *Copies) Fresh() Store { return c.s }

// Close ends what runs for the copies.
func (c *Copies) Close() {
	c.loads.Wait()
	c.homes.close()
	c.tokens.close()
	c.unknown.close()
	c.names.close()
	c.values.close()
}

// now is the time since the copies were made; it never jumps.
func (c *Copies) now() time.Duration { return time.Since(c.began) }

// stripes divide keys, so that a drop concerns few loads.
const stripes = 64

// kept is one kind of copies. A value that was read before its key was dropped
// is never put after it: each stripe counts the drops.
type kept[K comparable, V any] struct {
	c      *otter.Cache[K, entry[V]]
	age    time.Duration
	stripe [stripes]struct {
		sync.Mutex
		drops uint64
	}
}

type entry[V any] struct {
	v  V
	at time.Duration // when reading it began
}

func newKept[K comparable, V any](size int, age time.Duration) *kept[K, V] {
	return &kept[K, V]{age: age, c: otter.Must(&otter.Options[K, entry[V]]{
		MaximumSize:      max(size, 16),
		ExpiryCalculator: otter.ExpiryWriting[K, entry[V]](age + time.Second), // sooner by get; this frees memory
		Executor:         func(fn func()) { fn() },
	})}
}

// get returns the copy and when reading it began, if it is not too old.
func (k *kept[K, V]) get(key K, now time.Duration) (v V, at time.Duration, ok bool) {
	e, ok := k.c.GetIfPresent(key)
	if !ok || now-e.at >= k.age {
		return v, 0, false
	}
	return e.v, e.at, true
}

// drops is to be read before a load, by which put knows if the key was dropped.
func (k *kept[K, V]) drops(stripe uint32) uint64 {
	s := &k.stripe[stripe]
	s.Lock()
	defer s.Unlock()
	return s.drops
}

// put keeps what was loaded, unless a key of its stripe was dropped meanwhile.
func (k *kept[K, V]) put(stripe uint32, key K, v V, at time.Duration, drops uint64) {
	s := &k.stripe[stripe]
	s.Lock()
	defer s.Unlock()
	if s.drops == drops {
		k.c.Set(key, entry[V]{v, at})
	}
}

// replace keeps what this process has just written, where better says that it is
// newer than what is kept; loads under way are not put.
func (k *kept[K, V]) replace(stripe uint32, key K, v V, at time.Duration, better func(old V) bool) {
	s := &k.stripe[stripe]
	s.Lock()
	defer s.Unlock()
	s.drops++
	if old, ok := k.c.GetIfPresent(key); !ok || better(old.v) {
		k.c.Set(key, entry[V]{v, at})
	}
}

func (k *kept[K, V]) drop(stripe uint32, key K) {
	s := &k.stripe[stripe]
	s.Lock()
	defer s.Unlock()
	s.drops++
	k.c.Invalidate(key)
}

func (k *kept[K, V]) close() { k.c.StopAllGoroutines() }

// stripeOf divides keys by their text (FNV-1a).
func stripeOf(text string) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h % stripes
}

// load asks the store once for all who ask for the same thing now. It goes on
// when one of them hangs up.
func load[V any](ctx context.Context, c *Copies, key string, ask func(context.Context) (V, error)) (V, error) {
	ch := c.flights.DoChan(key, func() (any, error) {
		c.loads.Add(1)
		defer c.loads.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer cancel()
		return ask(ctx)
	})
	var none V
	select {
	case r := <-ch:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(V), nil
	case <-ctx.Done():
		return none, &ota.Error{Code: ota.Busy, Op: "read a copy", Err: context.Cause(ctx)}
	}
}
