package engine

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// ParseDuration reads a duration as chains write it: 500ms, 1h30m, 3d, 2w.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// PrintDuration writes a duration as chains write it.
func PrintDuration(d time.Duration) string { return printDuration(d) }

// ParseSize reads a size as chains write it: 512, 4KiB, 64MiB, 1GB.
func ParseSize(s string) (Bytes, error) { return parseSize(s) }

// ParsePercent reads a share as chains write it: 2%.
func ParsePercent(s string) (Percent, error) { return parsePercent(s) }

// DidYouMean is the tail of a message about an unknown word: "; did you mean
// that?" where a word that is known is close, else "".
func DidYouMean(got string, known []string) string { return didYouMean(got, known) }

// ChainName is the name of the chain in a file: what it says, else how the file
// is called. What is wrong with the file is told when it is compiled.
func (s Source) ChainName() string {
	root, _ := yamlx.Parse(s.Data)
	if n := root.Get("chain"); n != nil && n.Kind == yamlx.Scalar && n.Text != "" {
		return n.Text
	}
	return strings.TrimSuffix(path.Base(strings.ReplaceAll(s.Name, `\`, "/")), ".yaml")
}

// Calls lists the chains that the steps of a file call, as far as it can be read.
func (s Source) Calls() []string {
	root, _ := yamlx.Parse(s.Data)
	var out []string
	var walk func(n *yamlx.Node)
	walk = func(n *yamlx.Node) {
		if node, chain := n.Get("node"), n.Get("with").Get("chain"); node != nil && node.Text == wordCall && chain != nil {
			out = append(out, chain.Text)
		}
		for _, p := range n.Pairs {
			walk(p.Value)
		}
		for _, x := range n.Items {
			walk(x)
		}
	}
	if root != nil {
		walk(root)
	}
	return out
}

// Overlay puts chain files over others: a chain of the same name takes the place
// of the one below.
func Overlay(below, over []Source) []Source {
	names := map[string]bool{}
	for _, s := range over {
		names[s.ChainName()] = true
	}
	return append(slices.DeleteFunc(slices.Clone(below), func(s Source) bool { return names[s.ChainName()] }), over...)
}
