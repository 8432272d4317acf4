package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// fleet stores n devices in the middle of an update, many at a time.
func fleet(b *testing.B, s *Store, n int) []*ota.Home {
	b.Helper()
	homes := make([]*ota.Home, n)
	profile, pkg, rollout := ota.ProfileID(ota.NewID()), ota.PackageID(ota.NewID()), ota.RolloutID(ota.NewID())
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				h := sampleDevice(uint64(i))
				d := h.Device
				d.Credentials.Token = fmt.Sprintf("A1_TEST_TOKEN_%07d", i)
				d.Profile = profile
				d.Firmware.Followed.Package, d.Firmware.Followed.Rollout, d.Firmware.Followed.Source.ID = pkg, rollout, string(profile)
				d.Firmware.Update.Package, d.Firmware.Update.Rollout, d.Firmware.Offer.Package = pkg, rollout, pkg
				x := &ota.Turn{ID: ota.NewTurnID(), Home: h, Values: []ota.Value{
					{Scope: ota.TelemetryScope, Key: "fw_state", JSON: []byte(`"UPDATING"`), TS: d.Heard},
					{Scope: ota.TelemetryScope, Key: "current_fw_version", JSON: []byte(`"1.3.1"`), TS: d.Heard},
					{Scope: ota.TelemetryScope, Key: "current_fw_title", JSON: []byte(`"thermostat-fw"`), TS: d.Heard},
				}}
				if err := s.Commit(context.Background(), x); err != nil {
					b.Error(err)
					return
				}
				homes[i] = h
			}
		})
	}
	wait.Wait()
	return homes
}

// infoOf reads a number from Redis's INFO.
func infoOf(b *testing.B, s *Store, section, name string) float64 {
	b.Helper()
	text, err := s.c.Info(context.Background(), section).Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				b.Fatal(err)
			}
			return f
		}
	}
	b.Fatalf("INFO %s has no %s", section, name)
	return 0
}

func redisCPU(b *testing.B, s *Store) float64 {
	return infoOf(b, s, "cpu", "used_cpu_sys") + infoOf(b, s, "cpu", "used_cpu_user")
}

func ownCPU(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

var everysec = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// BenchmarkReports is one commit for each state that a device reports, by many
// devices at a time: with the home kept from the last turn, and loaded afresh.
func BenchmarkReports(b *testing.B) {
	for _, srv := range []struct {
		name string
		tcp  bool
		args []string
	}{{"unix", false, nil}, {"unix-everysec", false, everysec}, {"tcp-everysec", true, everysec}} {
		b.Run(srv.name, func(b *testing.B) {
			s := New(redistest.StartServer(b, srv.tcp, srv.args...).Client(b))
			defer s.Close()
			homes := fleet(b, s, 10000)
			for _, mode := range []struct {
				name string
				load bool
			}{{"kept", false}, {"loaded", true}} {
				b.Run(mode.name, func(b *testing.B) { reports(b, s, homes, mode.load) })
			}
		})
	}
}

func reports(b *testing.B, s *Store, homes []*ota.Home, load bool) {
	const clients = 128
	ctx := context.Background()
	states := []ota.State{ota.Downloading, ota.Downloaded, ota.Verified, ota.Updating}
	redis0, own0 := redisCPU(b, s), ownCPU(b)
	b.ResetTimer()
	var next atomic.Int64
	var wait sync.WaitGroup
	for c := range clients {
		wait.Go(func() {
			mine := homes[c*len(homes)/clients : (c+1)*len(homes)/clients]
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				slot := &mine[i%len(mine)]
				if load {
					h, err := s.Load(ctx, (*slot).Ref)
					if err != nil {
						b.Error(err)
						return
					}
					*slot = h
				}
				h := (*slot).Clone()
				x := &ota.Turn{ID: ota.NewTurnID(), Was: *slot, Home: h}
				u := h.Device.Firmware.Update
				u.State, u.Entered, u.LastWord = states[(int(h.Version))%len(states)], s.Now(), s.Now()
				x.Values = []ota.Value{{Scope: ota.TelemetryScope, Key: "fw_state", JSON: []byte(strconv.Quote(string(u.State))), TS: u.Entered}}
				if err := s.Commit(ctx, x); err != nil {
					b.Error(err)
					return
				}
				*slot = h
			}
		})
	}
	wait.Wait()
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "turns/s")
	b.ReportMetric(n/(redisCPU(b, s)-redis0), "turns/redis-cpu-s")
	b.ReportMetric(n/(ownCPU(b)-own0), "turns/our-cpu-s")
}

// BenchmarkMemoryOfDevice says how much of Redis one device takes with its
// update, history, values, name, token, indexes and due entry.
func BenchmarkMemoryOfDevice(b *testing.B) {
	const devices = 100000
	s := New(redistest.Single(b))
	defer s.Close()
	if err := s.Commit(b.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: sampleDevice(1 << 20)}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() { // nothing is timed here, and a loop clears what was reported before it
	}
	before := infoOf(b, s, "memory", "used_memory")
	began := time.Now()
	homes := fleet(b, s, devices)
	b.ReportMetric(devices/time.Since(began).Seconds(), "created/s")
	b.ReportMetric((infoOf(b, s, "memory", "used_memory")-before)/devices, "B/device")
	at, err := placeOf(homes[devices/2].Ref)
	if err != nil {
		b.Fatal(err)
	}
	usage := func(key string) float64 { return float64(s.c.MemoryUsage(b.Context(), key).Val()) }
	b.ReportMetric(usage(at.key), "B/record")
	b.ReportMetric(usage(at.part.values(at.num)), "B/values")
	h := homes[devices/2]
	b.ReportMetric(usage(nameKey("main", h.Device.Name))+usage(tokenKey(h.Device.Credentials.Token)), "B/name+token")
	b.ReportMetric(usage(at.slot.due())/(devices/ota.Shards), "B/due")
	b.ReportMetric(usage(at.part.all())/(devices/ota.Shards), "B/index")
}
