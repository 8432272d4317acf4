package redis

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// BenchmarkDoor lets devices in at one door, and hears their verdicts: per second,
// and what that costs in Redis.
func BenchmarkDoor(b *testing.B) {
	s := New(redistest.StartServer(b, false).Client(b))
	defer s.Close()
	r := &ota.Rollout{ID: ota.RolloutID(ota.NewID()), Tenant: "main", Kind: ota.Firmware, Package: "pkg", Started: s.Now(), State: ota.RolloutRunning}
	r.SetPlan([]ota.Stage{{Name: "all", Share: 1, Decided: 1, MaxFailed: 0.5, MinDecided: 20}})
	if err := r.OpenStage("all", ota.Tally{}, s.Now()); err != nil {
		b.Fatal(err)
	}
	r.Allowed = 1 << 30
	ref := ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: string(r.ID)}
	if err := s.Commit(b.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: &ota.Home{Ref: ref, Rollout: r}}); err != nil {
		b.Fatal(err)
	}
	device := func(i int64) ota.DeviceID { return ota.DeviceID(fmt.Sprintf("01000000-0000-8000-8000-%012d", i)) }
	first := 0 // the device that has not come yet
	admit := func(i int) error {
		a, err := s.Admit(b.Context(), ota.Knock{Rollout: ref, Device: device(int64(i)), Permit: 1})
		if err == nil && !a.Admitted {
			err = fmt.Errorf("device %d is held: %s", i, a.Held)
		}
		return err
	}
	for _, x := range []struct {
		name       string
		before, do func(i int) error
	}{
		{"admit", nil, admit},
		{"verdict", admit, func(i int) error {
			return s.Tell(b.Context(), ref, device(int64(i)), ota.Told{Num: 2, Permit: 1, Release: true, To: ota.VerdictUpdated})
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			from := first
			first += b.N
			if x.before != nil {
				atOnce(b, from, b.N, x.before)
			}
			used := map[string]float64{}
			costs := func(sign float64) {
				for name, section := range map[string]string{"used_cpu_user_main_thread": "cpu", "used_cpu_sys_main_thread": "cpu", "total_commands_processed": "stats", "used_memory": "memory"} {
					used[name] += sign * infoOf(b, s, section, name)
				}
			}
			costs(-1)
			b.ResetTimer()
			atOnce(b, from, b.N, x.do)
			b.StopTimer()
			costs(1)
			n := float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), x.name+"s/s")
			b.ReportMetric((used["used_cpu_user_main_thread"]+used["used_cpu_sys_main_thread"])*1e6/n, "redis-µs/op")
			b.ReportMetric(used["total_commands_processed"]/n, "redis-commands/op")
			b.ReportMetric(used["used_memory"]/n, "redis-B/op")
		})
	}
}

// atOnce does n things from a first one on, 64 at a time.
func atOnce(b *testing.B, from, n int, do func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(from + i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
