package transports

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// ear is a session that keeps what it hears.
type ear struct {
	ref   ota.Ref
	id    ota.SessionID
	wants func(ota.Word) bool
	full  bool

	mu    sync.Mutex
	heard []ota.Reply
}

func (e *ear) Device() ota.Ref       { return e.ref }
func (e *ear) ID() ota.SessionID     { return e.id }
func (e *ear) Wants(w ota.Word) bool { return e.wants(w) }
func (e *ear) Say(words []ota.Reply) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full {
		return false
	}
	e.heard = append(e.heard, words...)
	return true
}

func (e *ear) words() []ota.Word {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ota.Word
	for _, r := range e.heard {
		out = append(out, r.Word)
	}
	return out
}

// house is two processes on one bus, and what their homes note.
type house struct {
	ota.Facts
	homes map[ota.Ref]*ota.Home
	err   error
	takes map[string]func([]ota.Reply)
}

func (h *house) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	if h.err != nil {
		return nil, h.err
	}
	if home := h.homes[r]; home != nil {
		return home, nil
	}
	return nil, ota.Errorf(ota.NotFound, "get", "no such device")
}

type line struct {
	*house
	name string
	said int
}

func (l *line) Process() string { return l.name }
func (l *line) Publish(_ context.Context, process string, words []ota.Reply) (bool, error) {
	l.said++
	take := l.takes[process]
	if take != nil {
		take(words)
	}
	return take != nil, nil
}
func (l *line) Listen(ctx context.Context, take func([]ota.Reply)) error {
	l.takes[l.name] = take
	<-ctx.Done()
	return nil
}

var (
	one   = ota.RefOf("main", "d1")
	other = ota.RefOf("main", "d2")
	alien = ota.RefOf("acme", "d1")
)

func push(r ota.Ref, w ota.Word) ota.Reply {
	return ota.Reply{Word: w, Tenant: r.Tenant, Device: ota.DeviceID(r.ID), Push: true}
}

func TestRouterSendsToSessionsThatWant(t *testing.T) {
	r := NewRouter(nil, nil)
	attributes := &ear{ref: one, id: r.NewID(), wants: IsAttributes}
	calls := &ear{ref: one, id: r.NewID(), wants: func(w ota.Word) bool { return w == ota.SayRPC }}
	foreign := &ear{ref: other, id: r.NewID(), wants: func(ota.Word) bool { return true }}
	alike := &ear{ref: alien, id: r.NewID(), wants: func(ota.Word) bool { return true }}
	for _, e := range []*ear{attributes, calls, foreign, alike} {
		r.Open(e)
		r.Open(e) // twice is once
	}
	if attributes.id == calls.id {
		t.Error("two sessions with one id")
	}
	if n := r.Sessions(); n != 4 {
		t.Errorf("%d sessions, want 4", n)
	}
	heard, err := r.Send(t.Context(), []ota.Reply{push(one, ota.SayCancel), push(one, ota.SayRPC), push(one, ota.SayOffer)})
	if !heard || err != nil {
		t.Errorf("heard %v, %v", heard, err)
	}
	want(t, attributes, ota.SayCancel, ota.SayOffer)
	want(t, calls, ota.SayRPC)
	want(t, foreign)
	want(t, alike)

	if heard, _ := r.Send(t.Context(), []ota.Reply{push(one, ota.SayApply)}); heard {
		t.Error("a word that no session wants was heard")
	}
	r.Close(attributes)
	r.Close(attributes)
	if heard, _ := r.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); heard {
		t.Error("a closed session heard")
	}
	if heard, _ := r.Send(t.Context(), []ota.Reply{push(other, ota.SayOffer), push(one, ota.SayOffer)}); heard {
		t.Error("heard, though only one of two devices is there")
	}
	want(t, foreign, ota.SayOffer)
	if r.Lost() != 3 {
		t.Errorf("%d words lost, want 3", r.Lost())
	}
	r.Close(calls)
	if n := r.Sessions(); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	if heard, _ := r.Send(t.Context(), nil); heard {
		t.Error("nothing was heard")
	}
}

func TestRouterFullSessionIsNotHeard(t *testing.T) {
	r := NewRouter(nil, nil)
	r.Open(&ear{ref: one, id: r.NewID(), wants: IsAttributes, full: true})
	if heard, _ := r.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); heard {
		t.Error("heard by a session that took nothing")
	}
}

func TestRouterReachesOtherProcesses(t *testing.T) {
	h := &house{takes: map[string]func([]ota.Reply){}, homes: map[ota.Ref]*ota.Home{}}
	near, far := &line{house: h, name: "near"}, &line{house: h, name: "far"}
	here, there := NewRouter(near, h), NewRouter(far, h)
	e := &ear{ref: one, id: there.NewID(), wants: IsAttributes}
	there.Open(e)

	if heard, err := here.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); heard || err != nil {
		t.Errorf("an unknown device: heard %v, %v", heard, err)
	}
	h.homes[one] = &ota.Home{Ref: one, Device: &ota.Device{Sessions: []ota.Session{{ID: e.id}, {ID: ota.SessionID{Process: "far", Num: 99}}, {ID: here.NewID()}}}}
	if heard, _ := here.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); heard {
		t.Error("heard, though nobody listens")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := there.Listen(ended); err != nil { // the line goes on taking
		t.Fatal(err)
	}
	if heard, err := here.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); !heard || err != nil {
		t.Errorf("heard %v, %v", heard, err)
	}
	want(t, e, ota.SayOffer)
	if near.said != 2 {
		t.Errorf("published %d times, want once for each send", near.said)
	}
	h.err = ota.Errorf(ota.Busy, "get", "the store is away")
	if heard, err := here.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); heard || !errors.Is(err, h.err) {
		t.Errorf("heard %v, %v", heard, err)
	}
}

func TestRouterManyAtOnce(t *testing.T) {
	r := NewRouter(nil, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				e := &ear{ref: one, id: r.NewID(), wants: IsAttributes}
				r.Open(e)
				if heard, _ := r.Send(t.Context(), []ota.Reply{push(one, ota.SayOffer)}); !heard || len(e.words()) == 0 {
					t.Error("an open session was not told")
				}
				r.Close(e)
			}
		})
	}
	wg.Wait()
	if r.Sessions() != 0 {
		t.Errorf("%d sessions are left", r.Sessions())
	}
}

func want(t *testing.T, e *ear, words ...ota.Word) {
	t.Helper()
	got := e.words()
	if len(got) != len(words) {
		t.Errorf("%v heard %v, want %v", e.ref, got, words)
		return
	}
	for i := range got {
		if got[i] != words[i] {
			t.Errorf("%v heard %v, want %v", e.ref, got, words)
		}
	}
}
