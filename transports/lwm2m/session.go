package lwm2m

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// session is one registration. What is done with its client is done by jobs, one
// after the other, on a goroutine that lives as long as there are some.
type session struct {
	t        *Transport
	ref      ota.Ref
	id       ota.SessionID
	endpoint string
	location string
	ctx      context.Context //nolint:containedctx // all that goes on with the client ends with the session
	cancel   context.CancelFunc

	mu       sync.Mutex
	peer     *peer
	queue    bool // it sleeps, and listens only after a word of its own
	objects  []lwm2mwire.Path
	formats  []lwm2mwire.Format // that it says it knows; nil: it says nothing
	lifetime time.Duration
	expiry   *time.Timer
	jobs     []func(context.Context)
	started  bool // jobs may be done
	busy     bool // somebody does them
	ended    bool
	told     bool          // the house knows that it is connected
	word     chan struct{} // closed with the next word of the client; nil: nobody waits

	stops    []func() // of observations
	settings *ota.LwM2MSettings
	v3       string                // what object 3 says of the firmware
	kinds    map[ota.Kind]*updater // of jobs alone
}

var _ transports.Session = (*session)(nil)

// maxJobs bounds what waits for a client that does not answer.
const maxJobs = 64

func (t *Transport) newSession(ref ota.Ref, p *peer, x terms) *session {
	s := &session{t: t, ref: ref, id: t.d.Router.NewID(), endpoint: x.endpoint, location: newLocation(), peer: p}
	s.ctx, s.cancel = context.WithCancel(t.ctx)
	s.lifetime = defaultLifetime
	s.kinds = map[ota.Kind]*updater{ota.Firmware: newUpdater(s, &firmware), ota.Software: newUpdater(s, &software)}
	s.take(x)
	p.holder.Store(s)
	return s
}

// take takes over what a client says about its registration. The lock is held,
// or nobody knows the session yet.
func (s *session) take(x terms) {
	if x.lifetime > 0 {
		s.lifetime = x.lifetime
	}
	if x.binding != "" {
		s.queue = strings.Contains(x.binding, "Q")
	}
	if !x.listed {
		return
	}
	s.objects, s.formats = nil, nil
	root := ""
	for _, l := range x.links {
		if l.Attrs["rt"] == "oma.lwm2m" || l.Attrs["rt"] == "\"oma.lwm2m\"" {
			root = strings.TrimSuffix(l.Target, "/")
			for f := range strings.FieldsSeq(l.Attrs["ct"]) {
				if p, err := lwm2mwire.ParsePath(f); err == nil && p.Depth == 1 {
					s.formats = append(s.formats, lwm2mwire.Format(p.ID[0]))
				}
			}
			continue
		}
		p, err := lwm2mwire.ParsePath(strings.TrimPrefix(l.Target, root))
		if err == nil && p.Depth > 0 && p.Depth < 3 {
			s.objects = append(s.objects, p)
		}
	}
}

// instance is the first instance of an object that the client has; ok is false
// where it has none.
func (s *session) instance(object uint16) (p lwm2mwire.Path, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		if o.ID[0] == object && o.Depth == 2 {
			return o, true
		}
	}
	return p, false
}

func (s *session) message(e ota.Event) ota.Message {
	m := transports.From(s.ref, e, Name, s.through().addr)
	m.Session = s.id
	return m
}

func (s *session) through() *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

// admits says whether a peer may speak for the session.
func (s *session) admits(p *peer) bool {
	x := s.through()
	return p.secure == x.secure && (!p.secure || p.proven == s.ref)
}

// probe is how long the client that is registered may take to say that it is
// there.
const probe = 1500 * time.Millisecond

// mayReplace says whether a new registration may take the place of this one. By
// DTLS it is the same device. Over plain UDP nobody can tell; but a client that
// has got another address does not answer at its old one, so one that does is
// not to be driven out by somebody who knows its name.
func (s *session) mayReplace(ctx context.Context, p *peer) bool {
	old := s.through()
	if p.secure || old == p || old.ip == p.ip {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	return old.conn.Ping(ctx) != nil
}

// open makes the session known to the house, which answers what it missed.
func (s *session) open() error {
	s.t.d.Router.Open(s)
	if _, err := s.t.handle(s.message(ota.Connected)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
	if !s.ended {
		s.expiry = time.AfterFunc(s.lifetime, s.end)
	}
	return nil
}

// begin lets the jobs be done: the client knows that it is registered.
func (s *session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = slices.Insert(s.jobs, 0, s.greet)
	s.started = true
	s.work()
}

// greetAgain asks everything anew, at the client's new address.
func (s *session) greetAgain() {
	s.mu.Lock()
	s.drop()
	s.mu.Unlock()
	s.do(s.greet)
}

// refresh takes over new terms and says whether the client speaks from another
// address now.
func (s *session) refresh(p *peer, x terms) (moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(x)
	if moved = s.peer != p; moved {
		s.peer.holder.CompareAndSwap(s, nil)
		s.peer = p
		p.holder.Store(s)
	}
	if s.expiry != nil && !s.ended {
		s.expiry.Reset(s.lifetime)
	}
	return moved
}

// end ends the registration: the client has said so, its lifetime is over, or
// the server stops. Twice is once.
func (s *session) end() {
	s.t.reg.remove(s)
	s.replaced()
}

// replaced ends the session where another has its place already.
func (s *session) replaced() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	s.drop()
	told := s.told
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.peer.holder.CompareAndSwap(s, nil)
	s.mu.Unlock()
	s.cancel()
	s.t.d.Router.Close(s)
	if told {
		if _, err := s.t.handle(s.message(ota.Disconnected)); err != nil {
			s.t.log.Warn("that a client is gone was not noted", "device", s.ref.ID, "err", err)
		}
	}
}

// drop forgets the observations. The lock is held.
func (s *session) drop() {
	for _, stop := range s.stops {
		stop()
	}
	s.stops = nil
}

// keep remembers how an observation is ended.
func (s *session) keep(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		stop()
		return
	}
	s.stops = append(s.stops, stop)
}

// Device is whose session it is.
func (s *session) Device() ota.Ref { return s.ref }

// ID names the session.
func (s *session) ID() ota.SessionID { return s.id }

// Wants says which words have a meaning here. Shared attributes of no offer have
// none: a client has resources.
func (s *session) Wants(w ota.Word) bool {
	switch w {
	case ota.SayOffer, ota.SayApply, ota.SayCancel, ota.SayRPC:
		return true
	}
	return false
}

// Say puts words in line for the client.
func (s *session) Say(words []ota.Reply) (took bool) {
	now := time.Now()
	for _, w := range words {
		var job func(context.Context)
		switch w.Word {
		case ota.SayOffer:
			if w.Section.Package == nil {
				continue
			}
			job = func(ctx context.Context) { s.kinds[w.Section.Package.Kind].offer(ctx, w.Section.Package, now) }
		case ota.SayApply:
			job = func(ctx context.Context) { s.updaterOf(w.Kind).apply(ctx) }
		case ota.SayCancel:
			job = func(ctx context.Context) { s.updaterOf(w.Kind).withdraw(ctx) }
		case ota.SayRPC:
			job = func(ctx context.Context) { s.call(ctx, w) }
		default:
			s.t.counts.dropped.Add(1)
			continue
		}
		if s.do(job) {
			took = true
		}
	}
	return took
}

func (s *session) updaterOf(k ota.Kind) *updater {
	if u := s.kinds[k]; u != nil {
		return u
	}
	return s.kinds[ota.Firmware]
}
