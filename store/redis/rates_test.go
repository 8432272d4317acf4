package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/store/storetest"
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
}

// TestRates is the suite of all stores.
func TestRates(t *testing.T) {
	for name, start := range map[string]func(testing.TB) goredis.UniversalClient{
		"memory": func(t testing.TB) goredis.UniversalClient { c, _ := redistest.Memory(t); return c },
		"server": redistest.Single, "cluster": redistest.Cluster,
	} {
		t.Run(name, func(t *testing.T) {
			client := start(t)
			a, b := redis.New(client), redis.New(client)
			defer a.Close()
			defer b.Close()
			storetest.Rates(t, a, b)
		})
	}
}
