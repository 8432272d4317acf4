package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

// newRegistry holds the node types that chains may use.
func newRegistry(d engine.Deps) (*engine.Registry, error) { return engine.NewRegistry(nodes.All(d)) }

// factories are the node types that chains may use, in the order of the
// catalogue; the words of the language stand at its end.
func factories() []engine.Factory {
	return append(nodes.All(engine.Deps{}), engine.FlowFactories()...)
}

func nodesCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "nodes [NAME]", Short: "Show what steps a chain may have",
		Args: func(_ *cobra.Command, a []string) error {
			if len(a) > 1 {
				return wrongUsage("%q is one argument too many", a[1])
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, f := range factories() {
				names = append(names, f.Spec.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	format := c.Flags().String("format", "text", "text, markdown or json")
	complete(c, "format", "text", "markdown", "json")
	c.RunE = func(c *cobra.Command, a []string) error {
		all := api.Catalogue(factories())
		if len(a) == 1 {
			n, err := findNode(all, a[0])
			if err != nil {
				return err
			}
			all = []api.Node{n}
		}
		w := c.OutOrStdout()
		switch *format {
		case "json":
			if len(a) == 1 {
				return printJSON(w, all[0])
			}
			return printJSON(w, all)
		case "markdown":
			return eachNode(all, func(n api.Node) error { return printNode(w, n, true) })
		case "text":
			if len(a) == 1 {
				return printNode(w, all[0], false)
			}
			t := &table{head: []string{"NODE", "FOR", "OUTLETS", "DOES"}}
			for _, n := range all {
				t.add(n.Name, orDash(n.About), outletsOf(n), n.Summary)
			}
			return t.write(w)
		}
		return wrongUsage("--format is %q, want text, markdown or json", *format)
	}
	return c
}

func findNode(all []api.Node, name string) (api.Node, error) {
	var names []string
	for _, n := range all {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return api.Node{}, fmt.Errorf("there is no node %q%s", name, engine.DidYouMean(name, names))
}

func eachNode(all []api.Node, do func(api.Node) error) error {
	for _, n := range all {
		if err := do(n); err != nil {
			return err
		}
	}
	return nil
}

func outletsOf(n api.Node) string {
	var out []string
	for _, o := range n.Outlets {
		name := o.Name
		if o.MayEnd {
			name += "°"
		}
		out = append(out, name)
	}
	return orDash(strings.Join(out, " "))
}

// printNode prints a node's page, as text or as Markdown.
func printNode(w io.Writer, n api.Node, markdown bool) error {
	head := func(s string) { fmt.Fprintf(w, "\n%s\n", s) }
	if markdown {
		fmt.Fprintf(w, "## %s\n\n%s\n", n.Name, n.Summary)
		head = func(s string) { fmt.Fprintf(w, "\n**%s**\n\n", s) }
	} else {
		fmt.Fprintf(w, "%s: %s\n", n.Name, n.Summary)
	}
	if n.Doc != "" {
		fmt.Fprintf(w, "\n%s\n", n.Doc)
	}
	facts := &table{}
	for _, f := range [][2]string{{"for", n.About}, {"needs", strings.Join(n.Needs, " ")}, {"sets", strings.Join(n.Sets, " ")}} {
		if f[1] != "" {
			facts.add(f[0], f[1])
		}
	}
	sections := []struct {
		name string
		t    *table
	}{{"", facts}, {"settings", settingRows(n)}, {"outlets", outletRows(n)}, {"outputs", outputRows(n)}}
	for _, s := range sections {
		if len(s.t.rows) == 0 {
			continue
		}
		if s.name != "" {
			head(s.name)
		} else {
			fmt.Fprintln(w)
		}
		if err := s.t.writeAs(w, markdown); err != nil {
			return err
		}
	}
	if n.Example != "" {
		head("example")
		if markdown {
			fmt.Fprintf(w, "```yaml\n%s\n```\n\n", strings.TrimSpace(n.Example))
		} else {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(strings.TrimSpace(n.Example), "\n", "\n  "))
		}
	}
	return nil
}

func settingRows(n api.Node) *table {
	t := &table{}
	for _, s := range n.Settings {
		def := s.Default
		if s.Required {
			def = "required"
		}
		kind := s.Type
		if len(s.Enum) > 0 {
			kind = strings.Join(s.Enum, "|")
		}
		if s.Secret {
			kind += ", may be secret"
		}
		t.add(s.Key, kind, orDash(def), s.Doc)
	}
	return t
}

func outletRows(n api.Node) *table {
	t := &table{}
	for _, o := range n.Outlets {
		what := "must be wired"
		switch {
		case o.Main:
			what = "main"
		case o.MayEnd:
			what = "may be left out"
		}
		t.add(o.Name, what, o.Doc)
	}
	return t
}

func outputRows(n api.Node) *table {
	t := &table{}
	for _, o := range n.Outputs {
		t.add("steps.NAME."+o.Name, o.Type, o.Doc)
	}
	return t
}

// writeAs writes rows as text, indented, or as a Markdown table.
func (t *table) writeAs(w io.Writer, markdown bool) error {
	if !markdown {
		for i := range t.rows {
			t.rows[i][0] = "  " + t.rows[i][0]
		}
		return t.write(w)
	}
	width := len(t.rows[0])
	fmt.Fprintf(w, "|%s\n|%s\n", strings.Repeat(" |", width), strings.Repeat(" --- |", width))
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
	return nil
}
