package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func chainsTap() *cobra.Command {
	c := &cobra.Command{
		Use: "tap CHAIN [STEP]", Short: "Watch the runs of a chain, or of one of its steps",
		Long: "Lets the server's process keep the runs of a chain, or those that come by one of its steps, with what each step saw and set, and\n" +
			"prints them as they come, until the tap is off or you interrupt. --failures keeps runs in which a step failed; --all keeps all of\n" +
			"them, for 15 minutes at most. Without either, a tap that is on is read. Secrets are masked.",
		Example: "  windlass chains tap telemetry --failures\n  windlass chains tap offer admit_update --all --for 5m\n  windlass chains tap offer admit_update --off",
		Args: func(_ *cobra.Command, a []string) error {
			switch {
			case len(a) == 0:
				return wrongUsage("CHAIN is missing")
			case len(a) > 2:
				return wrongUsage("%q is one argument too many", a[2])
			}
			return nil
		},
	}
	f := c.Flags()
	failures := f.Bool("failures", false, "keep runs in which a step failed")
	everything := f.Bool("all", false, "keep all runs, for 15 minutes at most")
	off := f.Bool("off", false, "take the tap off")
	long := f.String("for", "", "how long, such as 15m; with --failures: until it is taken off, when left out")
	detach := f.Bool("detach", false, "put it on and go; read it later")
	once := f.Bool("once", false, "print what it holds, and go")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		n := 0
		for _, b := range []bool{*failures, *everything, *off} {
			if b {
				n++
			}
		}
		t := &tapReader{c: c, cl: cl, at: path("taps", a[0]), q: url.Values{}, name: a[0], format: *format}
		body := api.NewTap{For: *long, Keeps: "all"}
		if len(a) > 1 {
			body.Step = a[1]
			t.q.Set("step", a[1])
			t.name += " " + a[1]
		}
		switch {
		case n > 1:
			return wrongUsage("of --failures, --all and --off one can be given")
		case n == 0 && (*long != "" || *detach), *off && (*long != "" || *detach || *once):
			return wrongUsage("--for and --detach go with --failures or --all")
		case *off:
			if err := cl.do(c.Context(), http.MethodDelete, t.at, t.q, nil, nil); err != nil {
				return err
			}
			return done(c, "the tap on %s is off", t.name)
		case n == 1:
			if *failures {
				body.Keeps = "failures"
			}
			var on api.Tap
			if err := cl.do(c.Context(), http.MethodPut, t.at, nil, body, &on); err != nil {
				return err
			}
			until := ""
			if on.Until != nil {
				until = " until " + on.Until.Format(time.RFC3339)
			}
			if err := done(c, "a tap on %s keeps %s%s", t.name, on.Keeps, until); err != nil || *detach {
				return err
			}
		}
		return t.follow(*once)
	})
}

// tapReader prints what a tap keeps.
type tapReader struct {
	c      *cobra.Command
	cl     *client
	at     string
	q      url.Values
	name   string
	format string
}

// tapWait is how many seconds the server waits for a run before it answers that
// there was none.
const tapWait = 20

// follow prints runs until the tap is off. On interrupt the tap stays on.
func (t *tapReader) follow(once bool) error {
	if !once {
		t.q.Set("wait", strconv.Itoa(tapWait))
	}
	for first := true; ; first = false {
		var page api.TappedRuns
		err := t.cl.do(t.c.Context(), http.MethodGet, t.at, t.q, nil, &page)
		var no *refusal
		if errors.As(err, &no) && no.status == http.StatusNotFound && !first {
			return done(t.c, "the tap on %s is off", t.name)
		}
		if err != nil {
			return err
		}
		for i := range page.Data {
			if err := t.print(&page.Data[i]); err != nil {
				return err
			}
		}
		if once {
			return nil
		}
		t.q.Set("after", strconv.FormatUint(page.Last, 10))
	}
}

func (t *tapReader) print(r *api.TappedRun) error {
	if t.format != "table" {
		return show(t.c, t.format, r, nil)
	}
	w := t.c.OutOrStdout()
	line := fmt.Sprintf("%s  run %s  %s  %s  %s", r.Started.Format(time.RFC3339), shortRun(r.ID), r.Event, firstOf(r.Device, r.About), endText(r.Run))
	if r.Error != "" {
		line += ": " + r.Error
	}
	fmt.Fprintln(w, plainCell(line))
	if r.Message != nil && r.Message.Values != nil {
		fmt.Fprintln(w, "  values "+plainCell(string(r.Message.Values)))
	}
	for _, s := range r.Steps {
		parts := nonEmpty(valuesText(s.Set))
		if saw := valuesText(s.Vars); saw != "" {
			parts = append([]string{"saw " + saw}, parts...)
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %s %s  %s  %s", plainCell(s.Step), plainCell(outletText(s)), s.Took, plainCell(strings.Join(append(parts, s.Wants...), "; "))), " "))
	}
	return nil
}
