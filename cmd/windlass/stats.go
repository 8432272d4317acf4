package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func chainsStats() *cobra.Command {
	c := &cobra.Command{
		Use: "stats CHAIN", Short: "Count which ways messages take through a chain", Args: args("CHAIN"),
		Long: "Shows how often each step of a chain was left, by outlet, skipped and failed, and how long it takes, in the server's process since it\n" +
			"runs that revision.",
	}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var l api.List[api.StepStats]
		if err := cl.do(c.Context(), http.MethodGet, path("chains", a[0], "stats"), nil, nil, &l); err != nil {
			return err
		}
		return show(c, *format, l.Data, func() *table {
			t := &table{head: []string{"STEP", "NODE", "MEAN", "LEFT BY"}}
			for _, s := range l.Data {
				var by []string
				for _, o := range sortedKeys(s.Taken) {
					by = append(by, fmt.Sprintf("%s %d", o, s.Taken[o]))
				}
				if s.Skipped > 0 {
					by = append(by, fmt.Sprintf("skipped %d", s.Skipped))
				}
				if s.Errors > 0 {
					by = append(by, fmt.Sprintf("error %d", s.Errors))
				}
				t.add(s.Step, s.Node, orDash(s.Mean), orDash(strings.Join(by, ", ")))
			}
			return t
		})
	})
}
