package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/windlass-ota/windlass/ota"
)

// slot is one thing that expressions of a chain name: "msg.values.battery",
// "vars.n". Only what is named gets a slot, and a slot is filled when the first
// expression that names it is about to run.
type slot struct {
	key  string // in the machine's environment
	name string // as people write it
	typ  Type
	fill filler // nil: steps write it
	live bool   // follows nouns, which steps change
	mach bool   // an expression that names it runs on the machine
}

// filler puts the value of slot i, and of others that come by the same way.
type filler func(r *Run, i int32) error

// frame is what runs of one chain share about their slots.
type frame struct {
	slots []slot
	start []start // values at the start of a run

	values group    // of msg.values
	scopes [4]group // of the device, by scope
}

type start struct {
	slot  int32
	value any
}

// env is what the expressions of one run see. It is reused by the runs of one
// chain, so that a hop allocates nothing.
type env struct {
	slots []any
	turns []int          // of loops, in the running expression
	vals  map[string]any // the slots that the machine needs, by key
	vm    vm.VM
	seen  []uint32 // by slot: the epoch in which it was filled, or forever
	epoch uint32   // rises when a step may have changed a noun
	read  facts
}

const forever = ^uint32(0)

func (e *env) init(f *frame) {
	e.slots = make([]any, len(f.slots))
	e.turns = []int{0}
	e.vals = map[string]any{turnsKey: e.turns}
	e.seen = make([]uint32, len(f.slots))
}

// begin makes the environment that of a new run.
func (e *env) begin(f *frame) {
	clear(e.seen)
	e.epoch = 1
	for i := range f.start {
		s := &f.start[i]
		e.put(&f.slots[s.slot], s.slot, s.value)
	}
}

// put gives slot i a value; i below 0 is a slot that nobody names.
func (r *Run) put(i int32, v any) {
	if i < 0 {
		return
	}
	r.env.put(&r.chain.frame.slots[i], i, v)
}

func (e *env) put(s *slot, i int32, v any) {
	e.slots[i] = v
	if s.mach {
		e.vals[s.key] = v
	}
	if s.live {
		e.seen[i] = e.epoch
	} else {
		e.seen[i] = forever
	}
}

// program is one compiled expression.
type program struct {
	code  *vm.Program
	slots []int32  // that it names and that need filling
	named []int32  // all that it names
	value lowValue // instead of code, where the values are of the usual kinds
	cond  lowBool
	gives Type     // as far as it is known
	words []string // the only ones that it can be
	text  string
	pos   string // file:line:column
}

// fill reads the slots that the program names.
func (p *program) fill(r *Run) error {
	e := &r.env
	for _, i := range p.slots {
		if s := e.seen[i]; s != e.epoch && s != forever {
			if err := r.chain.frame.slots[i].fill(r, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) run(r *Run) (any, error) {
	if err := p.fill(r); err != nil {
		return nil, err
	}
	if p.value != nil {
		if v, ok := p.value(r.env.slots); ok {
			return v, nil
		}
	}
	return p.machine(r)
}

// holds is run for a condition.
func (p *program) holds(r *Run) (bool, error) {
	if err := p.fill(r); err != nil {
		return false, err
	}
	if p.cond != nil {
		if v, ok := p.cond(r.env.slots); ok {
			return v, nil
		}
	}
	v, err := p.machine(r)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok && v != nil { // absent is not true
		return false, p.failed(fmt.Errorf("is %s, want true or false", describe(v)))
	}
	return b, nil
}

// machine runs the program on expr's machine.
func (p *program) machine(r *Run) (any, error) {
	e := &r.env
	if p.value != nil || p.cond != nil { // its slots may not lie there yet
		for _, i := range p.named {
			e.vals[r.chain.frame.slots[i].key] = e.slots[i]
		}
	}
	e.turns[0] = 0
	v, err := e.vm.Run(p.code, e.vals)
	if err != nil {
		return nil, p.failed(err)
	}
	return v, nil
}

// failed says what went wrong without the library's picture of the source.
func (p *program) failed(err error) error {
	msg := err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		msg = fe.Message
	}
	msg, _, _ = strings.Cut(msg, "\n")
	return ota.Errorf(ota.Internal, "expression "+p.text, "%s (%s)", msg, p.pos)
}

// Cond is a bare expression that is true or false: if, when.
type Cond struct{ p *program }

// Given says whether the condition was written.
func (c *Cond) Given() bool { return c.p != nil }

// Eval judges the condition for a run; one that is not given holds. An error is Internal: the expression met
// a value that it was not made for.
func (c *Cond) Eval(r *Run) (bool, error) {
	if c.p == nil {
		return true, nil
	}
	return c.p.holds(r)
}

// String is the expression as it was written.
func (c *Cond) String() string {
	if c.p == nil {
		return ""
	}
	return c.p.text
}

// Value is a bare expression of any type: value, items.
type Value struct{ p *program }

// Given says whether the expression was written.
func (v Value) Given() bool { return v.p != nil }

// Eval works the expression out for a run. Not given, it is nil.
func (v Value) Eval(r *Run) (any, error) {
	if v.p == nil {
		return nil, nil
	}
	return v.p.run(r)
}

// String is the expression as it was written.
func (v Value) String() string {
	if v.p == nil {
		return ""
	}
	return v.p.text
}

// evaluator works out a setting that depends on the run: one expression, whose
// value keeps its type, or text around expressions.
type evaluator struct {
	one   *program
	parts []part
	// tree is set for settings with expressions inside of maps and lists.
	tree func(r *Run) (any, error)
	pos  string
}

type part struct {
	lit string
	p   *program // nil: lit
}

func (e *evaluator) eval(r *Run) (any, error) {
	switch {
	case e.one != nil:
		return e.one.run(r)
	case e.tree != nil:
		return e.tree(r)
	}
	var b strings.Builder
	for _, x := range e.parts {
		if x.p == nil {
			b.WriteString(x.lit)
			continue
		}
		v, err := x.p.run(r)
		if err != nil {
			return nil, err
		}
		b.WriteString(printValue(v))
	}
	return b.String(), nil
}

// Get returns the setting's value for a run. An error is Invalid when the value
// does not fit the setting's type, since it came from what somebody sent.
func (s Setting[T]) Get(r *Run) (T, error) {
	if s.eval == nil {
		return s.lit, nil
	}
	var out T
	v, err := s.eval.eval(r)
	if err != nil {
		return out, err
	}
	if err := assign(&out, v); err != nil {
		return out, ota.Errorf(ota.Invalid, "setting", "%w (%s)", err, s.eval.pos)
	}
	return out, nil
}
