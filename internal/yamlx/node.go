package yamlx

import (
	"math"
	"strconv"
	"strings"
)

// Kind is the shape of a node.
type Kind int

// The shapes.
const (
	Scalar Kind = iota
	Map
	List
)

// String names the shape for people.
func (k Kind) String() string { return [...]string{"text", "a map", "a list"}[k] }

// Node is a piece of a document and where it stands. Aliases have been put into
// their places; such a node may be shared, so nobody changes it.
type Node struct {
	Kind   Kind
	Text   string // of a scalar
	Quoted bool   // the scalar stood in quotes, or was a block: it is text whatever its look
	Block  bool   // the scalar was a block (| or >): Line and Col are those of its mark
	Line   int    // from 1
	Col    int    // from 1, in characters
	Pairs  []Pair // of a map, in their order
	Items  []*Node
}

// Pair is one key of a map and its value.
type Pair struct{ Key, Value *Node }

// Get returns the value of key, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, p := range n.Pairs {
		if p.Key.Text == key {
			return p.Value
		}
	}
	return nil
}

// Null says whether the node is an empty scalar, null or ~.
func (n *Node) Null() bool {
	if n == nil {
		return true
	}
	return n.Kind == Scalar && !n.Quoted && (n.Text == "" || n.Text == "~" || n.Text == "null")
}

// Value is the node as plain Go: map[string]any, []any, string, bool, int,
// float64 or nil. Unquoted scalars become what they look like, by the rules of
// YAML 1.2's core schema: yes and on are text.
func (n *Node) Value() any {
	switch {
	case n == nil:
		return nil
	case n.Kind == Map:
		m := make(map[string]any, len(n.Pairs))
		for _, p := range n.Pairs {
			m[p.Key.Text] = p.Value.Value()
		}
		return m
	case n.Kind == List:
		l := make([]any, len(n.Items))
		for i, x := range n.Items {
			l[i] = x.Value()
		}
		return l
	case n.Quoted:
		return n.Text
	}
	return plain(n.Text)
}

// plain resolves an unquoted scalar.
func plain(s string) any {
	switch s {
	case "", "~", "null":
		return nil
	case "true":
		return true
	case "false":
		return false
	}
	if !strings.ContainsAny(s[:1], "0123456789+-.") || strings.ContainsAny(s, "_xXpPiInN") {
		return s
	}
	if i, err := strconv.Atoi(s); err == nil {
		return i
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(f, 0) {
		return f
	}
	return s
}
