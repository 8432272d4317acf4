package schedule

import (
	"context"
	"errors"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// errStopped is what becomes of what had not begun when the source ended.
var errStopped = errors.New("stopped before it began")

// item is one turn that shall run in a home.
type item struct {
	home ota.Ref
	do   func(ctx context.Context) error
	done func(err error) // told once, whatever happened
}

// pool runs items, never two of one home at once: the second would only wait
// and keep a worker from others.
type pool struct {
	mu   sync.Mutex
	busy map[ota.Ref][]item // homes at work, and what waits behind
	wg   sync.WaitGroup
}

// start runs an item in the slots that the caller has taken for it; the pool
// gives them back. What waits behind another item of its home needs none.
func (p *pool) start(ctx context.Context, it item, slots ...chan struct{}) {
	p.mu.Lock()
	behind, working := p.busy[it.home]
	if working {
		p.busy[it.home] = append(behind, it)
	} else {
		p.busy[it.home] = nil
		p.wg.Add(1)
	}
	p.mu.Unlock()
	if working {
		release(slots)
		return
	}
	go func() {
		defer p.wg.Done()
		defer release(slots)
		for more := true; more; it, more = p.next(it.home) {
			err := errStopped
			if ctx.Err() == nil {
				err = it.do(context.WithoutCancel(ctx)) // what has begun is ended
			}
			it.done(err)
		}
	}()
}

func (p *pool) next(home ota.Ref) (it item, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	behind := p.busy[home]
	if len(behind) == 0 {
		delete(p.busy, home)
		return item{home: home}, false
	}
	p.busy[home] = behind[1:]
	return behind[0], true
}

func (p *pool) wait() { p.wg.Wait() }

// take takes one slot of each; false when ctx ends first.
func take(ctx context.Context, slots ...chan struct{}) bool {
	for i, s := range slots {
		select {
		case s <- struct{}{}:
		case <-ctx.Done():
			release(slots[:i])
			return false
		}
	}
	return true
}

func release(slots []chan struct{}) {
	for _, s := range slots {
		<-s
	}
}
