package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// deaf is a connection that loses the next answer when told to.
type deaf struct {
	net.Conn
	lose *atomic.Bool
}

func (d deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if n > 0 && d.lose.CompareAndSwap(true, false) {
		d.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func TestLostAnswerIsNoSecondCommit(t *testing.T) {
	srv := redistest.StartServer(t, false)
	var lose atomic.Bool
	c := redis.NewClient(&redis.Options{Protocol: 2, DisableIdentity: true, Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, srv.Network, srv.Addr)
		return deaf{conn, &lose}, err
	}})
	t.Cleanup(func() { _ = c.Close() })
	s := open(t, c)
	ctx := t.Context()
	h := oneDevice(t, s)
	for i := range 20 {
		x := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Dead: &ota.DeadLetter{ID: fmt.Sprint(i)}}
		h.Device.Updates++
		lose.Store(true)
		if err := s.Commit(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	if lose.Load() {
		t.Error("no answer was lost")
	}
	stored, err := s.Load(ctx, h.Ref)
	if err != nil || stored.Version != h.Version || stored.Device.Updates != h.Device.Updates {
		t.Errorf("%+v, %v", stored, err)
	}
	if dead, err := s.DeadLetters(ctx, "main", 100); err != nil || len(dead) != 20 {
		t.Errorf("%d dead letters, %v", len(dead), err)
	}
}

func TestScriptsComeBackAfterAFlush(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			s := open(t, c)
			h := oneDevice(t, s)
			for range 3 {
				if err := c.ScriptFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				var wait sync.WaitGroup
				for i := range 20 {
					wait.Go(func() {
						one := sampleDevice(uint64(1000 + i))
						one.Device.Name, one.Device.Credentials.Token = ota.NewID(), ota.NewID()
						if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: one}); err != nil && ota.CodeOf(err) != ota.Conflict {
							t.Error(err)
						}
					})
				}
				wait.Wait()
				x := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h}
				if err := s.Commit(t.Context(), x); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestTroubleIsBusy(t *testing.T) {
	srv := redistest.StartServer(t, false)
	s := open(t, srv.Client(t))
	ctx := t.Context()
	h := oneDevice(t, s)
	srv.Kill()
	for name, do := range map[string]func() error{
		"commit": func() error { return s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h}) },
		"load":   func() error { _, err := s.Load(ctx, h.Ref); return err },
		"find":   func() error { _, err := s.Find(ctx, "main", ota.DeviceRef, "x"); return err },
		"token":  func() error { _, err := s.ByKey(ctx, "x"); return err },
		"values": func() error { _, err := s.Values(ctx, h.Ref, ota.SharedScope, nil); return err },
		"list": func() error {
			_, err := s.List(ctx, ota.Query{Tenant: "main", Type: ota.DeviceRef, Limit: 1})
			return err
		},
		"counts":   func() error { _, err := s.Counts(ctx, "main", ota.Firmware, ""); return err },
		"revision": func() error { _, err := s.Revision(ctx, "main"); return err },
		"number":   func() error { _, err := s.NewDevice(ctx, "main", "x"); return err },
		"check":    func() error { _, err := s.Check(ctx); return err },
	} {
		if err := do(); ota.CodeOf(err) != ota.Busy {
			t.Errorf("%s: %v has code %q, want busy", name, err, ota.CodeOf(err))
		}
	}
	if v := h.Version; v != 1 {
		t.Errorf("version %d after a commit that failed", v)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Load(cancelled, h.Ref); ota.CodeOf(err) != ota.Busy {
		t.Errorf("cancelled: %v", err)
	}
	late := New(srv.Client(t))
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Load(ctx, h.Ref); ota.CodeOf(err) != ota.Busy {
		t.Errorf("after Close: %v", err)
	}
}

type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

func TestCodesOfFailures(t *testing.T) {
	for said, want := range map[string]ota.Code{
		"LOADING Redis is loading the dataset in memory":                                           ota.Busy,
		"READONLY You can't write against a read only replica.":                                    ota.Busy,
		"CLUSTERDOWN The cluster is down":                                                          ota.Busy,
		"MISCONF Redis is configured to save RDB snapshots":                                        ota.Busy,
		"OOM command not allowed when used memory > 'maxmemory'.":                                  ota.Busy,
		"BUSY Redis is busy running a script.":                                                     ota.Busy,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                        ota.Internal,
		"CROSSSLOT Keys in request don't hash to the same slot":                                    ota.Internal,
		"ERR commit: unknown check x script: 0000000000000000000000000000000000000000, on @user_1": ota.Internal,
	} {
		if got := ota.CodeOf(fail("x", answer(said))); got != want {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
	}
	if got := ota.CodeOf(fail("x", fmt.Errorf("a defect"))); got != ota.Internal {
		t.Errorf("an error of ours: %s", got)
	}
	if err := fail("x", nil); err != nil {
		t.Errorf("nil: %v", err)
	}
	coded := ota.Errorf(ota.NotFound, "y", "z")
	if err := fail("x", coded); !errors.Is(err, coded) {
		t.Errorf("a coded one: %v", err)
	}
}

// Whatever moment Redis dies in, each home is whole, everything beside it too
// when it was recounted (the first time at once: mend.go says why), and with
// appendfsync always nothing that was acknowledged is missing.
func TestKilledRedisLosesNothingAcknowledged(t *testing.T) {
	srv := redistest.StartServer(t, false, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, srv.Client(t))
	o, err := NewOwner(s, "p")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const devices = 20
	var homes []*ota.Home
	for i := range devices {
		h := sampleDevice(uint64(i))
		h.Device.Credentials.Token += fmt.Sprint(i)
		if err := s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
		homes = append(homes, h)
	}
	for round := range 5 {
		stop := make(chan struct{})
		var wait sync.WaitGroup
		var acked atomic.Int64
		for _, h := range homes {
			wait.Go(func() { liveOn(ctx, s, h, stop, &acked) })
		}
		from := acked.Load()
		redistest.Eventually(t, func(context.Context) error {
			if n := acked.Load() - from; n < int64(100*(round+1)) {
				return fmt.Errorf("%d turns", n)
			}
			return nil
		})
		srv.Kill()
		close(stop)
		wait.Wait()
		srv.Start(t)
		redistest.Eventually(t, func(ctx context.Context) error { return s.c.Ping(ctx).Err() }) // the pool believes a server dead for a second
		if round > 0 {
			everything(t, o)
			mendAll(t, o)
		}
		if r, err := s.Check(ctx); err != nil || r.Err() != nil || r.Homes != devices {
			t.Fatalf("round %d: %d homes, %v, %v", round, r.Homes, r.Err(), err)
		}
		for i, h := range homes {
			got, err := s.Load(ctx, h.Ref)
			if err != nil || got.Version < h.Version || got.Version > h.Version+1 {
				t.Fatalf("round %d, device %d: acknowledged %d, stored %+v, %v", round, i, h.Version, got, err)
			}
			homes[i] = got
		}
	}
}

// liveOn moves a device through its states until told to stop or refused; h is
// left as it was acknowledged last.
func liveOn(ctx context.Context, s *Store, h *ota.Home, stop chan struct{}, acked *atomic.Int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	states := ota.States()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		next := h.Clone()
		x := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: next}
		next.Device.Firmware.Update.State = states[i%len(states)]
		next.Device.Firmware.Update.Entered = s.Now()
		if err := s.Commit(ctx, x); err != nil {
			return
		}
		*h = *next
		acked.Add(1)
	}
}

func TestBatchesShareAPipeline(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := open(t, c)
	h := oneDevice(t, s)
	var wait sync.WaitGroup
	for range 500 {
		wait.Go(func() {
			if _, err := s.Load(t.Context(), h.Ref); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestClockFollowsRedis(t *testing.T) {
	c, m := redistest.Memory(t)
	s := open(t, c)
	far := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC)
	m.SetTime(far)
	if err := s.SyncClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := s.Now().Sub(far); d < -time.Second || d > time.Minute {
		t.Errorf("now is %s off", d)
	}
	if ns := s.Now().Nanosecond() % int(time.Millisecond); ns != 0 {
		t.Errorf("now has %d ns", ns)
	}
}

func TestTokensAreNotStoredInKeys(t *testing.T) {
	c, m := redistest.Memory(t)
	h := oneDevice(t, open(t, c))
	for _, k := range m.Keys() {
		if strings.Contains(k, h.Device.Credentials.Token) {
			t.Errorf("key %s", k)
		}
	}
}
