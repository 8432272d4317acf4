package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Some raw parts, and one path of ours, live in a package and not behind a door:
// they are the benchmarks of that package, run as a process of their own.

// benchmark runs one benchmark n times and returns its figures by their units,
// and the CPU time of its process.
func (b *bench) benchmark(ctx context.Context, pkg, name string, n int) (map[string]float64, time.Duration, error) {
	program, err := b.program(ctx, pkg, true)
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", "^"+strings.ReplaceAll(name, "/", "$/^")+"$", "-test.benchtime", fmt.Sprint(n, "x"))
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, 0, fmt.Errorf("%s: %w: %s%s", name, err, &out, &errs)
	}
	figures, err := parseBenchmark(out.Bytes())
	return figures, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

var errNoBenchmark = errors.New("no benchmark has run")

// parseBenchmark reads the last line of figures.
func parseBenchmark(out []byte) (map[string]float64, error) {
	var figures map[string]float64
	for line := range bytes.Lines(out) {
		f := strings.Fields(string(line))
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		figures = map[string]float64{}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, err
			}
			figures[f[i+1]] = v
		}
	}
	if figures == nil {
		return nil, errNoBenchmark
	}
	return figures, nil
}

func (b *bench) chains(ctx context.Context) (*row, error) {
	// What the process costs before it measures anything is taken off.
	_, start, err := b.benchmark(ctx, "engine", "BenchmarkFiveNodes", 1)
	if err != nil {
		return nil, err
	}
	through := func(name, benchmark string) *part {
		return &part{Name: name, measure: func(ctx context.Context) (sample, error) {
			f, cpu, err := b.benchmark(ctx, "engine", benchmark, b.Messages)
			return sample{ops: float64(b.Messages), cpu: cpu - start, allocs: f["allocs/op"]}, err
		}}
	}
	r := &row{
		What: "a chain of 5 nodes, message of 299 bytes", Unit: "messages per CPU-s", Goal: "≥ 0.8 of raw, ≤ 3 µs, ≤ 10 allocations",
		Params: fmt.Sprintf("%d messages a round, in process, one goroutine; the collector's time is counted", b.Messages),
		Raw:    through("a flat array of closures with expr", "BenchmarkFlatArray"), Ours: through("engine, with counters, time-outs, recorder and taps", "BenchmarkFiveNodes"),
		Beside: []*part{through("engine, 50 filters more", "BenchmarkFiftyFilters"), through("flat array, 50 filters more", "BenchmarkFlatArrayFifty")},
	}
	if err := b.interleave(ctx, r.Raw, r.Ours, r.Beside[0], r.Beside[1]); err != nil {
		return nil, err
	}
	micros := func(p *part) float64 { return 1e6 / spreadOf(p.figures()).Median }
	filter := (micros(r.Beside[0]) - micros(r.Ours)) * 1e3 / 50
	r.note("ours %.2f µs and %.0f allocations a message, raw %.2f µs and %.0f", micros(r.Ours), r.Ours.Allocs, micros(r.Raw), r.Raw.Allocs)
	r.note("one more filter costs %.0f ns (goal 150) and %.0f allocations, in the flat array %.0f ns", filter, r.Beside[0].Allocs-r.Ours.Allocs, (micros(r.Beside[1])-micros(r.Raw))*1e3/50)
	r.reaches(r.compare().Median >= 0.8 && micros(r.Ours) <= 3 && r.Ours.Allocs <= 10 && filter <= 150)
	return r, nil
}

// storeTurns is the store path alone: one commit for a report, on homes that are
// kept, by 128 callers whose commits share pipelines. Two rows stand on it.
func (b *bench) storeTurns() *part {
	return &part{Name: "the store alone, one commit a turn", measure: func(ctx context.Context) (sample, error) {
		f, _, err := b.benchmark(ctx, "store/redis", "BenchmarkReports/unix-everysec/kept", b.Turns)
		if err != nil {
			return sample{}, err
		}
		seconds := func(unit string) time.Duration { return time.Duration(float64(b.Turns) / f[unit] * 1e9) }
		return sample{ops: float64(b.Turns), cpu: seconds("turns/our-cpu-s"), redis: seconds("turns/redis-cpu-s"), wall: seconds("turns/s")}, nil
	}}
}

func (b *bench) deviceMemory(ctx context.Context) (*row, error) {
	r := &row{
		What: "Redis memory of one device", Unit: "bytes", Goal: "≤ 1.5 KB",
		Params: "of 100,000 devices in the middle of an update, with history, three values, name, token, indexes and due entries; used_memory before and after",
		Ours:   &part{Name: "windlass", measure: nil},
	}
	f, _, err := b.benchmark(ctx, "store/redis", "BenchmarkMemoryOfDevice", 1)
	if err != nil {
		return nil, err
	}
	r.Ours.add(sample{value: f["B/device"]})
	r.note("of these the record %.0f, values %.0f, name and token %.0f", f["B/record"], f["B/values"], f["B/name+token"])
	r.reaches(f["B/device"] <= 1500)
	return r, nil
}
