package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// outputFlag adds --output to a verb that prints data.
func outputFlag(c *cobra.Command) *string {
	format := c.Flags().StringP("output", "o", "table", "table, json or yaml")
	outputCheck(c, format)
	return format
}

func outputCheck(c *cobra.Command, format *string) {
	was := c.PreRunE
	c.PreRunE = func(c *cobra.Command, a []string) error {
		switch *format {
		case "table", "json", "yaml":
		default:
			return wrongUsage("--output is %q, want table, json or yaml", *format)
		}
		if was != nil {
			return was(c, a)
		}
		return nil
	}
	complete(c, "output", "table", "json", "yaml")
}

// complete lets the shell complete a flag's values.
func complete(c *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist, or twice for one.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// table is data for people.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(t.head) > 0 {
		fmt.Fprintln(tw, strings.Join(t.head, "\t"))
	}
	for _, r := range t.rows {
		for i := range r {
			r[i] = plainCell(r[i])
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	return tw.Flush()
}

// plainCell keeps names and error texts, which others wrote, from steering the
// terminal or breaking the table.
func plainCell(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, s)
}

// show prints v as JSON or YAML, or the table that human makes.
func show(c *cobra.Command, format string, v any, human func() *table) error {
	w := c.OutOrStdout()
	switch format {
	case "json":
		return printJSON(w, v)
	case "yaml":
		return printYAML(w, v)
	}
	return human().write(w)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printYAML prints v, by its JSON form, as block YAML. Members keep their order.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var b strings.Builder
	if err := yamlValue(&b, d, "", ""); err != nil {
		return err
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// yamlValue writes the next value of d. lead is what stands before its first
// line when it has lines of its own, indent what stands before the others.
func yamlValue(b *strings.Builder, d *json.Decoder, lead, indent string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	space := ""
	if lead != "" {
		space = " " // behind a key
	}
	delim, nested := t.(json.Delim)
	if !nested {
		b.WriteString(space + yamlScalar(t) + "\n")
		return nil
	}
	if !d.More() {
		b.WriteString(space + map[json.Delim]string{'{': "{}", '[': "[]"}[delim] + "\n")
		_, err := d.Token()
		return err
	}
	b.WriteString(lead)
	for first := true; d.More(); first = false {
		if !first || lead != "" {
			b.WriteString(indent)
		}
		if delim == '[' {
			b.WriteString("- ")
			err = yamlValue(b, d, "", indent+"  ")
		} else {
			var key json.Token
			if key, err = d.Token(); err == nil {
				b.WriteString(yamlScalar(key) + ":")
				err = yamlValue(b, d, "\n", indent+"  ")
			}
		}
		if err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// yamlScalar quotes whatever could be taken for something else than text.
func yamlScalar(t json.Token) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case string:
		if yamlPlain(v) {
			return v
		}
		return strconv.Quote(v)
	}
	return fmt.Sprint(t)
}

func yamlPlain(s string) bool {
	if s == "" || !strings.ContainsAny(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/") {
		return false
	}
	for _, word := range []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"} {
		if strings.EqualFold(s, word) {
			return false
		}
	}
	for _, r := range s {
		if r > '~' || r < ' ' || strings.ContainsRune("#{}[],&*!|>'\"%`\\", r) {
			return false
		}
	}
	return !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}

// ago writes a time for people.
func ago(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	d := now.Sub(*t).Round(time.Second)
	switch {
	case d < time.Minute:
		return max(d, 0).String() + " ago"
	case d < 24*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s") + " ago"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
