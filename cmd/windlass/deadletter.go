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
)

func deadLetterCommand() *cobra.Command {
	return group("deadletter", "Runs that failed for a reason of the server's", deadLetterList(), deadLetterShow(), deadLetterRetry(), deadLetterDrop())
}

func deadLetterList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List them, newest first", Args: args()}
	limit := c.Flags().Int("limit", 100, "how many at most, up to 1000")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		if *limit < 1 || *limit > 1000 {
			return wrongUsage("--limit is %d, want 1 to 1000", *limit)
		}
		var page api.List[api.DeadLetter]
		if err := cl.do(c.Context(), http.MethodGet, path("deadletters"), url.Values{"limit": {strconv.Itoa(*limit)}}, nil, &page); err != nil {
			return err
		}
		return show(c, *format, page.Data, func() *table {
			t := &table{head: []string{"ID", "AT", "EVENT", "ABOUT", "CHAIN", "STEP", "TRIES", "REASON"}}
			for _, l := range page.Data {
				t.add(l.ID, l.At.Format(time.RFC3339), l.Event, orDash(firstOf(l.Device, l.About)), orDash(l.Chain), orDash(l.Step), strconv.Itoa(l.Attempts), l.Reason)
			}
			return t
		})
	})
}

func deadLetterShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one, with its message", Args: args("ID")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var l api.DeadLetterMessage
		if err := cl.do(c.Context(), http.MethodGet, path("deadletters", a[0]), nil, nil, &l); err != nil {
			return err
		}
		return show(c, *format, l, func() *table { return letterTable(l) })
	})
}

func letterTable(l api.DeadLetterMessage) *table {
	t := &table{}
	row := func(name, value string) {
		if value != "" {
			t.add(name, value)
		}
	}
	row("id", l.ID)
	row("event", l.Event)
	row("device", l.Device)
	row("about", l.About)
	row("type", l.Type)
	row("failed", l.At.Format(time.RFC3339))
	if l.Last != nil {
		row("failed again", l.Last.Format(time.RFC3339))
	}
	row("attempts", strconv.Itoa(l.Attempts))
	row("chain", strings.TrimSpace(l.Chain+"  "+l.Digest))
	row("for chain", l.For)
	row("step", l.Step)
	row("reason", l.Reason)
	if len(l.Path) > 0 {
		row("way", pathText(l.Path, false))
	}
	m := l.Message
	if m.TS != nil {
		row("said to be of", m.TS.Format(time.RFC3339))
	}
	row("values", string(m.Values))
	row("client keys", strings.Join(m.ClientKeys, ", "))
	row("shared keys", strings.Join(m.SharedKeys, ", "))
	row("method", m.Method)
	row("params", string(m.Params))
	row("result", string(m.Result))
	row("came by", strings.TrimSpace(m.Transport+" "+m.Address))
	row("cause", m.Cause)
	row("rollout", m.Rollout)
	row("state", m.State)
	return t
}

func deadLetterRetry() *cobra.Command {
	c := &cobra.Command{Use: "retry ID", Short: "Run the message again, from the first step of the chain that answers it today", Args: args("ID")}
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var r api.RetryDone
		if err := cl.do(c.Context(), http.MethodPost, path("deadletters", a[0], "retry"), nil, nil, &r); err != nil {
			return err
		}
		if r.Letter != nil {
			where := ""
			if r.Letter.Step != "" {
				where = " at step " + r.Letter.Step + " of chain " + r.Letter.Chain
			}
			return fmt.Errorf("it failed again%s (attempt %d): %s", where, r.Letter.Attempts, plainCell(r.Letter.Reason))
		}
		return done(c, "dead letter %s is done", a[0])
	})
}

func deadLetterDrop() *cobra.Command {
	c := &cobra.Command{Use: "drop ID", Short: "Forget one", Args: args("ID")}
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if err := cl.do(c.Context(), http.MethodDelete, path("deadletters", a[0]), nil, nil, nil); err != nil {
			return err
		}
		return done(c, "dead letter %s is dropped", a[0])
	})
}
