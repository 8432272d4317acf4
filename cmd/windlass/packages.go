package main

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/ota"
)

func packageCommand() *cobra.Command {
	return group("package", "Builds of firmware and software", packageUpload(), packageAddURL(), packageList(), packageShow(),
		packageDownload(), packageDelete(), packageQuarantine(), packageRelease())
}

// metaFlags are those that say what a new package is.
func metaFlags(c *cobra.Command, m *api.PackageMeta) (labels *[]string) {
	f := c.Flags()
	f.StringVar(&m.Title, "title", "", "its title")
	f.StringVar(&m.Version, "version", "", "its version")
	f.StringVar(&m.Profile, "profile", "", "the profile of the devices that it is made for")
	f.StringVar(&m.Tag, "tag", "", "what such a device reports, where that differs from title and version")
	f.StringVar(&m.Description, "description", "", "anything that people should know")
	f.StringVar(&m.ChecksumAlgorithm, "checksum-algorithm", "", "MD5, SHA256, SHA384, SHA512, CRC32, MURMUR3_32 or MURMUR3_128")
	f.StringVar(&m.Checksum, "checksum", "", "what the checksum must be")
	var words []string
	for _, a := range ota.ChecksumAlgorithms() {
		words = append(words, string(a))
	}
	complete(c, "checksum-algorithm", words...)
	labels = f.StringArray("label", nil, "a label: --label NAME=VALUE")
	required(c, "title", "version", "profile")
	return labels
}

func packageAddURL() *cobra.Command {
	c := &cobra.Command{
		Use: "add-url URL", Short: "Create a package that devices fetch elsewhere themselves", Args: args("URL"),
	}
	var p api.NewURLPackage
	labels := metaFlags(c, &p.PackageMeta)
	bytes := c.Flags().String("size", "", "its size, where known")
	kind := kindFlag(c, "firmware", "of which type")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) (err error) {
		p.URL, p.Type = a[0], *kind
		if *bytes != "" {
			if p.Size, err = parseSize(*bytes); err != nil {
				return wrongUsage("--size: %s", err)
			}
		}
		if p.Labels, err = pairs("label", *labels); err != nil {
			return err
		}
		var out api.Package
		if err := cl.do(c.Context(), http.MethodPost, path("packages", "external"), nil, p, &out); err != nil {
			return err
		}
		return show(c, *format, out, func() *table { return packageTable(out) })
	})
}

func packageList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List packages", Args: args()}
	search := c.Flags().String("search", "", "part of the title")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) error {
		q := url.Values{}
		if *search != "" {
			q.Set("search", *search)
		}
		ps, err := all[api.Package](c.Context(), cl, path("packages"), q)
		if err != nil {
			return err
		}
		return show(c, *format, ps, func() *table {
			t := &table{head: []string{"PACKAGE", "TYPE", "PROFILE", "SIZE", "CHECKSUM", "CREATED", "STATE"}}
			for _, p := range ps {
				t.add(p.Title+"@"+p.Version, p.Type, p.Profile, sizeOf(p), short(p.Checksum), p.Created.Format(time.RFC3339), packageState(p))
			}
			return t
		})
	})
}

func packageShow() *cobra.Command {
	c := &cobra.Command{Use: "show TITLE@VERSION", Short: "Show a package", Args: args("TITLE@VERSION")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var p api.Package
		if err := cl.do(c.Context(), http.MethodGet, path("packages", a[0]), nil, nil, &p); err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return packageTable(p) })
	})
}

func packageDelete() *cobra.Command {
	c := &cobra.Command{Use: "delete TITLE@VERSION", Short: "Delete a package that is assigned nowhere", Args: args("TITLE@VERSION")}
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if err := cl.do(c.Context(), http.MethodDelete, path("packages", a[0]), nil, nil, nil); err != nil {
			return err
		}
		return done(c, "package %s is deleted", a[0])
	})
}

func packageQuarantine() *cobra.Command {
	c := &cobra.Command{Use: "quarantine TITLE@VERSION", Short: "Let nobody assign or fetch a package", Args: args("TITLE@VERSION")}
	reason := c.Flags().String("reason", "", "why")
	format := outputFlag(c)
	required(c, "reason")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var p api.Package
		if err := cl.do(c.Context(), http.MethodPut, path("packages", a[0], "quarantine"), nil, api.Quarantine{Reason: *reason}, &p); err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return packageTable(p) })
	})
}

func packageRelease() *cobra.Command {
	c := &cobra.Command{Use: "release TITLE@VERSION", Short: "Take a package out of quarantine", Args: args("TITLE@VERSION")}
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var p api.Package
		if err := cl.do(c.Context(), http.MethodDelete, path("packages", a[0], "quarantine"), nil, nil, &p); err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return packageTable(p) })
	})
}

func packageTable(p api.Package) *table {
	t := &table{}
	for _, r := range [][2]string{
		{"package", p.Title + "@" + p.Version}, {"id", p.ID}, {"type", p.Type}, {"profile", p.Profile}, {"tag", p.Tag}, {"url", p.URL},
		{"size", sizeOf(p)}, {string(p.ChecksumAlgorithm), p.Checksum}, {"file", p.FileName}, {"description", p.Description},
		{"created", p.Created.Format(time.RFC3339)}, {"state", packageState(p)},
	} {
		if r[1] != "" {
			t.add(r[0], r[1])
		}
	}
	for _, k := range sortedKeys(p.Labels) {
		t.add("label "+k, p.Labels[k])
	}
	return t
}

func sizeOf(p api.Package) string {
	if p.Size == 0 {
		return "-"
	}
	return printSize(p.Size) + " (" + strconv.FormatInt(p.Size, 10) + ")"
}

func packageState(p api.Package) string {
	switch {
	case p.Quarantine != "":
		return "quarantine: " + p.Quarantine
	case !p.Ready:
		return "being checked"
	}
	return "ready"
}

func short(sum string) string {
	if len(sum) > 12 {
		return sum[:12] + "…"
	}
	return orDash(sum)
}
