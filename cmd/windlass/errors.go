package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// failure is an error with what helps to mend it.
type failure struct {
	err    error
	hint   string
	usage  bool // the command line is wrong
	silent bool // everything has been said
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// silentUsage ends a verb that has printed its help instead.
var silentUsage = &failure{err: errors.New("wrong usage"), silent: true, usage: true}

func wrongUsage(format string, args ...any) *failure {
	return &failure{err: fmt.Errorf(format, args...), usage: true}
}

func hinted(err error, hint string) error { return &failure{err: err, hint: hint} }

// report prints an error as "windlass: WHAT: WHY", its hint below it, and
// returns the exit code.
func report(cmd *cobra.Command, err error) int {
	out := cmd.ErrOrStderr()
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{err: err}
	}
	what := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "windlass"), " "), "\n", " ")
	if what != "" {
		what += ": "
	}
	switch {
	case f.silent:
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(out, "windlass: %sinterrupted\n", what)
	default:
		for _, line := range lines(err) {
			fmt.Fprintf(out, "windlass: %s%s\n", what, line)
		}
	}
	if f.hint != "" && !f.silent {
		fmt.Fprintf(out, "  %s\n", f.hint)
	}
	if !f.usage {
		return 1
	}
	if !f.silent && f.hint == "" {
		fmt.Fprintf(out, "  see: %s --help\n", cmd.CommandPath())
	}
	return 2
}

// lines prints an error that was joined of several one a line.
func lines(err error) []string {
	var out []string
	for _, l := range strings.Split(err.Error(), "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}
