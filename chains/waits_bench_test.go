package chains_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// BenchmarkParkedRuns parks a run at each of b.N devices and fires them, over a
// redis-server: so many a second, what it costs there, and what the waiting costs
// the process.
func BenchmarkParkedRuns(b *testing.B) {
	ctx := b.Context()
	client := redistest.Single(b)
	store := redis.New(client)
	defer store.Close()
	owner, err := redis.NewOwner(store, "bench")
	if err != nil {
		b.Fatal(err)
	}
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		b.Fatal(err)
	}
	const chain = "chain: x\nsummary: A benchmark.\ntrigger: attributes\nvars: {n: 1}\nsteps:\n  - {node: delay, with: {until: \"2026-01-01T00:00:00Z\"}}\n  - {node: wait_for, with: {event: telemetry, timeout: 100d}, to: {timed_out: end}}\n" +
		"  - {node: raise_alarm, with: {key: over, message: \"${vars.n} ${msg.values.a}\"}}\n"
	set, err := engine.Compile([]engine.Source{{Name: "x.yaml", Data: []byte(chain)}}, reg, engine.Options{})
	if err != nil {
		b.Fatal(engine.FaultsOf(err).Text())
	}
	e := engine.New(set, engine.Host{Homes: store, Facts: store, Fresh: store, Process: "bench", Runs: -1, Log: slog.New(slog.DiscardHandler)})
	all := make([]ota.Ref, b.N)
	together(b, b.N, func(i int) error {
		name := fmt.Sprint("d", i)
		id, err := store.NewDevice(ctx, ota.DefaultTenant, name)
		if err != nil {
			return err
		}
		all[i] = ota.RefOf(ota.DefaultTenant, id)
		h := ota.NewDevice(ota.Device{ID: id, Tenant: ota.DefaultTenant, Name: name, Profile: "p", Credentials: ota.Credentials{Token: name}}, store.Now())
		h.Pending = nil // nothing is decided for them
		return store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h})
	})
	say := func(event ota.Event) func(int) error {
		return func(i int) error {
			_, err := e.Handle(ctx, ota.Message{Event: event, Tenant: ota.DefaultTenant, Device: ota.DeviceID(all[i].ID), Values: []byte(`{"a":"some words"}`)})
			return err
		}
	}
	fire := func() {
		for worked := 0; worked < b.N; {
			if _, err := owner.Own(ctx); err != nil {
				b.Fatal(err)
			}
			tasks, _, err := owner.Due(ctx, 4096)
			if err != nil {
				b.Fatal(err)
			}
			together(b, len(tasks), func(i int) error {
				t := &tasks[i]
				defer owner.Done(*t)
				_, err := e.Handle(ctx, ota.Message{Event: ota.Due, Tenant: t.Home.Tenant, Home: t.Home, Key: t.Key, Began: &t.Origin})
				return err
			})
			worked += len(tasks)
		}
	}
	heap := heapOf()
	together(b, b.N, say(ota.AttributesReported)) // they wait, and are due at once
	heap = max(heapOf()-heap, 0)
	used := usedBy(b, client, "memory", "used_memory")
	cpu := usedBy(b, client, "cpu", "used_cpu_user_main_thread") + usedBy(b, client, "cpu", "used_cpu_sys_main_thread")
	commands := usedBy(b, client, "stats", "total_commands_processed")
	b.ResetTimer()
	fire() // and wait again, for an event
	b.StopTimer()
	b.ReportMetric(heap/float64(b.N), "B-of-process/run")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fired/s")
	cpu = usedBy(b, client, "cpu", "used_cpu_user_main_thread") + usedBy(b, client, "cpu", "used_cpu_sys_main_thread") - cpu
	b.ReportMetric(float64(b.N)/max(cpu, 1e-3), "fired/redis-cpu-s")
	b.ReportMetric((usedBy(b, client, "stats", "total_commands_processed")-commands)/float64(b.N), "redis-commands/run")
	began := time.Now()
	together(b, b.N, say(ota.Telemetry))
	fire()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "woken/s")
	b.ReportMetric(max(used-usedBy(b, client, "memory", "used_memory"), 0)/float64(b.N), "B-of-redis/run")
	for _, d := range all {
		h, err := store.Load(ctx, d)
		if err != nil {
			b.Fatal(err)
		}
		if len(h.Parked) != 0 || len(h.Alarms) != 1 || h.Alarms[0].Count != 1 || h.Alarms[0].Message != "1 some words" {
			b.Fatalf("%s: %d runs wait, alarms %+v", d, len(h.Parked), h.Alarms)
		}
	}
}

// together does n things, 256 at a time.
func together(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 256 {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

func heapOf() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// usedBy reads a figure of Redis.
func usedBy(b *testing.B, c interface {
	Info(ctx context.Context, section ...string) *goredis.StringCmd
}, section, name string) float64 {
	b.Helper()
	text, err := c.Info(b.Context(), section).Result()
	if err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				b.Fatal(err)
			}
			return f
		}
	}
	b.Fatalf("Redis says nothing of %s", name)
	return 0
}
