package http

import (
	"net/http"
	"strconv"
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
	ref   ota.Ref
	id    ota.SessionID
	wants func(ota.Word) bool
	heard chan []ota.Reply // room for one
}

func (p *poll) Device() ota.Ref       { return p.ref }
func (p *poll) ID() ota.SessionID     { return p.id }
func (p *poll) Wants(w ota.Word) bool { return p.wants(w) }
func (p *poll) Say(words []ota.Reply) bool {
	select {
	case p.heard <- words:
		return true
	default: // it has its answer already
		return false
	}
}

var _ transports.Session = (*poll)(nil)

// awaitAttributes answers with the first push after the call. Nothing is
// replayed: a device asks for its attributes when it begins to poll.
func (t *Transport) awaitAttributes(x *exchange) {
	words := t.await(x, transports.IsAttributes)
	if words == nil {
		return
	}
	body, ok := transports.MergePushes(words)
	if !ok {
		body = []byte("{}")
	}
	x.json(http.StatusOK, body)
}

// awaitCall answers with the first call of one of the device's methods.
func (t *Transport) awaitCall(x *exchange) {
	words := t.await(x, func(w ota.Word) bool { return w == ota.SayRPC })
	if words == nil {
		return
	}
	call := words[0].Call
	if call == 0 { // nobody waits for its answer
		call = t.calls.Add(1)
	}
	body := strconv.AppendInt([]byte(`{"id":`), call, 10)
	body = append(append(body, ','), transports.RPCBody(words[0])[1:]...)
	x.json(http.StatusOK, body)
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

// await waits for words; nil where the exchange has ended without any.
func (t *Transport) await(x *exchange, wants func(ota.Word) bool) []ota.Reply {
	wait := defaultPoll
	if v := x.r.URL.Query().Get("timeout"); v != "" {
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			x.answer(http.StatusBadRequest, "timeout is not a number of milliseconds")
			return nil
		}
		if ms > 0 {
			wait = min(time.Duration(min(ms, maxPoll.Milliseconds()))*time.Millisecond, maxPoll)
		}
	}
	p := &poll{ref: x.ref, id: t.d.Router.NewID(), wants: wants, heard: make(chan []ota.Reply, 1)}
	t.d.Router.Open(p)
	defer t.d.Router.Close(p)
	t.touch(x)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case words := <-p.heard:
		return words
	case <-x.r.Context().Done():
		return nil
	case <-t.stop:
	case <-timer.C:
	}
	select { // a word that came together with the end is not lost
	case words := <-p.heard:
		return words
	default:
	}
	x.answer(http.StatusRequestTimeout, "")
	return nil
}
