package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// shelf is homes in a map: a store that can be told to be slow, away or ahead.
type shelf struct {
	ota.Facts
	mu     sync.Mutex
	homes  map[ota.Ref]*ota.Home
	now    time.Time
	turns  []*ota.Turn
	faster int   // so many commits find that somebody was faster
	away   error // what every commit says
	sent   []ota.Reply
	heard  bool
}

var thing = ota.RefOf("main", "d")

func newShelf() *shelf {
	s := &shelf{homes: map[ota.Ref]*ota.Home{}, now: testTime, heard: true}
	d := &ota.Device{ID: "d", Name: "dev-1", Tenant: "main", Profile: "p", Heard: testTime}
	d.Firmware.Enqueue(&ota.Package{ID: "a", Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1.2"}}, "1", "r", "", testTime)
	s.homes[thing] = &ota.Home{Ref: thing, Version: 1, Device: d}
	p := ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "p"}
	s.homes[p] = &ota.Home{Ref: p, Version: 1, Profile: &ota.Profile{ID: "p", Tenant: "main", Name: "pump"}}
	return s
}

func (s *shelf) Now() time.Time { return s.now }

func (s *shelf) Revision(context.Context, ota.TenantID) (int64, error) { return 7, nil }

func (s *shelf) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.homes[r]; h != nil {
		return h, nil
	}
	return nil, ota.Errorf(ota.NotFound, "get", "there is no %s", r)
}

func (s *shelf) Load(ctx context.Context, r ota.Ref) (*ota.Home, error) {
	h, err := s.Get(ctx, r)
	if err != nil {
		return nil, err
	}
	return h.Clone(), nil
}

func (s *shelf) Commit(_ context.Context, t *ota.Turn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil {
		return s.away
	}
	if s.faster > 0 {
		s.faster--
		h := s.homes[t.Home.Ref].Clone()
		h.Version++
		s.homes[h.Ref] = h
		return ota.Errorf(ota.Conflict, "commit", "somebody was faster")
	}
	var version uint64
	if h := s.homes[t.Home.Ref]; h != nil {
		version = h.Version
	}
	if version != t.Home.Version {
		return ota.Errorf(ota.Conflict, "commit", "somebody was faster")
	}
	t.Home.Version++
	s.homes[t.Home.Ref] = t.Home
	s.turns = append(s.turns, t)
	return nil
}

func (s *shelf) Send(_ context.Context, words []ota.Reply) (bool, error) {
	s.sent = append(s.sent, words...)
	return s.heard, nil
}

func (s *shelf) device() *ota.Device { return s.homes[thing].Device }

// last is the latest turn that was committed, nil where none was.
func (s *shelf) last() *ota.Turn {
	if len(s.turns) == 0 {
		return nil
	}
	return s.turns[len(s.turns)-1]
}

func testEngine(t *testing.T, s *shelf, chains ...string) *Engine {
	t.Helper()
	return New(testSet(t, Options{}, chains...), Host{Homes: s, Facts: s, Fresh: s, Sender: s, Process: "me", Log: slog.New(slog.DiscardHandler)})
}

const (
	moving = head + "steps: [{node: move, with: {state: UPDATING}}, {node: say, with: {text: done}}]\n"
	asking = "chain: q\nsummary: A test.\ntrigger: attributes_requested\nsteps: [{node: say, with: {text: here}}]\n"
)

func TestTurnIsRunAgain(t *testing.T) {
	for faster, want := range map[int]ota.Code{0: "", 1: "", 7: "", 8: ota.Busy} {
		s := newShelf()
		s.faster = faster
		e := testEngine(t, s, moving)
		replies, err := e.Handle(t.Context(), telemetry(`{}`))
		if ota.CodeOf(err) != want {
			t.Errorf("somebody was faster %d times: %v", faster, err)
		}
		if want == "" && (len(replies) != 1 || len(s.turns) != 1 || s.device().Firmware.Update.State != ota.Updating) {
			t.Errorf("somebody was faster %d times: %d replies, %d turns", faster, len(replies), len(s.turns))
		}
		if got := e.Counts().Conflicts.Load(); got != int64(faster) {
			t.Errorf("%d conflicts counted, want %d", got, faster)
		}
	}
}

func TestAskWritesNothing(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, asking)
	replies, err := e.Handle(t.Context(), ota.Message{Event: ota.AttributesRequested, Tenant: "main", Device: "d", Transport: "mqtt"})
	if err != nil || len(replies) != 1 || string(replies[0].Body) != "here" || len(s.turns) != 0 {
		t.Errorf("%v, %v, %d turns", replies, err, len(s.turns))
	}
}

// TestFailures: what becomes of an error that no road of the chain takes.
func TestFailures(t *testing.T) {
	tests := []struct {
		code  string
		event ota.Event
		want  ota.Code // of Handle's error
		said  ota.Code // of the answer
		dead  bool
	}{
		{"invalid", ota.Telemetry, ota.Invalid, "", false},
		{"not_found", ota.Telemetry, ota.NotFound, "", false},
		{"conflict", ota.Telemetry, ota.Conflict, "", false},
		{"busy", ota.Telemetry, ota.Busy, "", false},
		{"internal", ota.Telemetry, "", "", true}, // kept, so acknowledged
		{"internal", ota.RPCRequested, "", ota.Internal, true},
	}
	for _, x := range tests {
		t.Run(x.code+" "+string(x.event), func(t *testing.T) {
			s := newShelf()
			e := testEngine(t, s, fmt.Sprintf("chain: x\nsummary: A test.\ntrigger: %s\nsteps: [{node: move, with: {state: UPDATING}}, {node: boom, with: {code: %s}}, {node: say, with: {text: a}}]\n", x.event, x.code))
			replies, err := e.Handle(t.Context(), ota.Message{Event: x.event, Tenant: "main", Device: "d", Values: []byte(`{}`)})
			if ota.CodeOf(err) != x.want {
				t.Errorf("error %v, want code %q", err, x.want)
			}
			if s.device().Firmware.Update.State != ota.Queued {
				t.Error("half of the run was kept")
			}
			if x.said != "" && (len(replies) != 1 || replies[0].Code != x.said) {
				t.Errorf("the asker hears %+v", replies)
			}
			turn := s.last()
			if got := turn != nil && turn.Dead != nil; got != x.dead {
				t.Fatalf("dead letter: %v", got)
			}
			if x.dead && (turn.Dead.Chain != "x" || turn.Dead.Step != "boom" || turn.Dead.Reason == "" || turn.Dead.Message.Event != x.event) {
				t.Errorf("%+v", turn.Dead)
			}
		})
	}
}

func TestStoreAway(t *testing.T) {
	s := newShelf()
	s.away = ota.Errorf(ota.Busy, "commit", "redis is away")
	if replies, err := testEngine(t, s, moving).Handle(t.Context(), telemetry(`{}`)); ota.CodeOf(err) != ota.Busy || len(replies) > 0 {
		t.Errorf("%v, %v: nothing may be said that is not stored", replies, err)
	}
}

// TestTurnOutlivesItsAsker: who hangs up does not undo what was begun.
func TestTurnOutlivesItsAsker(t *testing.T) {
	s := newShelf()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := testEngine(t, s, moving).Handle(ctx, telemetry(`{}`)); err != nil || len(s.turns) != 1 {
		t.Errorf("%v, %d turns", err, len(s.turns))
	}
}

func TestTurnHasADeadline(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, head+"limits: {time: 20ms}\nsteps: [{node: slow}, {node: move, with: {state: UPDATING}}]\n")
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); ota.CodeOf(err) != ota.Busy || len(s.turns) > 0 {
		t.Errorf("%v, %d turns", err, len(s.turns))
	}
}

// TestDueTimeout: a time-out whose chain fails is kept as a dead letter and comes
// again later, and not at once for ever.
func TestDueTimeout(t *testing.T) {
	s := newShelf()
	if err := s.device().Firmware.Initiate(time.Hour, testTime); err != nil {
		t.Fatal(err)
	}
	s.now = testTime.Add(time.Hour)
	e := testEngine(t, s, "chain: x\nsummary: A test.\ntrigger: state_timeout\nsteps: [{node: boom, with: {code: internal}}, {node: settle}]\n")
	origin := &ota.Origin{Key: "k"}
	m := ota.Message{Event: ota.Due, Tenant: "main", Device: "d", Key: "t:firmware", Began: origin} // as the schedule says it
	if _, err := e.Handle(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	turn := s.last()
	if turn.Dead == nil || turn.Began != origin || turn.Dead.Message.Event != ota.StateTimeout || turn.Dead.Message.Began != nil {
		t.Errorf("%+v, dead letter %+v", turn, turn.Dead)
	}
	if at := s.device().Firmware.Update.Deadline(); !at.Equal(s.now.Add(againTimeout)) {
		t.Errorf("it comes again at %v", at)
	}
	if _, err := e.Handle(t.Context(), m); err != nil || s.last().Dead != nil {
		t.Errorf("an entry that is not due any more only goes: %v, %+v", err, s.last().Dead)
	}
}

func TestWait(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, head+"vars: {n: 1}\nsteps:\n  - {node: set, with: {n: \"${vars.n + 1}\"}}\n  - {node: wait, with: {for: 1h}}\n  - {node: move, with: {state: \"${vars.n == 2 ? 'UPDATING' : 'FAILED'}\"}}\n")
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil || len(s.homes[thing].Parked) != 1 {
		t.Fatalf("%v, parked %+v", err, s.homes[thing].Parked)
	}
	dues := s.homes[thing].Dues()
	key := dues[len(dues)-1].Key
	s.now = s.now.Add(time.Hour)
	due := ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: key, Began: &ota.Origin{Key: key}}
	for range 2 { // the second time it is gone
		if _, err := e.Handle(t.Context(), due); err != nil {
			t.Fatal(err)
		}
	}
	if s.device().Firmware.Update.State != ota.Updating || len(s.homes[thing].Parked) > 0 {
		t.Errorf("state %s, parked %+v", s.device().Firmware.Update.State, s.homes[thing].Parked)
	}
}

// TestFirstWord: after a silence, the first word is a connect before it is what
// it says.
func TestFirstWord(t *testing.T) {
	s := newShelf()
	s.device().Heard = testTime.Add(-time.Hour)
	s.device().Firmware.Update.Away = true
	e := testEngine(t, s, asking, "chain: c\nsummary: A test.\ntrigger: connected\nsteps: [{node: move, with: {state: UPDATING}}]\n")
	ask := ota.Message{Event: ota.AttributesRequested, Tenant: "main", Device: "d", Transport: "http"}
	for range 2 {
		if _, err := e.Handle(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.turns) != 1 || s.device().Firmware.Update.State != ota.Updating || !s.device().Heard.Equal(testTime) || s.device().Firmware.Update.Away {
		t.Errorf("%d turns, %+v", len(s.turns), s.device())
	}
	s.now = s.now.Add(touchHeard)
	if _, err := e.Handle(t.Context(), ask); err != nil || len(s.turns) != 2 || !s.device().Heard.Equal(s.now) {
		t.Errorf("now and then it is written that it is there: %v, %d turns, %v", err, len(s.turns), s.device().Heard)
	}
	poll := ota.Message{Event: ota.Touch, Tenant: "main", Device: "d", Transport: "http"}
	if _, err := e.Handle(t.Context(), poll); err != nil || len(s.turns) != 2 {
		t.Errorf("a poll of a device that was heard lately writes nothing: %v, %d turns", err, len(s.turns))
	}
	s.now = s.now.Add(touchHeard)
	if _, err := e.Handle(t.Context(), poll); err != nil || len(s.turns) != 3 || !s.device().Heard.Equal(s.now) {
		t.Errorf("now and then a poll is a word: %v, %d turns, %v", err, len(s.turns), s.device().Heard)
	}
}

func TestFinishedIsHeardOncePerChain(t *testing.T) {
	s := newShelf()
	listen := "chain: %s\nsummary: A test.\ntrigger: update_finished\nsteps: [{node: say, with: {text: a}}, {node: move, with: {state: \"${update.state}\"}}]\n"
	e := testEngine(t, s, head+"steps: [{node: move, with: {state: FAILED}}]\n", fmt.Sprintf(listen, "l1"), fmt.Sprintf(listen, "l2"))
	for range 2 { // the second report ends nothing
		if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if p := s.homes[thing].Pending; len(p) != 2 || p[0].Chain != "l1" || p[1].Chain != "l2" || p[0].State != ota.Failed {
		t.Fatalf("pending %+v", p)
	}
	for _, d := range s.homes[thing].Dues() {
		if _, err := e.Handle(t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: d.Key, Began: &ota.Origin{Key: d.Key}}); err != nil {
			t.Fatal(err)
		}
	}
	if p := s.homes[thing].Pending; len(p) != 0 {
		t.Errorf("still pending %+v", p)
	}
}

func TestObserver(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, moving, "chain: o\nsummary: A test.\ntrigger: {event: telemetry, observe: true}\nsteps: [{node: boom}]\n")
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil || s.device().Firmware.Update.State != ota.Updating {
		t.Errorf("an observer's failure is nothing to the device: %v", err)
	}
}

// TestSessionsOfTheDead: where nobody hears a push, the sessions that other
// processes had are gone with them.
func TestSessionsOfTheDead(t *testing.T) {
	s := newShelf()
	s.heard = false
	s.device().OpenSession(ota.Session{ID: ota.SessionID{Process: "dead", Num: 1}})
	s.device().OpenSession(ota.Session{ID: ota.SessionID{Process: "me", Num: 2}})
	push := Define(Spec{Name: "push", Outlets: []Outlet{{Name: "done"}}, Writes: true, Subject: Device}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			r.Push(ota.Reply{Word: ota.SayOffer})
			return "done", nil
		}), nil
	})
	reg, err := NewRegistry([]Factory{push})
	if err != nil {
		t.Fatal(err)
	}
	set, err := Compile(sources(head+"steps: [{node: push}]\n"), reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Process: "me", Log: slog.New(slog.DiscardHandler)})
	if _, err := e.Handle(t.Context(), telemetry(`{}`)); err != nil {
		t.Fatal(err)
	}
	e.Wait()
	if left := s.device().Sessions; len(left) != 1 || left[0].ID.Process != "me" || len(s.sent) != 1 || !s.sent[0].Push || s.sent[0].Device != "d" {
		t.Errorf("sessions %+v, sent %+v", left, s.sent)
	}
}

// TestOneTurnAtATime: turns of one device that come at once all count.
func TestOneTurnAtATime(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, moving)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := e.Handle(context.Background(), telemetry(`{}`)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.homes[thing].Version != 33 || e.Counts().Conflicts.Load() != 0 {
		t.Errorf("version %d, %d conflicts: the lock keeps them apart", s.homes[thing].Version, e.Counts().Conflicts.Load())
	}
}

// TestRolloutWithoutItsPackage: what can never be done is kept for people, and
// does not come again for ever.
func TestRolloutWithoutItsPackage(t *testing.T) {
	s := newShelf()
	r := ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: "r"}
	h := &ota.Home{Ref: r, Version: 1, Rollout: &ota.Rollout{ID: "r", Tenant: "main", Package: "gone", Chain: "x", State: ota.RolloutRunning}}
	h.Post(ota.Pending{At: testTime, Event: ota.RolloutStarted})
	s.homes[r] = h
	e := testEngine(t, s, "chain: x\nsummary: A test.\ntrigger: rollout\nsteps: [{node: stage, with: {share: 100%}}]\n")
	if _, err := e.Handle(t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: r, Key: "e:1", Began: &ota.Origin{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if turn := s.last(); turn == nil || turn.Dead == nil || len(s.homes[r].Pending) != 0 {
		t.Errorf("%+v, pending %+v", turn, s.homes[r].Pending)
	}
}
