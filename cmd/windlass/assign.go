package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

// targetFlags are those that name what a package is assigned to.
type targetFlags struct{ device, profile, group string }

func (t *targetFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&t.device, "device", "", "a device")
	c.Flags().StringVar(&t.profile, "profile", "", "all devices of a profile")
	c.Flags().StringVar(&t.group, "group", "", "all devices of a group (not in this version)")
}

// check wants exactly one.
func (t *targetFlags) check() error {
	n := 0
	for _, v := range []string{t.device, t.profile, t.group} {
		if v != "" {
			n++
		}
	}
	if n != 1 {
		return wrongUsage("name one of --device, --profile and --group")
	}
	if t.group != "" {
		return fmt.Errorf("this version does not have device groups yet")
	}
	return nil
}

// String names the target for people.
func (t *targetFlags) String() string {
	if t.device != "" {
		return "device " + t.device
	}
	return "profile " + t.profile
}

func assignCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "assign TITLE@VERSION", Short: "Assign a package to a device or to a profile", Args: args("TITLE@VERSION"),
		Long: "Assigns a package. The devices that it reaches are offered it at the server's pace; a device's own package wins over its profile's.",
	}
	var t targetFlags
	t.add(c)
	chain := c.Flags().String("chain", "", "the chain that conducts the rollout; the one configured when left out")
	sets := c.Flags().StringArray("set", nil, "a param of that chain: --set PARAM=VALUE")
	dry := c.Flags().Bool("dry-run", false, "check and count, and change nothing")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if err := t.check(); err != nil {
			return err
		}
		params, err := pairs("set", *sets)
		if err != nil {
			return err
		}
		q := url.Values{}
		if *dry {
			q.Set("dryRun", "true")
		}
		in := api.NewAssignment{Package: a[0], Device: t.device, Profile: t.profile, Chain: *chain, Params: params}
		var out api.AssignDone
		if err := cl.do(c.Context(), http.MethodPost, path("assignments"), q, in, &out); err != nil {
			return err
		}
		return show(c, *format, out, func() *table { return assignTable(a[0], &t, out) })
	})
}

func assignTable(pkg string, to *targetFlags, out api.AssignDone) *table {
	t := &table{}
	if p := out.Preview; p != nil {
		t.add(fmt.Sprintf("%s would update %d of %d devices of %s", pkg, p.Update, p.Devices, to))
		if p.Current > 0 {
			t.add(fmt.Sprintf("%d have it already", p.Current))
		}
		if p.Overridden > 0 {
			t.add(fmt.Sprintf("%d keep a package of their own", p.Overridden))
		}
		return t
	}
	word := "is assigned to"
	if !out.Changed {
		word = "was assigned already to"
	}
	t.add(fmt.Sprintf("%s %s %s", pkg, word, to))
	if out.Rollout != "" {
		t.add("rollout " + out.Rollout)
	}
	return t
}

func unassignCommand() *cobra.Command {
	c := &cobra.Command{Use: "unassign", Short: "Take an assignment away", Args: args()}
	kind := kindFlag(c, "", "of which type")
	var t targetFlags
	t.add(c)
	format := outputFlag(c)
	required(c, "type")
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		if err := t.check(); err != nil {
			return err
		}
		q := url.Values{"type": {*kind}}
		if t.device != "" {
			q.Set("device", t.device)
		} else {
			q.Set("profile", t.profile)
		}
		var out api.AssignDone
		if err := cl.do(c.Context(), http.MethodDelete, path("assignments"), q, nil, &out); err != nil {
			return err
		}
		return show(c, *format, out, func() *table {
			tab := &table{}
			if out.Changed {
				tab.add(fmt.Sprintf("%s has no %s of its own any more", t.String(), *kind))
			} else {
				tab.add(fmt.Sprintf("%s had no %s of its own", t.String(), *kind))
			}
			return tab
		})
	})
}

// pairs reads NAME=VALUE texts of a repeated flag.
func pairs(flag string, texts []string) (map[string]string, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, kv := range texts {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, wrongUsage("--%s %s: want NAME=VALUE", flag, kv)
		}
		out[k] = v
	}
	return out, nil
}
