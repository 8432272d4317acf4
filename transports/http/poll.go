package http

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// How long a poll waits (ThingsBoard's defaults).
const (
	defaultPoll = 60 * time.Second
	maxPoll     = 300 * time.Second
)

// poll is a request that waits for a word: a session that hears once.
type poll struct {
	ref  ota.Ref
	id   ota.SessionID
	call bool // it waits for a call of a method, else for attributes

	mu    sync.Mutex
	over  bool          // it has heard, or does not wait any more
	words []ota.Reply   // what it has heard
	rings chan struct{} // closed when it has heard; nil where somebody reads the socket
	sock  *conn         // where it is parked: a deadline wakes who reads there
}

func (p *poll) Device() ota.Ref   { return p.ref }
func (p *poll) ID() ota.SessionID { return p.id }

func (p *poll) Wants(w ota.Word) bool {
	if p.call {
		return w == ota.SayRPC
	}
	return transports.IsAttributes(w)
}

func (p *poll) Say(words []ota.Reply) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over { // it has its answer already
		return false
	}
	p.over, p.words = true, words
	p.wake()
	return true
}

// wake ends the waiting. The lock is held.
func (p *poll) wake() {
	if p.rings != nil {
		close(p.rings)
		p.rings = nil
	}
	if p.sock != nil {
		p.sock.SetReadDeadline(longAgo) //nolint:errcheck // who reads a closed socket is awake
	}
}

var longAgo = time.Unix(1, 0)

// end lets the poll hear no more and returns what it has heard.
func (p *poll) end() []ota.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return p.words
}

var _ transports.Session = (*poll)(nil)

// awaitAttributes answers with the first push after the call. Nothing is
// replayed: a device asks for its attributes when it begins to poll.
func (t *Transport) awaitAttributes(x *exchange) { t.await(x, false) }

// awaitCall answers with the first call of one of the device's methods.
func (t *Transport) awaitCall(x *exchange) { t.await(x, true) }

// body is what the device is told.
func (t *Transport) body(p *poll, words []ota.Reply) []byte {
	if !p.call {
		body, ok := transports.MergePushes(words)
		if !ok {
			body = []byte("{}")
		}
		return body
	}
	call := words[0].Call
	if call == 0 { // nobody waits for its answer
		call = t.calls.Add(1)
	}
	body := strconv.AppendInt([]byte(`{"id":`), call, 10)
	return append(append(body, ','), transports.RPCBody(words[0])[1:]...)
}

// touch says that the device is there, since a poll says nothing else of it.
// The session is open by then, so that what waits for the device finds it.
func (t *Transport) touch(x *exchange) {
	select {
	case t.slots <- struct{}{}:
	case <-x.r.Context().Done():
		return
	}
	if _, err := x.through(x.message(ota.Touch)); err != nil {
		t.d.Log.Debug("a poll could not be noted", "transport", Name, "device", x.ref.ID, "error", err)
	}
}

// await answers with the first word that comes, or that none came.
func (t *Transport) await(x *exchange, call bool) {
	wait := defaultPoll
	if v := x.r.URL.Query().Get("timeout"); v != "" {
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			x.answer(http.StatusBadRequest, "timeout is not a number of milliseconds")
			return
		}
		if ms > 0 {
			wait = min(time.Duration(min(ms, maxPoll.Milliseconds()))*time.Millisecond, maxPoll)
		}
	}
	until := time.Now().Add(wait)
	rings := make(chan struct{})
	p := &poll{ref: x.ref, id: t.d.Router.NewID(), call: call, rings: rings}
	t.d.Router.Open(p)
	t.touch(x)
	if t.park(x, p, until) {
		return
	}
	defer t.d.Router.Close(p)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-rings:
	case <-x.r.Context().Done():
		p.end()
		return
	case <-t.stop:
	case <-timer.C:
	}
	if words := p.end(); words != nil { // also one that came together with the end
		x.json(http.StatusOK, t.body(p, words))
		return
	}
	x.answer(http.StatusRequestTimeout, "")
}
