package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
)

func deviceCommand() *cobra.Command {
	return group("device", "Devices", deviceCreate(), deviceList(), deviceShow(), deviceDelete(), deviceMove(), deviceCredentials())
}

func deviceCreate() *cobra.Command {
	c := &cobra.Command{Use: "create NAME", Short: "Create a device", Args: args("NAME")}
	var d api.NewDevice
	f := c.Flags()
	f.StringVar(&d.Profile, "profile", "", "its profile")
	f.StringVar(&d.AccessToken, "access-token", "", "what the device shows to be let in; made by the server when left out")
	f.StringVar(&d.Owner, "owner", "", "who owns it")
	f.StringVar(&d.Zone, "zone", "", "its time zone, such as Europe/Kyiv")
	format := outputFlag(c)
	required(c, "profile")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		d.Name = a[0]
		var out api.Device
		if err := cl.do(c.Context(), http.MethodPost, path("devices"), nil, d, &out); err != nil {
			return err
		}
		return show(c, *format, out, func() *table { return deviceTable(out) })
	})
}

func deviceList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List devices", Args: args()}
	profile := c.Flags().String("profile", "", "devices of this profile")
	state := c.Flags().String("state", "", "devices whose update is in this state")
	kind := kindFlag(c, "firmware", "of which type, with --state")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		q := url.Values{}
		if *profile != "" {
			q.Set("profile", *profile)
		}
		if *state != "" {
			q.Set("state", strings.ToUpper(*state))
			q.Set("type", *kind)
		}
		ds, err := all[api.Device](c.Context(), cl, path("devices"), q)
		if err != nil {
			return err
		}
		slices.SortFunc(ds, func(a, b api.Device) int { return strings.Compare(a.Name, b.Name) })
		return show(c, *format, ds, func() *table {
			t := &table{head: []string{"NAME", "PROFILE", "FIRMWARE", "STATE", "TARGET", "SOFTWARE", "STATE", "TARGET", "SEEN"}}
			for _, d := range ds {
				row := []string{d.Name, d.Profile}
				for _, k := range []api.Track{d.Firmware, d.Software} {
					row = append(row, build(k.Current), orDash(firstOf(k.State, k.Closed)), goal(k.Target))
				}
				t.add(append(row, ago(d.LastSeen, time.Now()))...)
			}
			return t
		})
	})
}

func deviceShow() *cobra.Command {
	c := &cobra.Command{Use: "show NAME", Short: "Show a device, its updates and their history", Args: args("NAME")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var d api.Device
		if err := cl.do(c.Context(), http.MethodGet, path("devices", a[0]), nil, nil, &d); err != nil {
			return err
		}
		return show(c, *format, d, func() *table { return deviceTable(d) })
	})
}

func deviceDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete NAME", Short: "Delete a device", Args: args("NAME")}
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if err := cl.do(c.Context(), http.MethodDelete, path("devices", a[0]), nil, nil, nil); err != nil {
			return err
		}
		return done(c, "device %s is deleted", a[0])
	})
}

func deviceMove() *cobra.Command {
	c := &cobra.Command{Use: "move NAME", Short: "Move a device to another profile", Args: args("NAME")}
	profile := c.Flags().String("profile", "", "the profile to move to")
	format := outputFlag(c)
	required(c, "profile")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var d api.Device
		if err := cl.do(c.Context(), http.MethodPatch, path("devices", a[0]), nil, api.DeviceChange{Profile: *profile}, &d); err != nil {
			return err
		}
		return show(c, *format, d, func() *table { return deviceTable(d) })
	})
}

// kindFlag adds --type.
func kindFlag(c *cobra.Command, def, doc string) *string {
	kind := c.Flags().String("type", def, doc+": firmware or software")
	complete(c, "type", "firmware", "software")
	was := c.PreRunE
	c.PreRunE = func(c *cobra.Command, a []string) error {
		*kind = strings.ToLower(*kind)
		if *kind != "" && !ota.Kind(*kind).Valid() {
			return wrongUsage("--type is %q, want firmware or software", *kind)
		}
		if was != nil {
			return was(c, a)
		}
		return nil
	}
	return kind
}

func build(v *api.Version) string {
	if v == nil {
		return "-"
	}
	return v.Title + "@" + v.Version
}

func goal(v *api.Target) string {
	if v == nil {
		return "-"
	}
	return v.Title + "@" + v.Version
}

func deviceTable(d api.Device) *table {
	t := &table{}
	t.add("name", d.Name)
	t.add("id", d.ID)
	t.add("profile", d.Profile)
	t.add("access token", orDash(d.AccessToken))
	if d.Owner != "" {
		t.add("owner", d.Owner)
	}
	if d.Zone != "" {
		t.add("zone", d.Zone)
	}
	seen := ago(d.LastSeen, time.Now())
	if d.Online {
		seen += " (online)"
	}
	t.add("seen", seen)
	trackRows(t, "firmware", d.Firmware)
	trackRows(t, "software", d.Software)
	for _, a := range d.Alarms {
		times := ""
		if a.Count > 1 {
			times = fmt.Sprintf("  (%d times)", a.Count)
		}
		t.add(a.Severity, a.Key+": "+a.Message+times)
	}
	return t
}

// byPath says by which way through which chain a move came about.
func byPath(p *api.RunPath) string {
	switch {
	case p == nil:
		return ""
	case p.Chain == "":
		return "  (by revision " + p.Revision + " of a chain, which is not at hand)"
	}
	return "  (" + p.Chain + ": " + pathText(p.Steps, p.Cut) + ")"
}

func trackRows(t *table, kind string, k api.Track) {
	if k.State == "" && k.Closed == "" && k.Target == nil && k.Current == nil {
		t.add(kind, "-")
		return
	}
	state := orDash(firstOf(k.State, k.Closed))
	if k.Progress != nil {
		state += fmt.Sprintf(" (%d %%)", *k.Progress)
	}
	t.add(kind, state)
	rows := [][2]string{
		{"current", build(k.Current)}, {"target", goal(k.Target)}, {"assigned by", orDash(k.AssignedBy)}, {"waits", k.Waits},
		{"skipped", k.Skipped},
	}
	if k.Error != nil {
		rows = append(rows, [2]string{"error", *k.Error})
	}
	if k.Reported != nil {
		rows = append(rows, [2]string{"reported", build(k.Reported)})
	}
	for _, r := range rows {
		if r[1] != "" {
			t.add("  "+r[0], r[1])
		}
	}
	for _, s := range k.History {
		t.add("  "+s.At.Format(time.RFC3339), strings.TrimSpace(s.State+"  "+s.Note)+byPath(s.Path))
	}
}
