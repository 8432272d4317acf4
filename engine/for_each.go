package engine

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/ota"
)

type forEachConfig struct {
	Items    Value  `yaml:"items"`
	Branch   string `yaml:"branch"`
	MaxItems Int    `yaml:"max_items"`
}

// Validate holds the number of items in its bounds.
func (c forEachConfig) Validate() error { return Within("max_items", c.MaxItems, 1, 100_000) }

type forEachNode struct {
	forEachConfig
	first []int32
}

func (n *forEachNode) branchesAt(first []int32) { n.first = first }

func (n *forEachNode) Process(ctx context.Context, r *Run) (string, error) {
	v, err := n.Items.Eval(r)
	if err != nil {
		return "", err
	}
	items, ok := itemsOf(v)
	if !ok {
		return "", ota.Errorf(ota.Invalid, "for_each", "items are %s, want a list", describe(v))
	}
	most, err := n.MaxItems.Get(r)
	if err != nil {
		return "", err
	}
	if len(items) > most {
		return "", ota.Errorf(ota.Invalid, "for_each", "there are %d items, %d at most", len(items), most)
	}
	results := make([]any, len(items))
	wanted := r.Wanted("results")
	for i, x := range items {
		var result json.RawMessage
		if result, _, err = r.branch(ctx, childOf{Branch: n.Branch}, n.first[0], &item{x, i}); err != nil {
			return "", err
		}
		if wanted && result != nil {
			results[i] = gjson.ParseBytes(result).Value()
		}
	}
	if wanted {
		r.Set("results", results)
	}
	return "finished", nil
}

// itemsOf is a list of any kind; what is absent has no items.
func itemsOf(v any) ([]any, bool) {
	if all, ok := v.([]any); ok || v == nil {
		return all, true
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return nil, false
	}
	out := make([]any, list.Len())
	for i := range out {
		out[i] = list.Index(i).Interface()
	}
	return out, true
}

func forEachWord() Factory {
	f := Define(Spec{
		Name: "for_each", Summary: "Runs a branch for each item of a list.", Flow: true, Each: true,
		Doc: "The branch is done for one item after the other in the same turn, so none of its steps may wait; `item` and `index`, from 0, are set in it. Each time it begins with the vars as they are here, and nothing comes back but the `values` of its `return`. " +
			"The steps of all items count in the turn's `limits.steps`.",
		Fields: []Field{
			{Key: "items", Doc: "An expression that gives a list. What is absent has no items.", Required: true},
			{Key: "branch", Doc: "Name of the branch.", Required: true, Runs: true},
			{Key: "max_items", Doc: "More items than these are an error."},
		},
		Outlets: []Outlet{{Name: "finished", Doc: "each item has had its branch"}},
		Outputs: []Output{{Name: "results", Type: AnyType, Doc: "a list of what was returned, in the order of the items"}},
		Example: "steps:\n  - {node: for_each, with: {items: \"[1, 2]\", branch: one}}\nbranches:\n  one: [{node: return, with: {values: {twice: \"${number(item, 0) * 2}\"}}}]\n",
	}, forEachConfig{MaxItems: Lit(1000)}, func(c forEachConfig) (Node, error) { return &forEachNode{forEachConfig: c}, nil })
	return f
}
