package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "explain DEVICE", Short: "Say what a device shall run, how it got there, and what it waits for", Args: args("DEVICE"),
		Long: "Says in sentences which assignment is in force for a device and why, what its update has been through, what it waits for,\n" +
			"and what its attributes tell the device. Times are UTC.",
		Example: "  windlass explain pump-7\n  windlass explain pump-7 --type software --output json",
	}
	kind := kindFlag(c, "", "one type alone")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		q := url.Values{}
		if *kind != "" {
			q.Set("type", *kind)
		}
		var x api.Explanation
		if err := cl.do(c.Context(), http.MethodGet, path("devices", a[0], "explain"), q, nil, &x); err != nil {
			return err
		}
		if *format != "table" {
			return show(c, *format, x, nil)
		}
		for i, t := range x.Types {
			if i > 0 {
				fmt.Fprintln(c.OutOrStdout())
			}
			fmt.Fprintf(c.OutOrStdout(), "%s of %s:\n", t.Type, plainCell(x.Name))
			for _, s := range t.Sentences {
				fmt.Fprintf(c.OutOrStdout(), "  %s\n", plainCell(s))
			}
		}
		return nil
	})
}
