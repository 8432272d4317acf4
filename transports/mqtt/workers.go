package mqtt

import "sync"

// idleWorkers is how many goroutines wait for work with their grown stacks. With
// fewer, a server that is busy with more turns than that at a time would end
// and start workers for most of them, and each would grow its stack anew. The
// collector shrinks the stacks of those that wait for long.
const idleWorkers = 256

// workers lend their stacks: a turn through a chain needs a deep one, a
// connection that waits for its device should not keep one. A connection's
// goroutine hands its work over and waits, so its messages stay in order and
// nothing is read meanwhile. At most limit work at a time: what is more waits,
// and with it the reading of its sockets.
type workers struct {
	limit int // 1 or more
	tasks chan *task

	mu      sync.Mutex
	running int
	idle    int
	done    sync.WaitGroup
}

// task is one piece of work. Its owner uses it again and again.
type task struct {
	do   func()
	done chan struct{} // of capacity 1
}

func newWorkers(limit int) *workers { return &workers{limit: limit, tasks: make(chan *task)} }

// run has t done by a worker and returns when it is done.
func (w *workers) run(t *task) {
	select {
	case w.tasks <- t:
	default:
		if !w.spawn(t) {
			w.tasks <- t
		}
	}
	<-t.done
}

func (w *workers) spawn(t *task) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running == w.limit {
		return false
	}
	w.running++
	w.done.Go(func() { w.loop(t) })
	return true
}

func (w *workers) loop(t *task) {
	for t != nil {
		t.do()
		t.done <- struct{}{}
		t = w.next()
	}
}

// next takes the task that waits, or waits for one. It returns nil, which ends
// the worker, when enough others wait already or there will be no more.
func (w *workers) next() *task {
	select {
	case t := <-w.tasks:
		if t == nil {
			w.count(-1, 0)
		}
		return t
	default:
	}
	if !w.rest() {
		return nil
	}
	t := <-w.tasks
	if t == nil {
		w.count(-1, -1)
	} else {
		w.count(0, -1)
	}
	return t
}

// rest says whether one more may wait, and counts it where it belongs. Nobody
// is left waiting by the one that goes: those who wait, or have just been given
// a task, come by here again.
func (w *workers) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle >= idleWorkers {
		w.running--
		return false
	}
	w.idle++
	return true
}

func (w *workers) count(running, idle int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running += running
	w.idle += idle
}

// close ends the workers and waits for them. Nobody may call run any more.
func (w *workers) close() {
	close(w.tasks)
	w.done.Wait()
}
