package facts

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// shelf is a store that counts what it is asked.
type shelf struct {
	Store // what is not below is not asked

	mu     sync.Mutex
	homes  map[ota.Ref]*ota.Home
	rev    int64
	asked  map[string]int
	during func() // called while a question is on its way back
	err    error
}

func newShelf(homes ...*ota.Home) *shelf {
	s := &shelf{homes: map[ota.Ref]*ota.Home{}, asked: map[string]int{}, rev: 1}
	for _, h := range homes {
		s.homes[h.Ref] = h
	}
	return s
}

// ask counts a question and lets during happen behind its answer.
func (s *shelf) ask(what string) func() {
	s.mu.Lock()
	s.asked[what]++
	return func() {
		f := s.during
		s.mu.Unlock()
		if f != nil {
			f()
		}
	}
}

func (s *shelf) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	defer s.ask("get")()
	if s.err != nil {
		return nil, s.err
	}
	if h := s.homes[r]; h != nil {
		return h.Clone(), nil
	}
	return nil, ota.Errorf(ota.NotFound, "get", "none")
}

func (s *shelf) ByKey(_ context.Context, token string) (ota.Ref, error) {
	defer s.ask("token")()
	for r, h := range s.homes {
		if h.Device != nil && h.Device.Credentials.Token == token {
			return r, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "none")
}

func (s *shelf) Find(_ context.Context, _ ota.TenantID, typ ota.RefType, text string) (ota.Ref, error) {
	defer s.ask("find")()
	for r, h := range s.homes {
		if r.Type == typ && h.Name() == text {
			return r, nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "find", "none")
}

func (s *shelf) Values(context.Context, ota.Ref, ota.Scope, []string) ([]ota.Value, error) {
	defer s.ask("values")()
	return []ota.Value{{Key: "a"}, {Key: "b"}, {Key: "c"}}, nil
}

func (s *shelf) Revision(context.Context, ota.TenantID) (int64, error) {
	defer s.ask("revision")()
	return s.rev, nil
}

func (s *shelf) Commit(_ context.Context, t *ota.Turn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if have := s.homes[t.Home.Ref]; have != nil && have.Version != t.Home.Version {
		return ota.Errorf(ota.Conflict, "commit", "somebody was faster")
	}
	if t.Raise {
		s.rev++
	}
	for _, h := range append([]*ota.Home{t.Home}, t.Also...) {
		h.Version++
		if h.Job != nil {
			h.Job.Revision = s.rev
		}
		s.homes[h.Ref] = h.Clone()
	}
	if t.Delete {
		delete(s.homes, t.Home.Ref)
	}
	return nil
}

func (s *shelf) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked[what]
	s.asked[what] = 0
	return n
}

const tenant = ota.DefaultTenant

var (
	deviceRef  = ota.Ref{Tenant: tenant, Type: ota.DeviceRef, ID: "d"}
	profileRef = ota.Ref{Tenant: tenant, Type: ota.ProfileRef, ID: "p"}
	jobRef     = ota.Ref{Tenant: tenant, Type: ota.JobRef, ID: "j"}
)

func aDevice() *ota.Home {
	return &ota.Home{Ref: deviceRef, Version: 1, Device: &ota.Device{ID: "d", Tenant: tenant, Name: "pump", Credentials: ota.Credentials{Token: "secret"}}}
}

func aProfile() *ota.Home {
	return &ota.Home{Ref: profileRef, Version: 1, Profile: &ota.Profile{ID: "p", Tenant: tenant, Name: "pumps"}}
}

// inBubble runs a test on a clock that only its waiting moves.
func inBubble(t *testing.T, s *shelf, o Options, test func(t *testing.T, c *Copies)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := New(s, o)
		defer c.Close()
		test(t, c)
	})
}

// wait lets time pass.
func wait(d time.Duration) { <-time.After(d) }

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantAsked(t *testing.T, s *shelf, what string, want int) {
	t.Helper()
	if n := s.count(what); n != want {
		t.Errorf("the store was asked %d times for %s, want %d", n, what, want)
	}
}

func TestCopiesAreFiveSecondsOldAtMost(t *testing.T) {
	ask := map[string]func(context.Context, *Copies) error{
		"get":   func(ctx context.Context, c *Copies) error { _, err := c.Get(ctx, deviceRef); return err },
		"token": func(ctx context.Context, c *Copies) error { _, err := c.ByKey(ctx, "secret"); return err },
		"find": func(ctx context.Context, c *Copies) error {
			_, err := c.Find(ctx, tenant, ota.DeviceRef, "pump")
			return err
		},
		"values": func(ctx context.Context, c *Copies) error {
			_, err := c.Values(ctx, deviceRef, ota.SharedScope, nil)
			return err
		},
		"revision": func(ctx context.Context, c *Copies) error { _, err := c.Revision(ctx, tenant); return err },
	}
	for what, f := range ask {
		s := newShelf(aDevice())
		inBubble(t, s, Options{}, func(t *testing.T, c *Copies) {
			for range 3 {
				if err := f(t.Context(), c); err != nil {
					t.Fatal(what, err)
				}
			}
			wantAsked(t, s, what, 1)
			for _, later := range []struct {
				wait  time.Duration
				asked int
			}{{4900 * time.Millisecond, 0}, {200 * time.Millisecond, 1}} {
				wait(later.wait)
				if err := f(t.Context(), c); err != nil {
					t.Fatal(what, err)
				}
				wantAsked(t, s, what, later.asked)
			}
		})
	}
}

func TestManyAskOnce(t *testing.T) {
	s := newShelf(aDevice())
	inBubble(t, s, Options{}, func(t *testing.T, c *Copies) {
		s.during = func() { wait(time.Second) }
		gone, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if i == 0 { // the one who asked first hangs up
					if _, err := c.Get(gone, deviceRef); ota.CodeOf(err) != ota.Busy {
						t.Errorf("who hangs up gets %v", err)
					}
					return
				}
				wait(time.Millisecond)
				if _, err := c.Get(t.Context(), deviceRef); err != nil {
					t.Error(err)
				}
			})
		}
		wait(100 * time.Millisecond)
		cancel()
		all.Wait()
		wantAsked(t, s, "get", 1)
	})
}

func TestOwnCommitIsSeenAtOnce(t *testing.T) {
	s := newShelf(aDevice())
	inBubble(t, s, Options{}, func(t *testing.T, c *Copies) {
		h := must(c.Load(t.Context(), deviceRef))(t)
		// Another question is on its way back with the old home when the commit ends.
		slow := make(chan struct{})
		s.during = func() { <-slow }
		c.Drop(deviceRef)
		var reader sync.WaitGroup
		reader.Go(func() { _, _ = c.Get(t.Context(), deviceRef) })
		synctest.Wait()
		s.during = nil
		h.Device.Name, h.Device.Credentials.Token = "valve", "other"
		if err := c.Commit(t.Context(), &ota.Turn{Home: h, Was: aDevice()}); err != nil {
			t.Fatal(err)
		}
		h.Device.Name = "changed by its owner after the commit"
		close(slow)
		reader.Wait()
		s.count("get")
		if got := must(c.Get(t.Context(), deviceRef))(t); got.Device.Name != "valve" || got.Version != 2 {
			t.Errorf("after the commit the copy is %+v, version %d", got.Device, got.Version)
		}
		wantAsked(t, s, "get", 0)
		if _, err := c.ByKey(t.Context(), "secret"); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("the old token gives %v", err)
		}
		if _, err := c.Find(t.Context(), tenant, ota.DeviceRef, "pump"); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("the old name gives %v", err)
		}
		if err := c.Commit(t.Context(), &ota.Turn{Home: must(c.Load(t.Context(), deviceRef))(t), Delete: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), deviceRef); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("deleted, it is %v", err)
		}
		if _, err := c.ByKey(t.Context(), "other"); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("deleted, its token gives %v", err)
		}
	})
}

func TestLoadIsTheCallers(t *testing.T) {
	c := New(newShelf(aDevice()), Options{})
	defer c.Close()
	must(c.Load(t.Context(), deviceRef))(t).Device.Name = "changed"
	if got := must(c.Get(t.Context(), deviceRef))(t); got.Device.Name != "pump" {
		t.Error("a loaded home is the copy itself")
	}
}

func TestConflictReadsAfresh(t *testing.T) {
	s := newShelf(aDevice())
	c := New(s, Options{})
	defer c.Close()
	h := must(c.Load(t.Context(), deviceRef))(t)
	s.homes[deviceRef].Version = 7 // another process wrote
	err := c.Commit(t.Context(), &ota.Turn{Home: h})
	if ota.CodeOf(err) != ota.Conflict {
		t.Fatalf("an old copy commits: %v", err)
	}
	if got := must(c.Load(t.Context(), deviceRef))(t); got.Version != 7 {
		t.Errorf("after the conflict version %d is loaded", got.Version)
	}
	if c.Fresh() != Store(s) {
		t.Error("fresh is not the store")
	}
	// A Busy leaves open what was written.
	s.count("get")
	s.err = &ota.Error{Code: ota.Busy, Err: errors.New("away")}
	if err := c.Commit(t.Context(), &ota.Turn{Home: h}); ota.CodeOf(err) != ota.Busy {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), deviceRef); ota.CodeOf(err) != ota.Busy {
		t.Errorf("a copy that may be wrong is believed: %v", err)
	}
}

func TestRevisionOutdatesProfiles(t *testing.T) {
	s := newShelf(aDevice(), aProfile())
	inBubble(t, s, Options{}, func(t *testing.T, c *Copies) {
		see := func() (int64, string) {
			n := must(c.Revision(t.Context(), tenant))(t)
			return n, must(c.Get(t.Context(), profileRef))(t).Profile.Name
		}
		see()
		wait(3 * time.Second)
		must(c.Get(t.Context(), profileRef))(t)
		// Another process changes the profile and raises the revision.
		s.homes[profileRef].Profile.Name, s.rev = "changed", 2
		if n, name := see(); n != 1 || name != "pumps" {
			t.Errorf("with copies that are old together one sees %d, %q", n, name)
		}
		for range 6 {
			wait(time.Second)
			if n, name := see(); n == 2 && name != "changed" {
				t.Fatalf("revision %d goes with profile %q", n, name)
			}
		}
		if n, _ := see(); n != 2 {
			t.Errorf("after five seconds the revision is still %d", n)
		}
		// This process changes another one: what was read of the first before may
		// lack what others did in between.
		s.homes[profileRef].Profile.Name, s.rev = "changed again", 3
		other := &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.ProfileRef, ID: "q"}, Profile: &ota.Profile{ID: "q", Tenant: tenant}}
		job := &ota.Home{Ref: jobRef, Job: &ota.Job{ID: "j", Tenant: tenant}}
		if err := c.Commit(t.Context(), &ota.Turn{Home: other, Raise: true, Also: []*ota.Home{job}}); err != nil {
			t.Fatal(err)
		}
		s.count("revision")
		s.count("get")
		if n, name := see(); n != 4 || name != "changed again" {
			t.Errorf("after the own commit one sees %d, %q", n, name)
		}
		must(c.Get(t.Context(), other.Ref))(t)
		wantAsked(t, s, "revision", 0)
		wantAsked(t, s, "get", 1)
	})
}

func TestUnknownTokens(t *testing.T) {
	s := newShelf()
	inBubble(t, s, Options{}, func(t *testing.T, c *Copies) {
		for range 100 {
			if _, err := c.ByKey(t.Context(), "secret"); ota.CodeOf(err) != ota.NotFound {
				t.Fatal(err)
			}
		}
		wantAsked(t, s, "token", 1)
		h := aDevice()
		h.Version = 0
		if err := c.Commit(t.Context(), &ota.Turn{Home: h}); err != nil {
			t.Fatal(err)
		}
		if r := must(c.ByKey(t.Context(), "secret"))(t); r != deviceRef {
			t.Errorf("a device made here is not known by its token at once: %v", r)
		}
		if _, err := c.ByKey(t.Context(), "later"); err == nil {
			t.Fatal("known")
		}
		s.homes[deviceRef].Device.Credentials.Token = "later" // by another process
		wait(1100 * time.Millisecond)
		must(c.ByKey(t.Context(), "later"))(t)
	})
}

func TestOthersAreTold(t *testing.T) {
	s := newShelf(aDevice(), aProfile())
	type word struct {
		to   string
		refs []ota.Ref
	}
	var said []word
	c := New(s, Options{Process: "a", Tell: func(process string, refs []ota.Ref) { said = append(said, word{process, refs}) }})
	defer c.Close()
	other := New(s, Options{Process: "b"})
	defer other.Close()
	must(other.Get(t.Context(), profileRef))(t)
	must(other.ByKey(t.Context(), "secret"))(t)
	must(other.Get(t.Context(), deviceRef))(t)
	p := must(c.Load(t.Context(), profileRef))(t)
	p.Profile.Name = "changed"
	if err := c.Commit(t.Context(), &ota.Turn{Home: p, Raise: true, Also: []*ota.Home{{Ref: jobRef, Job: &ota.Job{}}}}); err != nil {
		t.Fatal(err)
	}
	d := must(c.Load(t.Context(), deviceRef))(t)
	for _, process := range []string{"a", "b", "b", "c"} {
		d.Device.Sessions = append(d.Device.Sessions, ota.Session{ID: ota.SessionID{Process: process}})
	}
	if err := c.Commit(t.Context(), &ota.Turn{Home: d}); err != nil {
		t.Fatal(err)
	}
	want := []word{{"", []ota.Ref{profileRef}}, {"b", []ota.Ref{deviceRef}}, {"c", []ota.Ref{deviceRef}}}
	if !slices.EqualFunc(said, want, func(a, b word) bool { return a.to == b.to && slices.Equal(a.refs, b.refs) }) {
		t.Errorf("others are told %v, want %v", said, want)
	}
	other.Drop(profileRef, deviceRef)
	if got := must(other.Get(t.Context(), profileRef))(t); got.Profile.Name != "changed" {
		t.Error("a dropped copy is still served")
	}
	if n := must(other.Revision(t.Context(), tenant))(t); n != 2 {
		t.Errorf("the revision is still %d", n)
	}
	s.count("token")
	must(other.ByKey(t.Context(), "secret"))(t)
	wantAsked(t, s, "token", 1)
}

func TestValuesByKey(t *testing.T) {
	c := New(newShelf(), Options{})
	defer c.Close()
	for _, test := range []struct{ keys, want []string }{
		{nil, []string{"a", "b", "c"}}, {[]string{}, nil}, {[]string{"c", "x", "a", "c"}, []string{"a", "c"}}, {[]string{"x"}, nil},
	} {
		var got []string
		for _, v := range must(c.Values(t.Context(), deviceRef, ota.SharedScope, test.keys))(t) {
			got = append(got, v.Key)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("of %v there are %v, want %v", test.keys, got, test.want)
		}
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	c := New(newShelf(aDevice(), aProfile()), Options{})
	defer c.Close()
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		r, err1 := c.ByKey(ctx, "secret")
		_, err2 := c.Revision(ctx, tenant)
		_, err3 := c.Get(ctx, r)
		_, err4 := c.Get(ctx, profileRef)
		if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
			t.Fatal(err1, err2, err3, err4)
		}
	})
	if n != 0 {
		t.Errorf("a chunk's worth of hits allocates %v times", n)
	}
}

func BenchmarkHit(b *testing.B) {
	c := New(newShelf(aDevice(), aProfile()), Options{Age: time.Hour})
	defer c.Close()
	ctx := b.Context()
	for _, bench := range []struct {
		name string
		ask  func() error
	}{
		{"token", func() error { _, err := c.ByKey(ctx, "secret"); return err }},
		{"device", func() error { _, err := c.Get(ctx, deviceRef); return err }},
		{"profile", func() error { _, err := c.Get(ctx, profileRef); return err }},
		{"revision", func() error { _, err := c.Revision(ctx, tenant); return err }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
