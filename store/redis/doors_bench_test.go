package redis

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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
	var told int64
	for _, x := range []struct {
		name string
		do   func(ctx context.Context, i int64) error
	}{
		{"admit", func(ctx context.Context, i int64) error {
			_, err := s.Admit(ctx, ota.Knock{Rollout: ref, Device: device(i), Permit: 1})
			return err
		}},
		{"verdict", func(ctx context.Context, i int64) error {
			return s.Tell(ctx, ref, device(i), ota.Told{Num: 2, Permit: 1, Release: true, To: ota.VerdictUpdated})
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			var next atomic.Int64
			next.Store(told)
			cpu, began := infoOf(b, s, "cpu", "used_cpu_user"), time.Now()
			b.SetParallelism(64)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := x.do(context.Background(), next.Add(1)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), x.name+"s/s")
			b.ReportMetric((infoOf(b, s, "cpu", "used_cpu_user")-cpu)*1e6/float64(b.N), "redis-µs/op")
			told = next.Load()
		})
	}
}
