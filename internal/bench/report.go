package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is one measurement.
type sample struct {
	ops        float64
	cpu, redis time.Duration // of the measured process, and of its Redis
	wall       time.Duration
	allocs     float64 // for each operation, where known
	value      float64 // instead of all that: the figure itself
}

// part is one side of a row: ours, the raw part, or something to see beside.
type part struct {
	Name    string    `json:"name"`
	PerCPU  []float64 `json:"perCPUSecond,omitempty"` // operations, round by round
	PerWall []float64 `json:"perSecond,omitempty"`
	Redis   []float64 `json:"redisMicrosPerOperation,omitempty"`
	Values  []float64 `json:"values,omitempty"`                  // of rows that measure no CPU time
	Allocs  float64   `json:"allocationsPerOperation,omitempty"` // of the last round
	measure func(context.Context) (sample, error)
}

func (p *part) add(s sample) {
	if s.value != 0 {
		p.Values = append(p.Values, s.value)
		return
	}
	p.PerCPU = append(p.PerCPU, s.ops/max(s.cpu, tick/10).Seconds())
	if s.wall > 0 {
		p.PerWall = append(p.PerWall, s.ops/s.wall.Seconds())
	}
	if s.redis > 0 {
		p.Redis = append(p.Redis, float64(s.redis.Microseconds())/s.ops)
	}
	p.Allocs = s.allocs
}

func (p *part) figures() []float64 {
	if p.Values != nil {
		return p.Values
	}
	return p.PerCPU
}

// row is one line of what we must reach.
type row struct {
	No     int      `json:"row"`
	What   string   `json:"what"`
	Params string   `json:"parameters"`
	Unit   string   `json:"unit"` // of a figure
	Raw    *part    `json:"raw,omitempty"`
	Ours   *part    `json:"ours"`
	Beside []*part  `json:"beside,omitempty"`
	Ratio  *spread  `json:"ratio,omitempty"` // ours to raw
	Goal   string   `json:"goal"`
	Met    string   `json:"met"` // yes or no
	Notes  []string `json:"notes,omitempty"`
}

// spread is the middle of some figures, and their ends.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(v))
	m := s[len(s)/2]
	if len(s)%2 == 0 {
		m = (m + s[len(s)/2-1]) / 2
	}
	return spread{m, s[0], s[len(s)-1]}
}

// compare computes the ratio, which is zero where there is no raw part.
func (r *row) compare() spread {
	if r.Raw == nil {
		return spread{}
	}
	ours, raw := r.Ours.figures(), r.Raw.figures()
	var all []float64
	for i := range min(len(raw), len(ours)) {
		all = append(all, ours[i]/raw[i])
	}
	ratio := spreadOf(all)
	r.Ratio = &ratio
	return ratio
}

func (r *row) reaches(goal bool) {
	if r.Met = "no"; goal {
		r.Met = "yes"
	}
}

func (r *row) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// report is all that a run found, and where.
type report struct {
	Date    time.Time     `json:"date"`
	Machine string        `json:"machine"`
	Kernel  string        `json:"kernel"`
	Go      string        `json:"go"`
	Redis   string        `json:"redis"`
	Commit  string        `json:"commit"`
	Args    string        `json:"arguments"`
	Plan    plan          `json:"plan"`
	Took    time.Duration `json:"took"`
	Rows    []*row        `json:"rows"`
}

func (b *bench) about(ctx context.Context) *report {
	ask := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = b.root
		out, err := cmd.Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	r := &report{Date: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Plan: b.plan, Machine: machine()}
	r.Kernel = ask("uname", "-sr")
	r.Redis, _, _ = strings.Cut(strings.TrimPrefix(ask("redis-server", "--version"), "Redis server "), " sha=")
	r.Commit = ask("git", "describe", "--always", "--dirty", "--abbrev=12")
	return r
}

func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
			}
		}
	}
	return fmt.Sprintf("%d × %s", runtime.NumCPU(), model)
}

func (r *report) save(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) //nolint:gosec // for everybody to read
}

// print writes the table for people.
func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %s, %s, redis %s\ncommit %s, %s, %d rounds of raw part and ours in turn, took %s\n\n",
		r.Machine, r.Kernel, r.Go, r.Redis, r.Commit, r.Date.Format(time.RFC3339), r.Plan.Rounds, r.Took)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\t\tfigure\tmin–max\ta second\tRedis, µs each\tratio (min–max)\tgoal\tmet")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%d\t%s\t%s\t\t\t\t\t\t\n", row.No, row.What, row.Unit)
		if row.Raw != nil {
			fmt.Fprintf(w, "\t  raw: %s\t\t\t\n", row.Raw.columns())
		}
		ratio := "–"
		if row.Ratio != nil {
			ratio = fmt.Sprintf("%.2f (%.2f–%.2f)", row.Ratio.Median, row.Ratio.Min, row.Ratio.Max)
		}
		fmt.Fprintf(w, "\t  ours: %s\t%s\t%s\t%s\n", row.Ours.columns(), ratio, row.Goal, row.Met)
		for _, p := range row.Beside {
			fmt.Fprintf(w, "\t  beside: %s\t\t\t\n", p.columns())
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, row := range r.Rows {
		fmt.Fprintf(out, "%d: %s\n", row.No, strings.Join(append([]string{row.Params}, row.Notes...), "; "))
	}
	return nil
}

// columns are name, figure, its ends, what was done in a second, and Redis.
func (p *part) columns() string {
	s := spreadOf(p.figures())
	text := fmt.Sprintf("%s\t%s\t%s–%s\t", p.Name, number(s.Median), number(s.Min), number(s.Max))
	if p.PerWall != nil {
		text += number(spreadOf(p.PerWall).Median)
	}
	text += "\t"
	if p.Redis != nil {
		text += fmt.Sprintf("%.1f", spreadOf(p.Redis).Median)
	}
	return text
}

// number writes three figures that count.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e5:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 1e3:
		return fmt.Sprintf("%.2f k", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
