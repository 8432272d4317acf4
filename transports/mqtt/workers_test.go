package mqtt

import (
	"sync"
	"sync/atomic"
	"testing"
)

// No more than the limit work at a time, and each task is done once.
func TestWorkers(t *testing.T) {
	const limit, owners, rounds = 50, 200, 100
	w := newWorkers(limit)
	var now, most, done atomic.Int64
	var wg sync.WaitGroup
	for range owners {
		wg.Go(func() {
			own := 0
			k := task{done: make(chan struct{}, 1)}
			k.do = func() {
				for n, top := now.Add(1), most.Load(); n > top && !most.CompareAndSwap(top, n); top = most.Load() {
				}
				own++
				done.Add(1)
				now.Add(-1)
			}
			for i := range rounds {
				if w.run(&k); own != i+1 {
					t.Errorf("run returned before its task was done")
					return
				}
			}
		})
	}
	wg.Wait()
	w.mu.Lock()
	if w.idle > idleWorkers || w.running < w.idle {
		t.Errorf("%d run, %d of them idle", w.running, w.idle)
	}
	w.mu.Unlock()
	w.close()
	if done.Load() != owners*rounds || most.Load() > limit || w.running != 0 {
		t.Errorf("%d done, %d at once, %d left", done.Load(), most.Load(), w.running)
	}
}
