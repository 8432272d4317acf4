// Command refdoc writes pages that follow from the code: the reference of the
// node types out of their specs, and with -examples a page for each example
// chain out of its file. The same source gives the same bytes.
//
// It knows how Markdown looks, and no node and no chain by name.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

func main() {
	out := flag.String("o", "", "the file to write, or with -examples the folder; nothing: the terminal")
	examples := flag.String("examples", "", "a folder of example chains; they may call the shipped ones")
	flag.Parse()
	write := func() error { return run(*out) }
	if *examples != "" {
		write = func() error { return runExamples(*examples, *out) }
	}
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "refdoc:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	var page bytes.Buffer
	if err := Page(&page, append(nodes.All(engine.Deps{}), engine.FlowFactories()...)); err != nil {
		return err
	}
	if path == "" {
		_, err := io.Copy(os.Stdout, &page)
		return err
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil { //nolint:gosec // a page of the tree, for everybody
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func runExamples(folder, out string) error {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		return err
	}
	pages, err := Examples(os.DirFS(folder), chains.Shipped(), reg)
	if err != nil {
		return err
	}
	return writePages(out, pages)
}
