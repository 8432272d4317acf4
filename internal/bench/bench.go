package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench holds what the rows share: programs that were built once, files, and
// processes that end with it.
type bench struct {
	plan
	progress io.Writer
	root     string // of the module
	dir      string // for everything that is made
	started  []*process
	profiles string // see process
	programs map[string]string
	firmware string // a file of random bytes
	fleet    *fleet // the server that rows 2, 3 and 6 share
	crowd    *crowd // the server that rows 5, 7 and 8 share
}

// firmwareSize is a firmware as they are, and more than any cache of a core.
const firmwareSize = 16 << 20

func newBench(ctx context.Context, p plan, profiles string, progress io.Writer) (*bench, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "windlass-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{plan: p, progress: progress, root: strings.TrimSpace(string(root)), dir: dir, programs: map[string]string{}, profiles: profiles}
	b.firmware = filepath.Join(dir, "firmware")
	f, err := os.Create(b.firmware)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	_, err = io.CopyN(f, rand.Reader, firmwareSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// close ends everything that was started, last first, and removes its files.
func (b *bench) close() error {
	var errs []error
	for _, p := range slices.Backward(b.started) {
		errs = append(errs, p.Stop())
	}
	b.started = nil
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, format+"\n", args...)
}

// measure goes through the rows in the order that shares most.
func (b *bench) measure(ctx context.Context, rows []int) (*report, error) {
	began := time.Now()
	r := b.about(ctx)
	for _, m := range []struct {
		row     int
		measure func(context.Context) (*row, error)
	}{
		{1, b.chains}, {2, b.httpChunks}, {3, b.mqttChunks}, {4, b.coapBlocks}, {6, b.polls}, {8, b.idle}, {7, b.offers}, {5, b.reports}, {10, b.deviceMemory}, {14, b.parkedRuns}, {15, b.admissions}, {16, b.verdicts},
	} {
		if !slices.Contains(rows, m.row) {
			continue
		}
		b.say("row %d …", m.row)
		got, err := m.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", m.row, err)
		}
		got.No = m.row
		r.Rows = append(r.Rows, got)
	}
	slices.SortFunc(r.Rows, func(a, b *row) int { return a.No - b.No })
	r.Took = time.Since(began).Round(time.Second)
	return r, nil
}

// program builds a program, or the tests of a package, once.
func (b *bench) program(ctx context.Context, pkg string, tests bool) (string, error) {
	if at := b.programs[pkg]; at != "" {
		return at, nil
	}
	at := filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-"))
	args := []string{"build"}
	if tests {
		args = []string{"test", "-c"}
	}
	b.say("building %s …", pkg)
	build := exec.CommandContext(ctx, "go", append(args, "-o", at, "./"+pkg)...)
	build.Dir, build.Stdout, build.Stderr = b.root, b.progress, b.progress
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	b.programs[pkg] = at
	return at, nil
}

// interleave fills parts by their measurements, in turn.
func (b *bench) interleave(ctx context.Context, parts ...*part) error {
	for range b.Rounds {
		if err := b.once(ctx, parts...); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) once(ctx context.Context, parts ...*part) error {
	for _, p := range parts {
		s, err := p.measure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		p.add(s)
	}
	return nil
}
