package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxBranches bounds how many branches one split runs.
const maxBranches = 256

type splitConfig struct {
	Branches []string `yaml:"branches"`
}

// Validate holds the number of branches in its bounds.
func (c splitConfig) Validate() error {
	if n := len(c.Branches); n < 1 || n > maxBranches {
		return &FieldError{"branches", fmt.Errorf("are %d, want 1 to %d", n, maxBranches)}
	}
	for i, b := range c.Branches {
		if slices.Contains(c.Branches[:i], b) {
			return &FieldError{"branches", fmt.Errorf("name %s twice", b)}
		}
	}
	return nil
}

type splitNode struct {
	branches []string
	first    []int32
}

func (n *splitNode) branchesAt(first []int32) { n.first = first }

func (n *splitNode) Process(ctx context.Context, r *Run) (string, error) {
	f := &fork{Round: r.Visit()}
	var waiting []int
	for i, name := range n.branches {
		result, num, err := r.branch(ctx, childOf{Branch: name, Round: f.Round}, n.first[i], nil)
		if err != nil {
			for _, w := range waiting { // none is begun where not all are
				r.Home.Drop(w)
			}
			return "", err
		}
		if num > 0 {
			f.Out++
			waiting = append(waiting, num)
			continue
		}
		f.Done++
		f.keep(name, result)
	}
	if r.forks == nil {
		r.forks = map[string]*fork{}
	}
	r.forks[r.Step()] = f
	return "started", nil
}

func splitWord() Factory {
	return Define(Spec{
		Name: "split", Summary: "Runs branches apart, each as a run of its own.", Flow: true,
		Doc: "The branches are done one after the other in the same turn, each with a copy of the vars as they are here, and what they do is stored together. One that waits goes on by itself later. " +
			"Nothing comes back from a branch but the `values` of its `return`, to a `join`. An error that no step of a branch takes fails this step; where the branch has waited it is handled by its code. A branch is named by its `split` alone: no road leads into it or out of it.",
		Fields:  []Field{{Key: "branches", Doc: "Names of branches, 256 at most.", Required: true, Runs: true}},
		Outlets: []Outlet{{Name: "started", Doc: "each has ended, or waits"}},
		Example: "steps:\n  - {node: split, with: {branches: [left, right]}}\nbranches:\n  left: [{node: set, with: {n: 1}}]\n  right: [{node: set, with: {n: 2}}]\nvars: {n: 0}\n",
	}, splitConfig{}, func(c splitConfig) (Node, error) { return &splitNode{branches: c.Branches}, nil })
}

type joinConfig struct {
	Of      string   `yaml:"of"`
	Need    string   `yaml:"need"`
	Timeout Duration `yaml:"timeout"`
}

// Validate reads how many branches are waited for.
func (c joinConfig) Validate() error {
	n, err := strconv.Atoi(c.Need)
	if c.Need != "all" && c.Need != "any" && (err != nil || n < 1) {
		return &FieldError{"need", fmt.Errorf("is %s, want all, any or a number of branches", c.Need)}
	}
	return errors.Join(Within("timeout", c.Timeout, time.Second, 366*24*time.Hour))
}

type joinNode struct {
	joinConfig
	of   string // the full name of the split
	need int
}

func (n *joinNode) Process(_ context.Context, r *Run) (string, error) {
	f := r.forks[n.of]
	if f == nil {
		return "", ota.Errorf(ota.Internal, "join", "the run has not split off anything at %s", n.Of)
	}
	timeout, err := n.Timeout.Get(r)
	if err != nil {
		return "", err
	}
	if f.Until.IsZero() {
		f.Until = r.Now.Add(timeout)
	}
	outlet := "joined"
	if !f.ready(n.need) {
		if r.Now.Before(f.Until) {
			f.Need = n.need
			return r.Park(Wait{At: f.Until, Outlet: "timed_out", Again: true})
		}
		outlet = "timed_out"
	}
	f.Need, f.Until = 0, time.Time{}
	if r.Wanted("results") {
		r.Set("results", resultsOf(f.Results))
	}
	return outlet, nil
}

func joinWord() Factory {
	f := Define(Spec{
		Name: "join", Summary: "Waits for the branches that a split has begun.", Flow: true, Waits: true,
		Doc: "The run goes on when enough of the branches have ended well, or when none is left that could, since the others have failed.",
		Fields: []Field{
			{Key: "of", Doc: "The `split` step.", Required: true},
			{Key: "need", Doc: "How many branches: `all`, `any`, or a number."},
			{Key: "timeout", Doc: "How long to wait for them."},
		},
		Outlets: []Outlet{{Name: "joined", Doc: "they have ended"}, {Name: "timed_out", Doc: "they have not ended in time"}},
		Outputs: []Output{{Name: "results", Type: AnyType, Doc: "what the branches have returned so far, by their names"}},
		Example: "steps:\n  - {node: split, name: ask, with: {branches: [left, right]}}\n  - {node: join, with: {of: ask, need: any, timeout: 5m}, to: {timed_out: end}}\nbranches:\n  left: [{node: return, with: {values: {n: 1}}}]\n  right: [{node: return, with: {values: {n: 2}}}]\n",
	}, joinConfig{Need: "all", Timeout: Lit(time.Minute)}, func(c joinConfig) (Node, error) { return &joinNode{joinConfig: c}, nil })
	inner := f.build
	f.build = func(d *decoder) Node {
		n, ok := inner(d).(*joinNode)
		if !ok {
			return nil
		}
		return d.joined(n)
	}
	return f
}

// joined finds the split of a join.
func (d *decoder) joined(n *joinNode) Node {
	at := d.with.Get("of")
	p := d.p.in.sc.steps[n.Of]
	if p == nil || p.doc.node != "split" {
		var splits []string
		for _, name := range sortedKeys(d.p.in.sc.steps) {
			if d.p.in.sc.steps[name].doc.node == "split" {
				splits = append(splits, name)
			}
		}
		d.fault(at, ruleUnknownTarget, "there is no step %s that splits%s", n.Of, didYouMean(n.Of, splits))
		return nil
	}
	all := len(namedTexts(p.doc.with.Get("branches")))
	switch n.Need {
	case "all":
		n.need = all
	case "any":
		n.need = 1
	default:
		n.need, _ = strconv.Atoi(n.Need)
		if n.need > all {
			d.fault(d.with.Get("need"), ruleBadLiteral, "need is %d, and %s has %d branches", n.need, n.Of, all)
			return nil
		}
	}
	n.of = p.full
	d.p.inner = append(d.p.inner, use{factFork(p), "the start of the branches of " + n.Of, d.sc.from, at.Line, at.Col})
	return n
}
