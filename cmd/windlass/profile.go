package main

import (
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func profileCommand() *cobra.Command {
	return group("profile", "Kinds of devices, which packages are made for", profileCreate(), profileList(), profileShow(), profileChange(), profileDelete())
}

func profileCreate() *cobra.Command {
	c := &cobra.Command{Use: "create NAME", Short: "Create a profile", Args: args("NAME")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var p api.Profile
		if err := cl.do(c.Context(), http.MethodPost, path("profiles"), nil, api.NewProfile{Name: a[0]}, &p); err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return profileTable(p) })
	})
}

func profileList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List profiles", Args: args()}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		ps, err := all[api.Profile](c.Context(), cl, path("profiles"), nil)
		if err != nil {
			return err
		}
		return show(c, *format, ps, func() *table {
			t := &table{head: []string{"NAME", "FIRMWARE", "SOFTWARE", "CREATED"}}
			for _, p := range ps {
				t.add(p.Name, assigned(p.Firmware), assigned(p.Software), p.Created.Format(time.RFC3339))
			}
			return t
		})
	})
}

func profileShow() *cobra.Command {
	c := &cobra.Command{Use: "show NAME", Short: "Show a profile", Args: args("NAME")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var p api.Profile
		if err := cl.do(c.Context(), http.MethodGet, path("profiles", a[0]), nil, nil, &p); err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return profileTable(p) })
	})
}

func profileTable(p api.Profile) *table {
	t := &table{}
	t.add("name", p.Name)
	t.add("id", p.ID)
	t.add("created", p.Created.Format(time.RFC3339))
	t.add("firmware", assigned(p.Firmware))
	t.add("software", assigned(p.Software))
	if v := p.Provisioning; v != nil {
		t.add("provisioning", v.Strategy)
	}
	return t
}

func assigned(a *api.Assignment) string {
	if a == nil {
		return "-"
	}
	return a.Title + "@" + a.Version
}

func profileDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete NAME", Short: "Delete a profile that no device is of", Args: args("NAME")}
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if err := cl.do(c.Context(), http.MethodDelete, path("profiles", a[0]), nil, nil, nil); err != nil {
			return err
		}
		return done(c, "profile %s is deleted", a[0])
	})
}
