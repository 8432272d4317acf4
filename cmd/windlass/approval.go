package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func approvalCommand() *cobra.Command {
	return group("approval", "Approvals that rollouts wait for", approvalList(),
		approvalAnswer("approve", "Approve: the rollout goes on when enough have", "is approved"),
		approvalAnswer("deny", "Deny: one denial is enough", "is denied"),
		approvalAnswer("withdraw", "Take your approval back, while it is open", "is taken back"))
}

func approvalList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List those that are open", Args: args()}
	every := c.Flags().Bool("all", false, "those that are decided or have expired too")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		q := url.Values{}
		if !*every {
			q.Set("open", "true")
		}
		list, err := all[api.Approval](c.Context(), cl, path("approvals"), q)
		if err != nil {
			return err
		}
		return show(c, *format, list, func() *table {
			t := &table{head: []string{"ID", "ROLLOUT", "STEP", "PACKAGE", "TARGET", "STATE", "ANSWERS", "SINCE", "NOTE"}}
			for _, a := range list {
				t.add(a.ID, a.Rollout, a.Step, targetText(a.Package), a.Target, a.State, fmt.Sprintf("%d of %d", len(a.Answers), a.Needs), a.Created.Format(time.RFC3339), orDash(a.Note))
			}
			return t
		})
	})
}

func approvalAnswer(what, short, said string) *cobra.Command {
	c := &cobra.Command{Use: what + " ID", Short: short, Args: args("ID")}
	remark := c.Flags().String("remark", "", "why, for people")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var out api.Approval
		if err := cl.do(c.Context(), http.MethodPost, path("approvals", a[0], what), nil, map[string]string{"remark": *remark}, &out); err != nil {
			return err
		}
		if what == "approve" && out.State == "open" {
			return done(c, "counted; %d of %d have approved %s", len(out.Answers), out.Needs, a[0])
		}
		return done(c, "approval %s %s", a[0], said)
	})
}
