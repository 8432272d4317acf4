package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// list joins words for a sentence: "a, b and c".
func list(words []string) string {
	switch len(words) {
	case 0:
		return "nothing"
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// show prints a setting's value as it is written in a chain.
func show(v any) string {
	switch x := v.(type) {
	case time.Duration:
		return printDuration(x)
	case Percent:
		return printValue(float64(x)*100) + "%"
	case string:
		return x
	}
	return fmt.Sprint(v)
}
