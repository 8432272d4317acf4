package yamlx

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// Sorted writes a document again with the keys of every map in the order of the
// alphabet, as some tools do to the files they pass on. Lists, scalars and
// comments stay as they are.
func Sorted(data []byte) ([]byte, error) {
	var doc yaml.Node
	if err := decode(yaml.NewDecoder(bytes.NewReader(data)), &doc); err != nil {
		return nil, explain(data, err)
	}
	sortKeys(&doc)
	var out bytes.Buffer
	if err := yaml.NewEncoder(&out).Encode(&doc); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return out.Bytes(), nil
}

func sortKeys(n *yaml.Node) {
	for _, c := range n.Content {
		sortKeys(c)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	pairs := slices.Collect(slices.Chunk(slices.Clone(n.Content), 2))
	slices.SortStableFunc(pairs, func(a, b []*yaml.Node) int { return cmp.Compare(a[0].Value, b[0].Value) })
	n.Content = slices.Concat(pairs...)
}
