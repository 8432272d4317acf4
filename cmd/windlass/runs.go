package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func runsCommand() *cobra.Command {
	return group("runs", "What became of messages", runsList(), runsShow())
}

func runsList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the last runs, or those that wait", Args: args(),
		Long: "Lists the last runs of the server's process, newest first: the way that each took, and how it ended. With --waiting it lists the\n" +
			"runs that wait in devices and rollouts, of all processes, with what they wait for.",
		Example: "  windlass runs list --device pump-7\n  windlass runs list --waiting",
	}
	waiting := c.Flags().Bool("waiting", false, "the runs that wait")
	device := c.Flags().String("device", "", "runs about this device")
	chain := c.Flags().String("chain", "", "runs of this chain; not with --waiting")
	limit := c.Flags().Int("limit", 100, "how many at most, up to 10000; not with --waiting")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		q := url.Values{}
		if *device != "" {
			q.Set("device", *device)
		}
		if *waiting {
			if c.Flags().Changed("chain") || c.Flags().Changed("limit") {
				return wrongUsage("--chain and --limit go without --waiting")
			}
			return listWaiting(c, cl, q, *format)
		}
		if *limit < 1 || *limit > 10000 {
			return wrongUsage("--limit is %d, want 1 to 10000", *limit)
		}
		if *chain != "" {
			q.Set("chain", *chain)
		}
		q.Set("limit", strconv.Itoa(*limit))
		var page api.List[api.Run]
		if err := cl.do(c.Context(), http.MethodGet, path("runs"), q, nil, &page); err != nil {
			return err
		}
		return show(c, *format, page.Data, func() *table {
			t := &table{head: []string{"RUN", "AT", "EVENT", "ABOUT", "CHAIN", "END", "TOOK", "PATH"}}
			for _, r := range page.Data {
				t.add(shortRun(r.ID), r.Started.Format(time.RFC3339), r.Event, orDash(firstOf(r.Device, r.About)), r.Chain, endText(r), orDash(r.Took), pathText(r.Path, r.Cut))
			}
			return t
		})
	})
}

// shortRun is a beginning of a run's id that is enough to find it by.
func shortRun(id string) string {
	if len(id) == 32 {
		return id[:16]
	}
	return id
}

func endText(r api.Run) string {
	text := strings.ReplaceAll(r.End, "_", " ")
	if r.Code != "" && r.End == "failed" {
		text += " (" + r.Code + ")"
	}
	if r.Step != "" {
		text += " at " + r.Step
	}
	return text
}

// pathText is a path in one line.
func pathText(hops []api.Hop, cut bool) string {
	var out []string
	for _, h := range hops {
		out = append(out, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	if cut {
		out = append(out, "…")
	}
	return orDash(strings.Join(out, " "))
}

func listWaiting(c *cobra.Command, cl *client, q url.Values, format string) error {
	runs, err := all[api.WaitingRun](c.Context(), cl, path("runs", "waiting"), q)
	if err != nil {
		return err
	}
	return show(c, format, runs, func() *table {
		t := &table{head: []string{"ABOUT", "CHAIN", "STEP", "EVENT", "WAITS FOR", "UPDATE"}}
		for _, r := range runs {
			var why []string
			if r.Event != "" {
				why = append(why, r.Event)
			}
			if r.Attempt > 0 {
				why = append(why, fmt.Sprintf("attempt %d", r.Attempt+1))
			}
			if r.Until != nil {
				why = append(why, "until "+r.Until.Format(time.RFC3339))
			}
			t.add(firstOf(r.Device, r.About), r.Chain, r.Step, r.Began, strings.Join(why, ", "), orDash(strings.TrimSpace(r.Type+" "+r.Update)))
		}
		return t
	})
}

func runsShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show ID", Short: "Show a run, step by step", Args: args("ID"),
		Long: "Shows one of the last runs of the server's process, by its id or a beginning of it, or the run of a dead letter. What the steps\n" +
			"saw and set is there for runs that a tap has kept: see windlass chains tap.",
	}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var r api.RunDetail
		if err := cl.do(c.Context(), http.MethodGet, path("runs", a[0]), nil, nil, &r); err != nil {
			return err
		}
		if *format != "table" {
			return show(c, *format, r, nil)
		}
		if err := runTable(r).write(c.OutOrStdout()); err != nil {
			return err
		}
		return printSteps(c, r)
	})
}

func runTable(r api.RunDetail) *table {
	t := &table{}
	row := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	row("id", r.ID)
	row("event", r.Event)
	row("device", r.Device)
	row("about", r.About)
	row("type", r.Type)
	row("started", r.Started.Format(time.RFC3339Nano))
	row("took", r.Took)
	row("chain", strings.TrimSpace(r.Chain+"  "+r.Revision))
	row("end", endText(r.Run))
	row("error", r.Error)
	row("dead letter", r.DeadLetter)
	if r.Until != nil {
		row("until", r.Until.Format(time.RFC3339))
	}
	row("found in", r.Source)
	if m := r.Message; m != nil {
		row("values", string(m.Values))
		row("method", m.Method)
		row("params", string(m.Params))
		row("result", string(m.Result))
		row("came by", strings.TrimSpace(m.Transport+" "+m.Address))
		row("cause", m.Cause)
	}
	row("lost", r.Lost)
	return t
}

// printSteps prints the steps of a run, with what they saw and set where that is
// known.
func printSteps(c *cobra.Command, r api.RunDetail) error {
	t := &table{head: []string{"STEP", "OUTLET", "TOOK", "SAW", "SET"}}
	if r.Steps == nil {
		t.head = []string{"STEP", "OUTLET"}
		for _, h := range r.Path {
			t.add(h.Step, orDash(firstOf(h.Outlet, "skipped")))
		}
		if r.Cut {
			t.add("…", "")
		}
	}
	for _, s := range r.Steps {
		t.add(s.Step, outletText(s), s.Took, valuesText(s.Vars), strings.Join(append(nonEmpty(valuesText(s.Set)), s.Wants...), "; "))
	}
	w := c.OutOrStdout()
	if len(t.rows) > 0 {
		fmt.Fprintln(w)
		if err := t.write(w); err != nil {
			return err
		}
	}
	for _, x := range r.Said {
		fmt.Fprintln(w, "  "+plainCell(x))
	}
	return nil
}

func outletText(s api.RunStep) string {
	switch {
	case s.Error != "":
		return "error: " + s.Error
	case s.Outlet != "":
		return s.Outlet
	case s.Node == "call" || s.Node == "return":
		return "-"
	}
	return "skipped"
}

// valuesText is values in one line, by name.
func valuesText(m map[string]json.RawMessage) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+"="+string(m[k]))
	}
	return strings.Join(out, " ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
