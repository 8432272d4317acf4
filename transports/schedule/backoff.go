package schedule

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// taskKey names a task over the times that it is handed out.
type taskKey struct {
	home  ota.Ref
	key   string
	kind  ota.Kind
	shard int // of a page
}

func keyOf(t ota.Task) taskKey {
	k := taskKey{home: t.Home, key: t.Key, kind: t.Kind}
	if t.Message != nil {
		k.key = t.Origin.Key
	}
	if t.Page != nil {
		k.key, k.shard = "page "+t.Page.Cursor, t.Page.Shard
	}
	return k
}

// backoff says how long what failed must wait, and remembers how often it did.
type backoff struct {
	first, most time.Duration

	mu      sync.Mutex
	failed  map[taskKey]*failure
	tidied  time.Time
	waiting map[*time.Timer]func()
	stopped bool
}

type failure struct {
	times int
	at    time.Time
}

// maxFailed bounds what is remembered: beyond it old failures are forgotten.
const maxFailed = 1 << 14

func newBackoff(first, most time.Duration) *backoff {
	return &backoff{first: first, most: most, failed: map[taskKey]*failure{}, waiting: map[*time.Timer]func(){}}
}

// hold calls free once the task has waited long enough, and says how long that
// is.
func (b *backoff) hold(k taskKey, free func()) time.Duration {
	wait := b.fail(k)
	b.later(wait, free)
	return wait
}

// later calls free after d, or at stop.
func (b *backoff) later(d time.Duration, free func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		free()
		return
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		b.mu.Lock()
		_, mine := b.waiting[t]
		delete(b.waiting, t)
		b.mu.Unlock()
		if mine {
			free()
		}
	})
	b.waiting[t] = free
}

// fail counts a failure and says how long to wait now.
func (b *backoff) fail(k taskKey) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.failed[k]
	if f == nil {
		b.tidy()
		f = &failure{}
		b.failed[k] = f
	}
	wait := b.most
	if f.times < 30 {
		wait = min(b.first<<f.times, b.most)
	}
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // spreads load, guards nothing
	f.times++
	f.at = time.Now()
	return wait
}

// times says how often a task has failed in a row.
func (b *backoff) times(k taskKey) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.failed[k]; f != nil {
		return f.times
	}
	return 0
}

// forget is for a task that worked.
func (b *backoff) forget(k taskKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failed, k)
}

// tidy forgets failures that were not tried again for long: others own them now.
func (b *backoff) tidy() {
	if len(b.failed) < maxFailed || time.Since(b.tidied) < b.most {
		return
	}
	b.tidied = time.Now()
	for k, f := range b.failed {
		if time.Since(f.at) > 2*b.most {
			delete(b.failed, k)
		}
	}
}

// stop ends all waits at once.
func (b *backoff) stop() {
	b.mu.Lock()
	waiting := b.waiting
	b.waiting, b.stopped = map[*time.Timer]func(){}, true
	b.mu.Unlock()
	for t, free := range waiting {
		t.Stop()
		free()
	}
}
