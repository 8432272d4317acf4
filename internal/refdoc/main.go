// Command refdoc writes the reference page of the node types, out of their
// specs: a table of all, then a section for each. The page follows from the
// specs alone, so that the same specs give the same bytes.
//
// It knows how Markdown looks, and no node by name.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

func main() {
	out := flag.String("o", "", "the file to write; nothing: the terminal")
	flag.Parse()
	if err := run(*out); err != nil {
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
