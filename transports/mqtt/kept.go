package mqtt

import (
	"container/heap"
	"time"
)

// kept is a session whose connection is gone: its subscriptions, what it has
// not settled, and a will that is not due yet. It lives in this process alone.
// Nothing that is said to the device meanwhile is put into it: a device that is
// away hears of it when it is back, as that follows from state.
type kept struct {
	key   clientKey
	state state
	until time.Time
	will  *time.Timer // says the will when its delay is over; nil: there is none
	back  bool        // its client has come back, or we stop: the will is not said
	at    int         // place in the heap
}

// keeper holds them, and knows which ends first. The lock of the transport
// guards it. Its zero value is empty.
type keeper struct {
	of    map[clientKey]*kept
	order ending1st
}

// ending1st is a heap by when the sessions end.
type ending1st []*kept

func (h ending1st) Len() int           { return len(h) }
func (h ending1st) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h ending1st) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *ending1st) Push(x any) {
	k, _ := x.(*kept)
	k.at = len(*h)
	*h = append(*h, k)
}
func (h *ending1st) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return k
}

// put keeps a session, for which those make room that have ended, or would end
// first.
func (k *keeper) put(s *kept, now time.Time, limit int) {
	for len(k.order) > 0 && (len(k.order) >= limit || !k.order[0].until.After(now)) {
		k.drop(k.order[0])
	}
	if k.of == nil {
		k.of = map[clientKey]*kept{}
	}
	k.of[s.key] = s
	heap.Push(&k.order, s)
}

// take returns a session to its client, nil where there is none, or none any
// more. Its will is not said.
func (k *keeper) take(key clientKey, now time.Time) *kept {
	s := k.of[key]
	if s == nil {
		return nil
	}
	k.drop(s)
	if !s.until.After(now) {
		return nil
	}
	s.silence()
	return s
}

// drop forgets a session. Its will is said when it is due all the same.
func (k *keeper) drop(s *kept) {
	heap.Remove(&k.order, s.at)
	delete(k.of, s.key)
}

// silence keeps the will from being said.
func (s *kept) silence() {
	if s.back = true; s.will != nil {
		s.will.Stop()
	}
}

func (k *keeper) clear() {
	for len(k.order) > 0 {
		k.order[0].silence()
		k.drop(k.order[0])
	}
}

// claim makes c the holder of its client id. The one before, if there is one,
// is told that its session is taken over (MQTT-3.1.4-3): of two connections
// with one id the older is most often a dead one that nobody has noticed. What
// is left of the session before, connected or kept, c goes on with, unless its
// client wants to begin anew. Without a client id there is nothing to take over.
func (t *Transport) claim(c *conn, fresh bool) (resumed bool) {
	if c.client == "" {
		return false
	}
	k := clientKey{c.device, c.client}
	t.mu.Lock()
	defer t.mu.Unlock()
	old, left := t.named[k], t.kept.take(k, time.Now())
	t.named[k] = c
	switch {
	case old != nil:
		old.takenOver.Store(true)
		was := old.say.take()
		old.wake()
		if resumed = !fresh && old.expiry > 0; resumed {
			c.say.give(was)
		}
	case left != nil && !fresh:
		c.say.give(left.state)
		resumed = true
	}
	if resumed {
		t.counts.resumed.Add(1)
	}
	return resumed
}

// release ends c's hold of its client id, and keeps what is left of the session
// for as long as was agreed. later says that c's will is said by that session,
// should its client stay away for the delay of the will.
func (t *Transport) release(c *conn) (later bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := c.say.take()
	k := clientKey{c.device, c.client}
	if c.client == "" || t.named[k] != c {
		return c.will != nil && c.will.delay > 0 // whoever took over the session has its will, too
	}
	delete(t.named, k)
	if c.expiry <= 0 || t.stopping.Load() {
		return false
	}
	s := &kept{key: k, state: left, until: time.Now().Add(c.expiry)}
	t.kept.put(s, time.Now(), t.cfg.MaxConnections)
	if w := c.will; w != nil && w.delay > 0 { // with the end of the session at the latest
		s.will = time.AfterFunc(min(w.delay, c.expiry), func() { t.willDue(s, w) })
		return true
	}
	return false
}
