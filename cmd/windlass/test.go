package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/chaintest"
	"github.com/windlass-ota/windlass/nodes"
)

const testSuffix = "_test.yaml"

func testCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "test PATH...", Short: "Play the tests of chains, without a device and without a server",
		Long: "Plays test files, NAME_test.yaml beside NAME.yaml: a world of devices and packages, a clock that the test moves, what is done and\n" +
			"what is expected. PATH is a test file, or a folder in which they lie. A test is played with the shipped chains, over them those of\n" +
			"its folder.",
		Example: "  windlass test chains\n  windlass test chains/offer_test.yaml -v\n  windlass test chains --junit report.xml --cover",
		Args: func(_ *cobra.Command, a []string) error {
			if len(a) == 0 {
				return wrongUsage("PATH is missing")
			}
			return nil
		},
	}
	f := c.Flags()
	verbose := f.BoolP("verbose", "v", false, "list every case")
	cover := f.Bool("cover", false, "say which of the outlets that chains wire no case took")
	junit := f.String("junit", "", "write a report in JUnit's XML to FILE")
	c.RunE = func(c *cobra.Command, a []string) error {
		folders, err := testFolders(a)
		if err != nil {
			return err
		}
		shipped, err := shippedSources()
		if err != nil {
			return err
		}
		t := &testRun{out: c.OutOrStdout(), err: c.ErrOrStderr(), verbose: *verbose}
		for _, f := range folders {
			t.folder(c.Context(), f, chaintest.Options{Shipped: shipped, Factories: nodes.All})
		}
		if *cover {
			t.coverage()
		}
		if *junit != "" {
			if err := writeJUnit(*junit, t.files); err != nil {
				return err
			}
		}
		return t.end(c)
	}
	return c
}

// testFolders finds the tests that paths name, by their folders.
func testFolders(paths []string) ([]chaintest.Folder, error) {
	byDir := map[string][]string{}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir() && !strings.HasSuffix(p, testSuffix):
			err := wrongUsage("%s is no test", p)
			err.hint = "a test of chain NAME is called NAME" + testSuffix
			return nil, err
		case !info.IsDir():
			byDir[filepath.Dir(p)] = append(byDir[filepath.Dir(p)], p)
			continue
		}
		below, err := testsBelow(p)
		if err != nil {
			return nil, err
		}
		for _, t := range below {
			byDir[filepath.Dir(t)] = append(byDir[filepath.Dir(t)], t)
		}
	}
	var out []chaintest.Folder
	for _, dir := range sortedKeys(byDir) {
		f, err := testFolder(dir, byDir[dir])
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		err := wrongUsage("there are no tests in %s", strings.Join(paths, ", "))
		err.hint = "a test of chain NAME is called NAME" + testSuffix + " and lies beside it"
		return nil, err
	}
	return out, nil
}

// testsBelow lists the tests of a folder and of those below it.
func testsBelow(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, testSuffix) {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

func testFolder(dir string, tests []string) (f chaintest.Folder, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	for _, e := range files {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, testSuffix) {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return f, err
		}
		f.Chains = append(f.Chains, engine.Source{Name: name, Data: data})
	}
	slices.Sort(tests)
	for _, name := range slices.Compact(tests) {
		data, err := os.ReadFile(name)
		if err != nil {
			return f, err
		}
		f.Tests = append(f.Tests, engine.Source{Name: name, Data: data})
	}
	return f, nil
}

// testRun prints what comes of tests.
type testRun struct {
	out, err io.Writer
	verbose  bool
	files    []chaintest.FileReport
	covers   []chaintest.ChainCover
	notes    []string // that were printed
	cases    int
	failed   int // cases
	unread   int // files that could not be played
}

func (t *testRun) folder(ctx context.Context, f chaintest.Folder, o chaintest.Options) {
	r := chaintest.Play(ctx, f, o)
	t.covers = append(t.covers, r.Cover...)
	for _, x := range r.Files {
		t.files = append(t.files, x)
		t.file(x)
	}
}

func (t *testRun) file(x chaintest.FileReport) {
	for _, n := range x.Notes {
		if !slices.Contains(t.notes, n) {
			t.notes = append(t.notes, n)
			fmt.Fprintln(t.err, n)
		}
	}
	word, bad := "ok  ", 0
	if x.Failed() {
		word = "FAIL"
	}
	for _, c := range x.Cases {
		if len(c.Failures) > 0 {
			bad++
		}
	}
	t.cases += len(x.Cases)
	t.failed += bad
	switch {
	case x.Err != nil:
		fmt.Fprintf(t.out, "%s  %s\n", word, x.Name)
		t.unread++
	default:
		fmt.Fprintf(t.out, "%s  %s  %s  %s\n", word, x.Name, t.count(len(x.Cases), bad), took(x.Took))
	}
	if fs := engine.FaultsOf(x.Err); fs != nil {
		io.WriteString(t.out, indented(fs.Text())) //nolint:errcheck // to the screen
	} else if x.Err != nil {
		fmt.Fprintf(t.out, "      %s\n", x.Err)
	}
	for _, c := range x.Cases {
		if len(c.Failures) > 0 {
			fmt.Fprintf(t.out, "  FAIL  %s\n", c.Name)
			for _, f := range c.Failures {
				fmt.Fprintf(t.out, "        %s\n", f)
			}
			fmt.Fprintf(t.out, "        %s\n", c.Failures[0].Ran)
			for _, x := range c.Failures[0].Trouble {
				fmt.Fprintf(t.out, "        the server: %s\n", x)
			}
		} else if t.verbose {
			fmt.Fprintf(t.out, "  ok    %s  %s\n", c.Name, took(c.Took))
		}
	}
}

func (t *testRun) count(cases, bad int) string {
	if bad > 0 {
		return fmt.Sprintf("%d of %d %s failed", bad, cases, plural(cases, "case"))
	}
	return fmt.Sprintf("%d %s", cases, plural(cases, "case"))
}

func took(d time.Duration) string { return d.Round(time.Millisecond).String() }

func indented(s string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n      ") + "\n"
}

func (t *testRun) coverage() {
	fmt.Fprintln(t.out)
	wired, missed := 0, 0
	for _, c := range t.covers {
		fmt.Fprintf(t.out, "%4d %%  %3d of %3d outlets  %s\n", c.Percent(), c.Wired-len(c.Missed), c.Wired, c.File)
		wired, missed = wired+c.Wired, missed+len(c.Missed)
		for _, m := range c.Missed {
			fmt.Fprintf(t.out, "          %s:%d:%d: no case leaves %s by %s\n", c.File, m.Line, m.Col, m.Step, m.Name)
		}
	}
	if len(t.covers) > 1 {
		sum := chaintest.ChainCover{Wired: wired, Missed: make([]chaintest.Outlet, missed)}
		fmt.Fprintf(t.out, "%4d %%  %3d of %3d outlets  in all\n", sum.Percent(), wired-missed, wired)
	}
}

func (t *testRun) end(c *cobra.Command) error {
	if c.Context().Err() != nil {
		return c.Context().Err()
	}
	return t.lost()
}

// lost says how much failed, in words.
func (t *testRun) lost() error {
	var errs []error
	if t.failed > 0 {
		errs = append(errs, fmt.Errorf("%d of %d %s failed", t.failed, t.cases, plural(t.cases, "case")))
	}
	if t.unread > 0 {
		errs = append(errs, fmt.Errorf("%d of %d %s could not be played", t.unread, len(t.files), plural(len(t.files), "file")))
	}
	return errors.Join(errs...)
}
