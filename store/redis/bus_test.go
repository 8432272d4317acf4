package redis

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
)

func TestBuses(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			storetest.Buses(t, func(t *testing.T) func(string) ota.Bus {
				emptied(t, c)
				return func(process string) ota.Bus {
					s := New(c)
					t.Cleanup(func() { s.Close() })
					b, err := NewBus(s, process)
					if err != nil {
						t.Fatal(err)
					}
					return b
				}
			})
		})
	}
}

func TestNamesOfProcesses(t *testing.T) {
	for _, name := range []string{"", "a|b", "a\nb"} {
		if _, err := NewBus(&Store{}, name); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("a bus of %q: %v", name, err)
		}
		if _, err := NewOwner(&Store{}, name); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("an owner of %q: %v", name, err)
		}
	}
}

func FuzzDecodeWords(f *testing.F) {
	good, err := encodeWords([]ota.Reply{{Word: ota.SayOffer, Section: ota.Section{Package: &ota.Package{ID: "t"}}, Body: []byte{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("[{}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		words, err := decodeWords(text)
		if err != nil {
			return
		}
		again, err := encodeWords(words)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeWords(again); err != nil || len(back) != len(words) || len(words) > 0 && !reflect.DeepEqual(back[0].Word, words[0].Word) {
			t.Fatalf("%+v comes back as %+v, %v", words, back, err)
		}
	})
}

func TestCopiesAreDroppedElsewhere(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			heard := map[string]chan ota.Ref{}
			buses := map[string]*Bus{}
			var all sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for _, process := range []string{"a", "b", "c"} {
				s := New(c)
				t.Cleanup(func() { s.Close() })
				b, err := NewBus(s, process)
				if err != nil {
					t.Fatal(err)
				}
				ch := make(chan ota.Ref, 1000)
				b.OnDrop(func(refs []ota.Ref) {
					for _, r := range refs {
						ch <- r
					}
				})
				heard[process], buses[process] = ch, b
				all.Go(func() { _ = b.Listen(ctx, func([]ota.Reply) {}) })
			}
			defer all.Wait()
			defer cancel()
			everybody := ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "to everybody"}
			one := ota.Ref{Tenant: "main", Type: ota.DeviceRef, ID: "to b"}
			// Until all have subscribed, what is said is lost.
			for process, want := range map[string]ota.Ref{"b": everybody, "c": everybody} {
				eventually(t, process+" hears", func() bool {
					buses["a"].Tell("", []ota.Ref{everybody})
					select {
					case r := <-heard[process]:
						return r == want
					default:
						return false
					}
				})
			}
			eventually(t, "b hears what is for it alone", func() bool {
				buses["a"].Tell("b", []ota.Ref{one})
				for {
					select {
					case r := <-heard["b"]:
						if r == one {
							return true
						}
					default:
						return false
					}
				}
			})
			for _, process := range []string{"a", "c"} {
				for more := true; more; {
					select {
					case r := <-heard[process]:
						if process == "a" || r == one {
							t.Errorf("%s hears %v", process, r)
						}
					default:
						more = false
					}
				}
			}
		})
	}
}

// A bus outlives its Redis.
func TestBusSubscribesAgain(t *testing.T) {
	server := redistest.StartServer(t, true)
	c := server.Client(t)
	s := New(c)
	t.Cleanup(func() { s.Close() })
	a, err := NewBus(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBus(s, "b")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { _ = b.Listen(ctx, func([]ota.Reply) {}) })
	defer listening.Wait()
	defer cancel()
	hears := func() bool {
		heard, err := a.Publish(t.Context(), "b", []ota.Reply{{Word: ota.SayOffer}})
		return heard && err == nil
	}
	eventually(t, "b hears", hears)
	server.Kill()
	if _, err := a.Publish(t.Context(), "b", []ota.Reply{{}}); ota.CodeOf(err) != ota.Busy {
		t.Errorf("without Redis words give %v, want busy", err)
	}
	server.Start(t)
	eventually(t, "b hears again", hears)
}

// The slot of a process's channel moves to another master: the process
// subscribes there, and its words find it.
func TestBusFollowsItsSlot(t *testing.T) {
	c, ok := redistest.Cluster(t).(*redis.ClusterClient)
	if !ok {
		t.Fatal("no cluster")
	}
	s := New(c)
	t.Cleanup(func() { s.Close() })
	a, err := NewBus(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBus(s, "b")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { _ = b.Listen(ctx, func([]ota.Reply) {}) })
	defer listening.Wait()
	defer cancel()
	hears := func() bool {
		heard, err := a.Publish(t.Context(), "b", []ota.Reply{{Word: ota.SayOffer}})
		return heard && err == nil
	}
	eventually(t, "b hears", hears)
	slot, err := c.ClusterKeySlot(t.Context(), busChannel("b")).Result()
	if err != nil {
		t.Fatal(err)
	}
	name := func(ctx context.Context, m *redis.Client) string {
		id, err := m.Do(ctx, "cluster", "myid").Text()
		if err != nil {
			t.Error(err)
		}
		return id
	}
	from, err := c.MasterForKey(t.Context(), busChannel("b"))
	if err != nil {
		t.Fatal(err)
	}
	owner, other := name(t.Context(), from), ""
	var mu sync.Mutex
	var masters []*redis.Client
	err = c.ForEachMaster(t.Context(), func(ctx context.Context, m *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, m)
		if id := name(ctx, m); id != owner {
			other = id
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range masters {
		if err := m.Do(t.Context(), "cluster", "setslot", slot, "node", other).Err(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the client knows the new master", func() bool {
		m, err := c.MasterForKey(t.Context(), busChannel("b"))
		return err == nil && name(t.Context(), m) == other
	})
	eventually(t, "b hears there", hears)
}
