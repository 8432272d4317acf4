package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
)

func rolloutCommand() *cobra.Command {
	c := group("rollout", "Rollouts: how far assignments have come, and what operators can do about it", rolloutList(), rolloutShow())
	for _, x := range []struct{ what, short, done string }{
		{ota.OperatePause, "Shut the door; devices under way finish", "is paused"},
		{ota.OperateResume, "Let the open stage go on, and judge from now on", "goes on"},
		{ota.OperatePromote, "Let the open stage pass now", "is promoted"},
		{ota.OperateCancel, "End it: devices that wait leave the queue, those under way finish", "is cancelled"},
		{ota.OperateRetry, "Try the devices again that have failed", "tries again what has failed"},
		{ota.OperateRollback, "Assign what the target had before, as a new rollout", ""},
	} {
		c.AddCommand(rolloutOperation(x.what, x.short, x.done))
	}
	return c
}

func rolloutList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List them, the oldest first", Args: args()}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		list, err := all[api.Rollout](c.Context(), cl, path("rollouts"), url.Values{})
		if err != nil {
			return err
		}
		return show(c, *format, list, func() *table {
			t := &table{head: []string{"ID", "PACKAGE", "TARGET", "CHAIN", "STATE", "STAGE", "MEMBERS", "UPDATED", "FAILED", "WAITING"}}
			for _, r := range list {
				t.add(r.ID, targetText(r.Package), r.Target, r.Chain, r.State, orDash(r.Stage), strconv.Itoa(r.Counts.Members),
					strconv.Itoa(r.Counts.Updated), strconv.Itoa(r.Counts.Failed+r.Counts.Silent), strconv.Itoa(r.Counts.Waiting))
			}
			return t
		})
	})
}

func targetText(t *api.Target) string {
	if t == nil {
		return "-"
	}
	return t.Title + "@" + t.Version
}

func rolloutShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one, with its plan and its counts", Args: args("ID")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var r api.Rollout
		if err := cl.do(c.Context(), http.MethodGet, path("rollouts", a[0]), nil, nil, &r); err != nil {
			return err
		}
		return show(c, *format, r, func() *table { return rolloutTable(r) })
	})
}

func rolloutTable(r api.Rollout) *table {
	t := &table{}
	row := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	row("rollout", r.ID)
	row("package", targetText(r.Package))
	row("target", r.Target)
	row("chain", r.Chain)
	row("started", strings.TrimSpace(r.Started.Format(time.RFC3339)+" "+r.By))
	row("state", r.State)
	row("reason", r.Reason)
	row("approval", r.Approval)
	for _, s := range r.Stages {
		text := fmt.Sprintf("%s %s", s.State, percentText(s.Share))
		if s.State == "current" && r.Permits {
			text += fmt.Sprintf(", %d of %d admitted", r.Admitted, r.Allowed)
		}
		row("stage "+s.Name, text)
	}
	k := r.Counts
	row("members", strconv.Itoa(k.Members))
	for _, x := range []struct {
		name string
		n    int
	}{{"waiting", k.Waiting}, {"held", k.Held}, {"in flight", k.InFlight}, {"updated", k.Updated}, {"failed", k.Failed}, {"silent", k.Silent}, {"skipped", k.Skipped}} {
		row(x.name, strconv.Itoa(x.n))
	}
	for _, s := range r.Steps {
		row(s.At.Format(time.RFC3339), strings.TrimSpace(s.What+" "+by(s.By)))
	}
	return t
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return "(" + who + ")"
}

func percentText(share float64) string { return strconv.FormatFloat(share*100, 'f', -1, 64) + " %" }

func rolloutOperation(what, short, said string) *cobra.Command {
	c := &cobra.Command{Use: what + " ID", Short: short, Args: args("ID")}
	reason := c.Flags().String("reason", "", "why, for people")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var out api.OperateDone
		in := map[string]string{"reason": *reason}
		if err := cl.do(c.Context(), http.MethodPost, path("rollouts", a[0], what), nil, in, &out); err != nil {
			return err
		}
		if what == ota.OperateRollback {
			return done(c, "rollout %s goes back to what was assigned before", out.Rollout)
		}
		return done(c, "rollout %s %s", a[0], said)
	})
}
