package redis_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

func TestTake(t *testing.T) {
	client, mini := redistest.Memory(t)
	s := redis.New(client)
	defer s.Close()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	take := func(at time.Duration, name string, p ota.Pace, burst int, want time.Duration) {
		t.Helper()
		mini.SetTime(now.Add(at))
		got, err := s.Take(t.Context(), "main", name, p, burst)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("after %s: wait %s, want %s", at, got, want)
		}
	}
	six := ota.Pace{Count: 10, Every: time.Hour} // a token every six minutes
	for range 3 {
		take(0, "a", six, 3, 0)
	}
	take(0, "a", six, 3, 6*time.Minute)
	take(0, "b", six, 3, 0) // another bucket
	take(time.Minute, "a", six, 3, 5*time.Minute)
	take(6*time.Minute, "a", six, 3, 0)
	take(6*time.Minute, "a", six, 3, 6*time.Minute)
	take(6*time.Minute, "a", six, 4, 0)             // a larger bucket
	take(6*time.Minute, "a", six, 1, 6*time.Minute) // a smaller one holds nobody up for longer than its size
	mini.FastForward(time.Hour)
	for range 3 {
		take(3*time.Hour, "a", six, 3, 0)
	}
	take(3*time.Hour, "a", six, 3, 6*time.Minute)
	for range 100 {
		take(3*time.Hour, "a", ota.Pace{}, 1, 0) // unlimited
	}
	if _, err := s.Take(t.Context(), "main", "a", ota.Pace{Every: time.Hour}, 1); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("no pace at all: %v", err)
	}
	if keys := mini.Keys(); len(keys) != 2 && len(keys) != 1 {
		t.Errorf("keys %v", keys)
	}
}

// TestTakeTogether lets two processes take from one bucket at the same time.
func TestTakeTogether(t *testing.T) {
	client, mini := redistest.Memory(t)
	a, b := redis.New(client), redis.New(client)
	defer a.Close()
	defer b.Close()
	mini.SetTime(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC))
	var took atomic.Int64
	var wg sync.WaitGroup
	for _, s := range []*redis.Store{a, b} {
		for range 4 {
			wg.Go(func() {
				for range 20 {
					wait, err := s.Take(t.Context(), "main", "x", ota.Pace{Count: 1, Every: time.Hour}, 25)
					if err != nil {
						t.Error(err)
					}
					if wait == 0 {
						took.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := took.Load(); n != 25 {
		t.Errorf("%d tokens were taken of 25", n)
	}
}
