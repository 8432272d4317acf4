package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// childOf says of a run that it is a branch of another one.
type childOf struct {
	Leg    string // which of the branches of the whole run: "/tell.lake"
	Up     string `json:",omitempty"` // the leg of the run that it is a branch of; "": the run itself
	Split  string // the step that runs it
	Branch string
	Round  int    `json:",omitempty"` // how often that step was done
	Job    string `json:",omitempty"` // the branch is done for a member of it, in that one's home
}

func (c *childOf) ofJob() bool { return c != nil && c.Job != "" }

// fork is what a run knows of the branches that one of its steps has split off.
// A run that waits has it with it, so that a branch which ends finds it there.
type fork struct {
	Round   int
	Out     int                        // that wait, and have not ended
	Done    int                        // that have ended well
	Results map[string]json.RawMessage `json:",omitempty"` // by branch
	Need    int                        `json:",omitempty"` // above 0: a join waits for so many
	Until   time.Time                  `json:",omitzero"`  // and so long
}

// ready says whether a join that waits for need branches has what it waits for:
// they have ended well, or none is left that could.
func (f *fork) ready(need int) bool { return f.Done >= need || f.Out == 0 }

// ended notes the end of a branch that had waited.
func (f *fork) ended(branch string, result json.RawMessage, well bool) {
	f.Out--
	if !well {
		return
	}
	f.Done++
	f.keep(branch, result)
}

func (f *fork) keep(branch string, result json.RawMessage) {
	if result == nil {
		return
	}
	if f.Results == nil {
		f.Results = map[string]json.RawMessage{}
	}
	f.Results[branch] = result
}

// leg tells the branches of a run from each other, and from the run itself, "".
func (r *Run) leg() string {
	if r.child == nil {
		return ""
	}
	return r.child.Leg
}

// item puts a run into the branch of one of many.
type item struct {
	value any
	index int
}

// branch does the branch that begins at a step, as a run of its own: with a copy
// of the vars and with the nouns as they are, of which nothing comes back but
// what it returns. One that waits is kept in the home under the number num. The
// steps that it does count in the run's own.
func (r *Run) branch(ctx context.Context, c childOf, first int32, one *item) (result json.RawMessage, num int, err error) {
	back := r.aside()
	defer back()
	c.Up, c.Split = r.leg(), r.Step()
	c.Leg = c.Up + "/" + c.Split + "." + c.Branch
	if one != nil {
		r.item, r.index = one.value, one.index
		c.Leg += "." + strconv.Itoa(one.index)
	}
	r.child, r.forks, r.result = &c, nil, nil
	r.visits, r.attempt = maps.Clone(r.visits), 0
	r.env.epoch++
	for r.at = first; r.at >= 0; {
		if err = r.hop(ctx); err == nil {
			break
		}
		if err = r.route(err); err != nil {
			return nil, 0, err
		}
	}
	if r.park == nil {
		return r.result, 0, nil
	}
	if r.Home == nil || one != nil {
		return nil, 0, ota.Errorf(ota.Internal, "branch "+c.Branch, "it waits at %s, which it must not", r.Step())
	}
	p, err := r.parked()
	if err != nil {
		return nil, 0, err
	}
	r.standAside(p.At)
	return nil, r.Home.Park(p), nil
}

// aside keeps what is the run's own while it does a branch; back brings it back.
func (r *Run) aside() (back func()) {
	frame := &r.chain.frame
	slots := make([]any, 0, 8)
	for i := range frame.slots {
		if frame.slots[i].fill == nil {
			slots = append(slots, r.env.slots[i])
		}
	}
	own := *r
	shown := -1
	var vars map[string]any
	if t := r.trace; t != nil {
		shown, vars = len(t.Steps)-1, t.vars
	}
	return func() {
		n := 0
		for i := range frame.slots {
			if frame.slots[i].fill == nil {
				r.env.put(&frame.slots[i], int32(i), slots[n])
				n++
			}
		}
		if r.own != own.own {
			r.env.read = facts{}
		}
		r.Package, r.Rollout, r.Source, r.By = own.Package, own.Rollout, own.Source, own.By
		r.device, r.profile, r.own, r.kind = own.device, own.profile, own.own, own.kind
		r.err, r.at, r.attempt, r.mark, r.park = own.err, own.at, own.attempt, own.mark, nil
		r.visits, r.child, r.forks, r.item, r.index, r.result = own.visits, own.child, own.forks, own.item, own.index, own.result
		r.env.epoch++
		if t := r.trace; t != nil && shown >= 0 {
			t.vars = vars
			t.reopen(shown)
		}
	}
}

// reopen puts a step that runs branches behind what those did, as it ends after
// them.
func (t *Trace) reopen(i int) {
	x := t.Steps[i]
	t.Steps = append(append(t.Steps[:i:i], t.Steps[i+1:]...), x)
	t.open = true
}

// branchEnded tells the run that a branch belongs to, where that waits in the
// home, that the branch has ended. A join that has what it waits for is due.
func branchEnded(h *ota.Home, c *childOf, run []byte, result json.RawMessage, well bool, now time.Time) {
	if c.ofJob() { // the job has counted it already
		return
	}
	for i := range h.Parked {
		p := &h.Parked[i]
		if !bytes.Contains(p.Data, []byte(`"Forks":`)) {
			continue
		}
		up, err := readParked(p.Data)
		if err != nil || !bytes.Equal(up.Run, run) || up.leg() != c.Up {
			continue
		}
		f := up.Forks[c.Split]
		if f == nil || f.Round != c.Round {
			return
		}
		f.ended(c.Branch, result, well)
		data, err := json.Marshal(up)
		if len(data) > maxParked {
			delete(f.Results, c.Branch)
			data, err = json.Marshal(up)
		}
		if err != nil {
			return
		}
		if p.Data = data; f.Need > 0 && f.ready(f.Need) {
			p.At = now
		}
		return
	}
}

func (p *parkedRun) leg() string {
	if p.Child == nil {
		return ""
	}
	return p.Child.Leg
}

// dropped tells the run that a parked one is a branch of that it is no more.
func dropped(h *ota.Home, p ota.Parked, now time.Time) {
	if !bytes.Contains(p.Data, []byte(`"Child":`)) {
		return
	}
	if run, err := readParked(p.Data); err == nil && run.Child != nil {
		branchEnded(h, run.Child, run.Run, nil, false, now)
	}
}

// asResult is a value as a branch hands it over: as JSON.
func asResult(v any) (json.RawMessage, error) {
	b, err := json.Marshal(jsonForm(v))
	if err != nil {
		return nil, ota.Errorf(ota.Internal, "return", "%w", err)
	}
	return b, nil
}

// resultsOf reads the results of branches.
func resultsOf(in map[string]json.RawMessage) any {
	out := map[string]any{}
	for k, b := range in {
		out[k] = gjson.ParseBytes(b).Value()
	}
	return out
}

// branchReturn ends a branch that is run apart, and hands values over.
type branchReturn struct{ as []*bind }

func (n *branchReturn) Process(_ context.Context, r *Run) (string, error) {
	out := make(map[string]any, len(n.as))
	for _, b := range n.as {
		v := b.lit
		if b.ev != nil {
			x, err := b.ev.eval(r)
			if err != nil {
				return "", err
			}
			if v, err = asType(b.typ, x); err != nil {
				return "", err
			}
		}
		out[b.key] = v
	}
	var err error
	r.result, err = asResult(out)
	return "", err
}

// branchReturned makes the node of a return that ends a branch.
func (d *decoder) branchReturned(outlet, values *yamlx.Node) Node {
	if outlet != nil {
		d.fault(outlet, ruleUnknownOutlet, "a branch that is run apart has no outlets; leave outlet away")
	}
	return &branchReturn{as: d.bindings(values, "", func(*yamlx.Node) (Type, bool) { return AnyType, true })}
}
