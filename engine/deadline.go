package engine

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that ends at a time, and starts its timer only when
// somebody waits for that: most runs are over in microseconds, and a timer for
// each of them would cost more than their steps.
type deadline struct {
	context.Context //nolint:containedctx // it is a context itself
	at              time.Time

	mu     sync.Mutex
	inner  context.Context //nolint:containedctx // what it is once somebody waits
	cancel context.CancelFunc
	over   bool
}

func withDeadline(ctx context.Context, now time.Time, d time.Duration) *deadline {
	at := now.Add(d)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(at) {
		at = sooner
	}
	return &deadline{Context: ctx, at: at}
}

// stop lets go of the timer. The context counts as cancelled then.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.cancel != nil {
		d.cancel()
	}
}

func (d *deadline) waited() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inner == nil {
		d.inner, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.over {
			d.cancel()
		}
	}
	return d.inner
}

// Deadline is when it ends.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done starts the timer.
func (d *deadline) Done() <-chan struct{} { return d.waited().Done() }

// Err looks at the clock itself while nobody waits.
func (d *deadline) Err() error {
	d.mu.Lock()
	inner, over := d.inner, d.over
	d.mu.Unlock()
	switch {
	case inner != nil:
		return inner.Err()
	case d.Context.Err() != nil:
		return d.Context.Err()
	case over:
		return context.Canceled
	case !time.Now().Before(d.at):
		return context.DeadlineExceeded
	}
	return nil
}

// Value finds the context that cancels, so that children need no goroutine.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	inner := d.inner
	d.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return d.Context.Value(key)
}
