package main

import (
	"io/fs"
	"strings"

	"github.com/windlass-ota/windlass/chains"
)

// shippedChains returns the text of every chain in this binary, by name.
func shippedChains() (map[string][]byte, error) {
	out := map[string][]byte{}
	files, err := fs.Glob(chains.Shipped(), "*.yaml")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.yaml") {
			continue
		}
		text, err := fs.ReadFile(chains.Shipped(), f)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(f, ".yaml")] = text
	}
	return out, nil
}
