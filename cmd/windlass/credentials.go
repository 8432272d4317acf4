package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

// maxAsked bounds a file that says what to change, in bytes.
const maxAsked = 64 << 10

// fileFlag adds --file, from which secrets are read: on a command line everybody
// on the machine would see them.
func fileFlag(c *cobra.Command, doc string) *string {
	return c.Flags().String("file", "", doc+" (JSON as the API takes it; - is standard input)")
}

// asked reads what a file, or standard input for "-", wants to be changed.
func asked(c *cobra.Command, file string, into any) error {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(c.InOrStdin(), maxAsked))
	} else {
		text, err = os.ReadFile(file) //nolint:gosec // the operator names it
	}
	if err != nil {
		return fmt.Errorf("read --file: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return wrongUsage("%s: %v", file, err)
	}
	return nil
}

func deviceCredentials() *cobra.Command {
	c := &cobra.Command{
		Use: "credentials NAME", Short: "Show how a device proves who it is, or give it other credentials", Args: args("NAME"),
		Example: `  windlass device credentials pump-1
  echo '{"type":"MQTT_BASIC","userName":"pump-1","password":"…"}' | windlass device credentials pump-1 --file -`,
	}
	file := fileFlag(c, "the credentials to give")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var in, out api.Credentials
		if *file == "" {
			if err := cl.do(c.Context(), http.MethodGet, path("devices", a[0], "credentials"), nil, nil, &out); err != nil {
				return err
			}
		} else {
			if err := asked(c, *file, &in); err != nil {
				return err
			}
			if err := cl.do(c.Context(), http.MethodPut, path("devices", a[0], "credentials"), nil, in, &out); err != nil {
				return err
			}
		}
		return show(c, *format, out, func() *table { return credentialsTable(out) })
	})
}

func credentialsTable(c api.Credentials) *table {
	t := &table{}
	for _, row := range [][2]string{
		{"type", c.Type},
		{"access token", c.AccessToken},
		{"client id", c.ClientID},
		{"user name", c.UserName},
		{"certificate", c.Certificate},
		{"endpoint", c.Endpoint},
		{"identity", c.Identity},
	} {
		if row[1] != "" {
			t.add(row[0], row[1])
		}
	}
	return t
}

func profileChange() *cobra.Command {
	c := &cobra.Command{
		Use: "change NAME", Short: "Change what a profile says of its devices", Args: args("NAME"),
		Example: `  echo '{"provisioning":{"strategy":"ALLOW_CREATE_NEW_DEVICES","key":"…","secret":"…"}}' | windlass profile change pump --file -`,
	}
	file := fileFlag(c, "what to change; the rest stays")
	format := outputFlag(c)
	required(c, "file")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		var in api.ProfileChange
		var out api.Profile
		if err := asked(c, *file, &in); err != nil {
			return err
		}
		if err := cl.do(c.Context(), http.MethodPatch, path("profiles", a[0]), nil, in, &out); err != nil {
			return err
		}
		return show(c, *format, out, func() *table { return profileTable(out) })
	})
}
