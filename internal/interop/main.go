// Command interop lets devices made of other people's clients update themselves
// from a real server, one after another, and prints what came of it as a table.
// `make interop` runs it.
//
// It knows how to install a client, how to start it and how to judge the result:
// the image is equal byte by byte, and the server's history of the update holds
// every state of the good road. What a device does is in the drivers, which are
// programs of a few lines on each client's own interface; they are given an
// address, credentials and what they run, and nothing of the answer.
//
// A client that this machine cannot get is a row that says why, and no failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() { os.Exit(exitCode()) }

func exitCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	f := flag.NewFlagSet("interop", flag.ContinueOnError)
	f.SetOutput(progress)
	only := f.String("only", "", "the clients whose names match this regular `EXPRESSION`")
	strict := f.Bool("strict", false, "a client that is not available is a failure too")
	markdown := f.Bool("markdown", false, "the table as Markdown, as docs/interop.md has it")
	server := f.String("server", "", "the `BINARY` to update from; left out: it is built")
	keep := f.Bool("keep", false, "leave the folder with all that was made, and say where it is")
	if err := f.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	h, err := newHouse(ctx, *server, progress)
	if err != nil {
		return err
	}
	results, err := h.play(ctx, match)
	if *keep {
		fmt.Fprintln(progress, "kept:", h.dir)
	}
	if err = errors.Join(err, h.close(!*keep)); err != nil {
		return err
	}
	write := writeText
	if *markdown {
		write = writeMarkdown
	}
	if err := write(out, results, time.Now()); err != nil {
		return err
	}
	return verdict(results, *strict)
}

// verdict is an error where a client failed, or where none was tried.
func verdict(results []result, strict bool) error {
	failed, away := 0, 0
	for _, r := range results {
		switch {
		case r.away != "":
			away++
		case r.err != nil:
			failed++
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d clients failed", failed, len(results))
	case strict && away > 0:
		return fmt.Errorf("%d of %d clients are not available", away, len(results))
	case len(results) == away:
		return errors.New("no client was tried")
	}
	return nil
}
