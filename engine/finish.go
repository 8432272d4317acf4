package engine

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// paramSlot is a param of the chain itself, for the args of an assignment.
type paramSlot struct {
	slot int32 // below 0: no expression names it
	decl *paramDecl
}

func valueOf(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

// typ is the type of what an evaluator gives, as far as it is known at load.
func (e *evaluator) typ() Type {
	if e.one == nil {
		if e.tree != nil {
			return AnyType
		}
		return TextType
	}
	return e.one.gives
}

// asType puts a value into the form in which a run has the type.
func asType(t Type, v any) (any, error) {
	g := t.goType()
	if v == nil || g == nil || reflect.TypeOf(v) == g {
		if v == nil {
			return t.zero(), nil
		}
		return v, nil
	}
	switch t {
	case IntType, SizeType:
		if n, ok := toInt(v); ok {
			return int(n), nil
		}
	case NumberType, PercentType:
		if n, ok := toNumber(v); ok {
			return n, nil
		}
	case TextType:
		if s, ok := toText(v); ok {
			return s, nil
		}
	default:
		if s, ok := v.(string); ok {
			if x, err := readText(t, s); err == nil {
				return x, nil
			}
		}
	}
	return nil, ota.Errorf(ota.Invalid, "setting", "the value is %s, want %s", describe(v), t)
}

// configured gives params without args their value from the configuration, or
// says that they are missing.
func (b *builder) configured(in *inst, at *yamlx.Node, src *source) {
	for _, name := range sortedKeys(in.sc.params) {
		p := in.sc.params[name]
		bound := in.from != nil && boundBy(in.from.binds, in.sc.prefix+"params."+name)
		if text, ok := b.opts.Params[in.doc.name][name]; ok && !bound {
			v, err := readText(p.typ, text)
			if err == nil {
				err = p.check(v)
			}
			if err != nil {
				b.faults.add(in.doc.src, p.at, ruleBadLiteral, "chains.params.%s.%s of the configuration: %s", in.doc.name, name, err)
				continue
			}
			p.def, p.given = v, true
		}
		if !p.given && !bound {
			if in.from == nil && b.called() {
				p.def = p.typ.zero()
				continue
			}
			if in.from == nil {
				at = p.at
			}
			b.faults.add(src, at, ruleMissing, "param %s of chain %s has neither a value nor a default", name, in.doc.name)
			p.def = p.typ.zero()
		}
	}
}

// called says whether the chain is one that others call, checked by itself.
func (b *builder) called() bool { return len(b.doc.triggers) == 1 && b.doc.triggers[0].call }

func boundBy(binds []*bind, key string) bool {
	for _, b := range binds {
		if b.key == key {
			return true
		}
	}
	return false
}

// finish makes the steps, now that it is known which slots anybody names.
func (b *builder) finish(top *inst) {
	c := b.c
	c.asks, c.mask = true, newMasker(b.opts.Secrets)
	for _, p := range b.protos {
		spec := &p.fac.Spec
		s := step{
			node: b.wrapped(p), spec: spec, name: p.full, next: p.next, onError: p.onError, ownError: p.own, when: p.when, retry: p.retry,
			skip: b.follow(p), pos: p.in.sc.place(p.doc.at), changes: spec.Writes || len(spec.Sets) > 0,
		}
		s.waker, _ = p.node.(Waker)
		s.outlets = outletNames(p.outlets)
		s.stage, _ = p.node.(Planner)
		for _, o := range p.outlets {
			if o.MayEnd && !slices.ContainsFunc(p.doc.to, func(t yamlx.Pair) bool { return t.Key.Text == o.Name }) {
				s.loose = append(s.loose, o.Name)
			}
		}
		switch {
		case p.child != nil:
			s.outlets, s.quiet = []string{"enter"}, true
		case p.doc.node == wordReturn && !p.sub:
			s.outlets, s.quiet = []string{"out"}, true
		}
		for _, o := range p.outlets {
			s.changes = s.changes || len(o.Sets) > 0
		}
		s.stats = newStats(len(s.outlets))
		if p.child != nil {
			s.calls = outletNames(p.outlets)
			s.stats = newStats(1 + len(s.calls))
		}
		for _, o := range spec.Outputs {
			s.outs = append(s.outs, b.named(p.in.sc.prefix+"steps."+p.doc.name+"."+o.Name))
		}
		for _, x := range p.binds {
			x.slot = b.named(x.key)
		}
		if spec.Members {
			s.first, s.branches = b.startsAt(p), startNames(p)
		}
		if n, ok := p.node.(runner); ok {
			n.branchesAt(b.startsAt(p))
		}
		if n, ok := p.node.(*callNode); ok && p.child != nil {
			n.resets = b.resets(p.child.sc.prefix)
		}
		c.asks = c.asks && !spec.Writes && !spec.Waits && !writes(p.node)
		c.steps = append(c.steps, s)
	}
	b.countCalls()
	for name, p := range top.sc.params {
		c.params[name] = paramSlot{b.named("params." + name), p}
	}
}

// named is the slot of a key, or -1.
func (b *builder) named(key string) int32 {
	if i, ok := b.slots[key]; ok {
		return i
	}
	return -1
}

// resets are the start values of a called chain, for each time it is entered.
func (b *builder) resets(prefix string) []start {
	var out []start
	for _, s := range b.c.frame.start {
		rest, ok := strings.CutPrefix(b.c.frame.slots[s.slot].key, prefix)
		if ok && !strings.Contains(rest, "/") {
			out = append(out, s)
		}
	}
	return out
}

// CheckArgs holds the args of an assignment against the params of the chain
// that shall conduct it. An error is Invalid and names every arg that is wrong.
func (c *Chain) CheckArgs(args map[string]string) error {
	var errs []error
	for _, name := range sortedKeys(args) {
		p, ok := c.params[name]
		if !ok {
			errs = append(errs, fmt.Errorf("chain %s has no param %s%s", c.Name, name, didYouMean(name, sortedKeys(c.params))))
			continue
		}
		v, err := readText(p.decl.typ, args[name])
		if err == nil {
			err = p.decl.check(v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("param %s: %w", name, err))
		}
	}
	if len(errs) > 0 {
		return &ota.Error{Code: ota.Invalid, Op: "params", Err: errors.Join(errs...)}
	}
	return nil
}

// Arg gives the run the args of an assignment, which win over all other values
// of the chain's params. They must have passed [Chain.CheckArgs]; what does not
// fit is left out. Call it before exec; begin keeps them.
func (r *Run) withArgs(args map[string]string) {
	r.args = args
	r.setArgs()
}

func (r *Run) setArgs() {
	for name, text := range r.args {
		p, ok := r.chain.params[name]
		if !ok {
			continue
		}
		if v, err := readText(p.decl.typ, text); err == nil {
			r.put(p.slot, v)
		}
	}
}
