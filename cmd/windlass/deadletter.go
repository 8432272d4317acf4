package main

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func deadLetterCommand() *cobra.Command {
	c := group("deadletter", "Runs that failed for a reason of the server's", deadLetterList())
	for verb, what := range map[string]string{"show": "a view of one dead letter", "retry": "a retry of dead letters", "drop": "a way to drop dead letters"} {
		c.AddCommand(laterCommand(verb, what))
	}
	return c
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
			t := &table{head: []string{"ID", "AT", "EVENT", "ABOUT", "CHAIN", "STEP", "REASON"}}
			for _, l := range page.Data {
				t.add(l.ID, l.At.Format(time.RFC3339), l.Event, orDash(firstOf(l.Device, l.About)), l.Chain, orDash(l.Step), l.Reason)
			}
			return t
		})
	})
}
