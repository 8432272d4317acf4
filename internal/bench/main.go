// Command bench measures our paths beside their raw parts. `make bench` runs it.
//
// What is measured runs as a process of its own; the load runs here. Raw part
// and ours take turns within one run, so that a machine that is slower for a
// while is slower for both. The figure is what a second of the measured
// process's CPU time (user and system) was good for, which moves far less from
// run to run than what was done in a second. A row's ratio is ours to its raw
// part, round by round: the median, and the least and the most.
//
// It judges nothing but its own goals, and no test fails on what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(exitCode()) }

func exitCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == floorVerb {
		err = serveFloor(os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// plan says how much of everything is done.
type plan struct {
	Rounds    int           `json:"rounds"`    // of raw part and ours in turn
	Round     time.Duration `json:"round"`     // how long a load goes on
	Messages  int           `json:"messages"`  // through a chain in one round
	Conns     int           `json:"conns"`     // that ask for chunks and attributes
	Reporters int           `json:"reporters"` // devices that report at a time
	Turns     int           `json:"turns"`     // of the bare store in one round
	Offers    int           `json:"offers"`    // devices that get an offer in one round
	Idle      int           `json:"idle"`      // silent connections, of which Offers get offers
}

var (
	fullPlan  = plan{Rounds: 5, Round: time.Second, Messages: 200000, Conns: 64, Reporters: 128, Turns: 30000, Offers: 5000, Idle: 10000}
	quickPlan = plan{Rounds: 2, Round: 300 * time.Millisecond, Messages: 50000, Conns: 64, Reporters: 128, Turns: 5000, Offers: 500, Idle: 1000}
)

// measured is every row that can be asked for; usual are those of a plain run.
var (
	measured = []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 15, 16}
	usual    = []int{1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 16}
)

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(progress)
	which := f.String("rows", join(usual), "which rows to measure; 10 asks for a while and is not among the usual ones")
	quick := f.Bool("quick", false, "a short run, to see that all works; its figures are worth little")
	file := f.String("json", "", "write the figures to `FILE` besides")
	profiles := f.String("profile", "", "let perf write what the measured servers do under load to files of `FOLDER`; it slows them")
	rounds := f.Int("rounds", 0, "rounds, where not the usual number")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is nothing that it takes", f.Arg(0))
	}
	rows, err := parseRows(*which)
	if err != nil {
		return err
	}
	p := fullPlan
	if *quick {
		p = quickPlan
	}
	if *rounds > 0 {
		p.Rounds = *rounds
	}
	report, err := measure(ctx, p, rows, *profiles, progress)
	if err != nil {
		return err
	}
	report.Args = strings.Join(args, " ")
	if *file != "" {
		if err := report.save(*file); err != nil {
			return err
		}
	}
	return report.print(out)
}

func measure(ctx context.Context, p plan, rows []int, profiles string, progress io.Writer) (*report, error) {
	b, err := newBench(ctx, p, profiles, progress)
	if err != nil {
		return nil, err
	}
	report, err := b.measure(ctx, rows)
	return report, errors.Join(err, b.close())
}

func parseRows(text string) ([]int, error) {
	var rows []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || !slices.Contains(measured, n) {
			return nil, fmt.Errorf("-rows %s: there are %s", text, join(measured))
		}
		rows = append(rows, n)
	}
	slices.Sort(rows)
	return slices.Compact(rows), nil
}

func join(rows []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(rows), "[]"), " ", ",")
}
