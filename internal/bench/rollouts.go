package main

import (
	"context"
	"fmt"
	"time"
)

// What waits, and what rollouts ask their doors, is measured at the store: no door
// of the server takes part in it.

// stored is a row of a benchmark over a redis-server: so many of what a second.
func (b *bench) stored(ctx context.Context, r *row, pkg, benchmark, perSecond string, note func(f map[string]float64)) (*row, error) {
	var last map[string]float64
	r.Ours = &part{Name: "windlass", measure: func(ctx context.Context) (sample, error) {
		f, cpu, err := b.benchmark(ctx, pkg, benchmark, b.Turns)
		if err != nil {
			return sample{}, err
		}
		last = f
		return sample{ops: float64(b.Turns), cpu: cpu, wall: time.Duration(float64(b.Turns) / f[perSecond] * 1e9), redis: redisTime(f, b.Turns)}, nil
	}}
	if err := b.interleave(ctx, r.Ours); err != nil {
		return nil, err
	}
	note(last)
	r.reaches(spreadOf(r.Ours.PerWall).Median >= 1000) // what row 7 asks of offers
	return r, nil
}

// redisTime is what n operations cost Redis, in either of the units that
// benchmarks have.
func redisTime(f map[string]float64, n int) time.Duration {
	if each := f["redis-µs/op"]; each > 0 {
		return time.Duration(each * float64(n) * 1e3)
	}
	if per := f["fired/redis-cpu-s"]; per > 0 {
		return time.Duration(float64(n) / per * 1e9)
	}
	return 0
}

func (b *bench) parkedRuns(ctx context.Context) (*row, error) {
	r := &row{
		What: "parked runs fired, which wait again at once", Unit: "runs per CPU-s", Goal: "≥ 1,000/s",
		Params: fmt.Sprintf("%d runs that are due together, of as many devices; a chain of three steps with a variable; the process that fills the store is counted with it", b.Turns),
	}
	return b.stored(ctx, r, "chains", "BenchmarkParkedRuns", "fired/s", func(f map[string]float64) {
		r.note("%.0f fired a second, %.0f woken by an event a second", f["fired/s"], f["woken/s"])
		r.note("a run that waits takes %.0f bytes of Redis and %.0f of the process; to fire it takes %.1f commands", f["B-of-redis/run"], f["B-of-process/run"], f["redis-commands/run"])
	})
}

func (b *bench) admissions(ctx context.Context) (*row, error) {
	return b.door(ctx, "admit", "admissions at the door of a rollout", "admits/s")
}

func (b *bench) verdicts(ctx context.Context) (*row, error) {
	return b.door(ctx, "verdict", "verdicts counted and judged at the door of a rollout", "verdicts/s")
}

func (b *bench) door(ctx context.Context, benchmark, what, perSecond string) (*row, error) {
	r := &row{
		What: what, Unit: "per CPU-s", Goal: "≥ 1,000/s",
		Params: fmt.Sprintf("%d devices, 64 at a time, one door; all of it is one slot of Redis, so this is what one rollout can do", b.Turns),
	}
	return b.stored(ctx, r, "store/redis", "BenchmarkDoor/"+benchmark, perSecond, func(f map[string]float64) {
		r.note("%.0f a second; each costs Redis %.1f commands within one script, %.1f µs and %.0f bytes kept", f[perSecond], f["redis-commands/op"], f["redis-µs/op"], f["redis-B/op"])
	})
}
