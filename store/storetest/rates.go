package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Rates holds a store to what [ota.Rates] says; a and b are two processes over
// the same one, or twice the same process.
func Rates(t *testing.T, a, b ota.Rates) {
	const tenant = ota.TenantID("main")
	take := func(t *testing.T, r ota.Rates, name string, p ota.Pace, burst int) time.Duration {
		t.Helper()
		wait, err := r.Take(t.Context(), tenant, name, p, burst)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	hourly := ota.Pace{Count: 1, Every: time.Hour}
	t.Run("a bucket holds so many, for all together", func(t *testing.T) {
		for i, r := range []ota.Rates{a, b, a} {
			if wait := take(t, r, "three", hourly, 3); wait != 0 {
				t.Errorf("token %d: wait %s", i, wait)
			}
		}
		for _, r := range []ota.Rates{a, b} {
			if wait := take(t, r, "three", hourly, 3); wait <= 59*time.Minute || wait > time.Hour {
				t.Errorf("none is left: wait %s", wait)
			}
		}
		if wait := take(t, b, "another", hourly, 1); wait != 0 {
			t.Errorf("another bucket: wait %s", wait)
		}
		if wait, err := a.Take(t.Context(), "other", "three", hourly, 1); err != nil || wait != 0 {
			t.Errorf("another tenant: wait %s, %v", wait, err)
		}
	})
	t.Run("a bucket holds one at least", func(t *testing.T) {
		if wait := take(t, a, "least", hourly, 0); wait != 0 {
			t.Errorf("wait %s", wait)
		}
		if wait := take(t, a, "least", hourly, -3); wait <= 0 {
			t.Errorf("wait %s", wait)
		}
	})
	t.Run("unlimited", func(t *testing.T) {
		for range 20 {
			if wait := take(t, a, "free", ota.Pace{}, 1); wait != 0 {
				t.Fatalf("wait %s", wait)
			}
		}
	})
	t.Run("no pace at all", func(t *testing.T) {
		if _, err := a.Take(t.Context(), tenant, "none", ota.Pace{Every: time.Hour}, 1); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("error %v", err)
		}
	})
	t.Run("what is extreme is kept in bounds", func(t *testing.T) {
		for _, p := range []ota.Pace{{Count: 1, Every: 1 << 62}, {Count: 1 << 40, Every: time.Nanosecond}} {
			if wait := take(t, a, "extreme "+p.Every.String(), p, 1<<30); wait != 0 {
				t.Errorf("%v: wait %s", p, wait)
			}
		}
	})
	t.Run("many at a time take no more than there are", func(t *testing.T) {
		var took atomic.Int64
		var wg sync.WaitGroup
		for _, r := range []ota.Rates{a, b} {
			for range 4 {
				wg.Go(func() {
					for range 10 {
						wait, err := r.Take(t.Context(), tenant, "crowd", hourly, 25)
						if err != nil {
							t.Error(err)
						} else if wait == 0 {
							took.Add(1)
						}
					}
				})
			}
		}
		wg.Wait()
		if n := took.Load(); n != 25 {
			t.Errorf("%d of 25 tokens were taken", n)
		}
	})
}
