package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/graph"
)

func graphCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "graph CHAIN", Short: "Draw a chain",
		Long: "Draws a chain: its triggers, steps and branches, and where each outlet leads. CHAIN is a file, or the name of a shipped chain.\n" +
			"A chain that it calls is one box; it is looked for beside the file and among the shipped ones. A file with faults is drawn too\n" +
			"where all of its roads lead somewhere, and then the last line of stderr says that it has some.",
		Example: "  windlass graph download\n  windlass graph my/offer.yaml --format svg > offer.svg",
		Args:    args("the chain"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return shippedNames(), cobra.ShellCompDirectiveDefault
		},
	}
	format := c.Flags().String("format", "mermaid", strings.Join(graph.Formats(), ", "))
	complete(c, "format", graph.Formats()...)
	c.RunE = func(c *cobra.Command, a []string) error {
		if !slices.Contains(graph.Formats(), *format) {
			return wrongUsage("--format is %q, want mermaid, dot or svg", *format)
		}
		files, name, err := drawable(a[0])
		if err != nil {
			return err
		}
		reg, err := newRegistry(engine.Deps{})
		if err != nil {
			return err
		}
		g, faults := engine.GraphOf(files, name, reg, engine.Options{})
		if g == nil {
			fmt.Fprint(c.ErrOrStderr(), faults.Text())
			return fmt.Errorf("%s cannot be drawn: some of its roads lead nowhere", a[0])
		}
		if n := unfit(faults, g.File); n > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "%s has %d %s; see: windlass validate %s\n", a[0], n, plural(n, "fault"), a[0])
		}
		return graph.Write(c.OutOrStdout(), g, *format)
	}
	return c
}

// unfit counts the faults of a file that would stop its load; what is only
// missing may stand in the configuration.
func unfit(faults engine.Faults, file string) int {
	n := 0
	for _, f := range faults {
		if f.File == file && !f.Warning && f.Rule != "missing" {
			n++
		}
	}
	return n
}

func shippedNames() []string {
	all, _ := shippedSources() // they are embedded
	var names []string
	for _, s := range all {
		names = append(names, s.ChainName())
	}
	return names
}

// drawable finds the chain that is meant, and the files of those that it may
// call.
func drawable(what string) (files []engine.Source, chain string, err error) {
	shipped, err := shippedSources()
	if err != nil {
		return nil, "", err
	}
	data, err := os.ReadFile(what)
	if errors.Is(err, fs.ErrNotExist) {
		names := shippedNames()
		if slices.Contains(names, what) {
			return shipped, what, nil
		}
		return nil, "", fmt.Errorf("there is no file and no shipped chain %s%s", what, engine.DidYouMean(what, names))
	}
	if err != nil {
		return nil, "", err
	}
	file := engine.Source{Name: what, Data: data}
	beside, _ := folderSources(filepath.Dir(what)) // a folder that cannot be read holds nothing to call
	beside = withoutFile(beside, []engine.Source{file})
	return append([]engine.Source{file}, engine.Overlay(shipped, beside)...), file.ChainName(), nil
}
