package mqtt

import "sync"

// idleWorkers is how many goroutines wait for work with their grown stacks.
const idleWorkers = 32

// workers lend their stacks: a turn through a chain needs a deep one, a
// connection that waits for its device should not keep one. A connection's
// goroutine hands its work over and waits, so its messages stay in order and
// nothing is read meanwhile. At most max work at a time: what is more waits,
// and with it the reading of its sockets.
//
// max must be 1 or more.
type workers struct {
	max   int
	tasks chan *task

	mu      sync.Mutex
	running int
	idle    int
	done    sync.WaitGroup
}

// task is one piece of work. It is used again and again by its owner.
type task struct {
	do   func()
	done chan struct{} // of capacity 1
}

func newWorkers(limit int) *workers { return &workers{max: limit, tasks: make(chan *task)} }

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
	if w.running == w.max {
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

// next waits for a task, or returns nil when enough others wait already. A
// worker that goes looks for a task once more after it is counted out, as
// somebody may have begun to wait for one meanwhile.
func (w *workers) next() *task {
	select {
	case t := <-w.tasks:
		return t
	default:
	}
	w.mu.Lock()
	if w.idle >= idleWorkers {
		w.running--
		w.mu.Unlock()
		return w.rescue()
	}
	w.idle++
	w.mu.Unlock()
	t := <-w.tasks // nil once closed
	w.mu.Lock()
	w.idle--
	if t == nil {
		w.running--
	}
	w.mu.Unlock()
	return t
}

// rescue takes a task whose owner found all workers busy just before this one
// was counted out.
func (w *workers) rescue() *task {
	select {
	case t := <-w.tasks:
		w.mu.Lock()
		w.running++
		w.mu.Unlock()
		return t
	default:
		return nil
	}
}

// close ends the workers. Nobody may call run any more.
func (w *workers) close() {
	close(w.tasks)
	w.done.Wait()
}
