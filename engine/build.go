package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// builder compiles one chain.
type builder struct {
	docs    map[string]*doc
	reg     *Registry
	opts    *Options
	faults  *faultList
	doc     *doc
	c       *Chain
	heard   []heardAt        // what its triggers hear
	reached map[*proto][]int // by which triggers, as far as the file's words tell
	protos  []*proto
	slots   map[string]int32
	insts   []*inst
	broken  bool // a road leads nowhere, so that what is missing proves nothing
	sums    []byte
	exprs   int // expressions compiled so far
}

// inst is a chain in one place: the chain itself, or one that a step calls.
type inst struct {
	doc   *doc
	sc    *scope
	from  *proto // the step that calls it, or nil
	up    *inst
	depth int
	entry map[string]int32 // steps and branches by name
	lists [][]*proto
}

// proto is a step that is being compiled.
type proto struct {
	doc     *stepDoc
	in      *inst
	i       int32
	full    string
	fac     Factory
	known   bool // the node type is
	node    Node
	outlets []Outlet
	next    []int32
	after   int32 // the next step of its list, or leave
	onError int32
	own     bool
	when    *Cond
	retry   *retry
	uses    []use // of "when"
	inner   []use // of its settings
	noKind  bool
	child   *inst   // of a step that calls
	leaves  []int32 // of a step that calls: where each outlet of the chain leads
	binds   []*bind
	failed  bool      // its settings or its node are wrong
	starts  []started // branches that it runs
	sub     bool      // stands in a branch that is run apart
}

// Where edges lead besides to a step.
const (
	leave   int32 = -2 // out of the list, and so out of the chain
	nowhere int32 = -3 // a fault is recorded
)

// bind is a value that a flow word puts into a slot, which may turn out to be
// named by nobody.
type bind struct {
	key  string
	typ  Type
	slot int32
	lit  any
	ev   *evaluator
}

func (p *proto) src() *source { return p.in.doc.src }

func (p *proto) typeName() string { return p.doc.node }

// outputs are the fields of steps.NAME.
func (p *proto) outputs() []Output {
	if p.child != nil {
		return p.child.returned()
	}
	return p.fac.Spec.Outputs
}

// returned lists what the returns of a chain give, with the types that agree.
func (in *inst) returned() []Output {
	var out []Output
	for _, l := range in.lists {
		for _, p := range l {
			if p.doc.node != wordReturn {
				continue
			}
			for _, b := range p.binds {
				name := b.key[strings.LastIndexByte(b.key, '.')+1:]
				i := slices.IndexFunc(out, func(o Output) bool { return o.Name == name })
				switch {
				case i < 0:
					out = append(out, Output{Name: name, Type: b.typ})
				case out[i].Type != b.typ:
					out[i].Type = AnyType
				}
			}
		}
	}
	return out
}

// build compiles the chain of a doc; nil where it cannot even be laid out.
func (b *builder) build() *Chain {
	b.c = &Chain{Name: b.doc.name, Summary: b.doc.summary, File: b.doc.src.name, Limits: b.doc.limits, params: map[string]paramSlot{}}
	b.slots = map[string]int32{}
	for _, t := range b.doc.triggers {
		if !t.call {
			b.heard = append(b.heard, heardAt{t.event, t.door})
		}
	}
	top := b.place(b.doc, nil, nil)
	if len(b.protos) > maxSteps*10 {
		b.faults.add(b.doc.src, b.doc.nameAt, ruleTooLarge, "the chain has %d steps with those that it calls, %d at most", len(b.protos), maxSteps*10)
		return nil
	}
	b.configured(top, b.doc.nameAt, b.doc.src)
	b.doors(top)
	b.reaches(top)
	for _, p := range b.protos {
		b.settings(p)
	}
	for _, p := range b.protos {
		b.edges(p)
	}
	if b.doc.onError != nil {
		b.targetIn(top, b.doc.onError, nil)
	}
	starts := b.triggers(top)
	b.check(starts)
	b.finish(top)
	b.open()
	sum := sha256.Sum256(b.sums)
	b.c.Digest = hex.EncodeToString(sum[:8])
	return b.c
}

// place lays out a chain and, in their places, those that it calls.
func (b *builder) place(d *doc, from *proto, up *inst) *inst {
	in := &inst{doc: d, from: from, up: up, entry: map[string]int32{}}
	in.sc = &scope{b: b, from: d.src, params: map[string]*paramDecl{}, vars: map[string]*varDecl{}, steps: map[string]*proto{}, fields: d.fields}
	if up != nil {
		in.depth = up.depth + 1
		in.sc.prefix = from.full + "/"
	}
	b.insts = append(b.insts, in)
	b.sums = append(b.sums, d.sum[:]...)
	if !slices.ContainsFunc(b.c.files, func(f ota.ChainFile) bool { return f.Chain == d.name }) {
		b.c.files = append(b.c.files, ota.ChainFile{Chain: d.name, Name: d.src.name, Text: d.text})
	}
	for _, p := range d.params {
		c := *p
		in.sc.params[p.name] = &c
	}
	for _, v := range d.vars {
		in.sc.vars[v.name] = v
	}
	for _, br := range d.branches {
		in.entry[br.name] = nowhere
	}
	b.list(in, d.steps)
	for _, br := range d.branches {
		if first := b.list(in, br.steps); first >= 0 {
			in.entry[br.name] = first
		}
	}
	b.apart(in)
	return in
}

func (b *builder) list(in *inst, steps []*stepDoc) (first int32) {
	first = nowhere
	var l []*proto
	for _, s := range steps {
		p := &proto{doc: s, in: in, i: int32(len(b.protos)), full: in.sc.prefix + s.name, after: leave, onError: nowhere}
		p.fac, p.known = b.reg.Lookup(s.node)
		if !p.known || p.fac.Spec.Source {
			b.unknownNode(p)
		}
		b.claim(p)
		b.protos = append(b.protos, p)
		if first < 0 {
			first = p.i
		}
		if n := len(l); n > 0 {
			l[n-1].after = p.i
		}
		l = append(l, p)
		if s.node == wordCall && len(b.protos) <= maxSteps*10 {
			b.callee(p)
		}
	}
	in.lists = append(in.lists, l)
	return first
}

func (b *builder) unknownNode(p *proto) {
	if p.known {
		b.faults.add(p.src(), p.doc.nodeAt, ruleUnknownNode, "%s stands in a trigger, not among steps", p.doc.node)
	} else {
		b.faults.add(p.src(), p.doc.nodeAt, ruleUnknownNode, "there is no node %s%s", p.doc.node, didYouMean(p.doc.node, b.reg.Names()))
	}
	p.known, p.failed = false, true
}

// claim gives the step its name, which steps and branches share.
func (b *builder) claim(p *proto) {
	name, at := p.doc.name, p.doc.at
	if n := p.doc.at.Get("name"); n != nil {
		at = n
	}
	if _, taken := p.in.entry[name]; taken {
		if p.doc.named {
			b.faults.add(p.src(), at, ruleNameTaken, "%s is the name of another step or branch", name)
		} else {
			b.faults.add(p.src(), at, ruleNameTaken, "the list has another %s; give this step a name", p.doc.node)
		}
		return
	}
	if slices.Contains(reserved, name) {
		return
	}
	p.in.entry[name] = p.i
	p.in.sc.steps[name] = p
}

// settings decodes a step's settings and makes its node.
func (b *builder) settings(p *proto) {
	sc := *p.in.sc
	sc.heard = b.heardBy(p)
	if p.doc.when != nil {
		sc.uses = &p.uses
		if prog := sc.bare(p.doc.when, BoolType, &Field{Key: "when"}); prog != nil {
			p.when = &Cond{prog}
		}
	}
	if !p.known {
		return
	}
	sc.uses = &p.inner
	d := &decoder{sc: &sc, spec: &p.fac.Spec, step: p.doc.nodeAt, with: p.doc.with, p: p}
	before := b.faults.count()
	p.retry = d.readRetry(p.doc)
	p.node = p.fac.build(d)
	p.noKind = d.noKind
	p.outlets = p.fac.Spec.Outlets
	if p.node == nil {
		p.failed = true
		if b.faults.count() == before {
			b.faults.add(p.src(), p.doc.nodeAt, ruleBadLiteral, "%s cannot be made", p.doc.node)
		}
	}
	if o, ok := p.node.(Outleter); ok {
		p.outlets = o.Outlets()
	}
	if p.child != nil {
		p.outlets = nil
		for _, name := range p.child.doc.outlets {
			p.outlets = append(p.outlets, Outlet{Name: name})
		}
	}
}
