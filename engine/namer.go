package engine

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/types"
)

// namer puts slots into the places of paths, and judges what it finds.
type namer struct {
	sc   *scope
	x    *exprSource
	env  types.Map
	refs map[string]ref // by slot key
	own  []string       // variables of let

	fill, named []int32
	bad         bool
}

func (v *namer) fault(n ast.Node, rule, msg string) {
	v.bad = true
	v.sc.exprFaultAt(v.x, n.Location().From, rule, msg)
}

// names walks down and replaces every path that begins with a root.
func (v *namer) names(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.MemberNode:
		if path, at := pathOf(x); path != nil && v.root(path[0]) {
			v.replace(n, path, at)
			return
		}
	case *ast.IdentifierNode:
		v.identifier(n, x)
		return
	case *ast.CallNode:
		v.call(n, x)
		return
	case *ast.BuiltinNode:
		if !slices.Contains(allowedBuiltins, x.Name) {
			v.fault(x, ruleUnknownKey, "there is no function "+x.Name+didYouMean(x.Name, functionNames()))
			return
		}
	case *ast.VariableDeclaratorNode:
		if slices.Contains(allRoots, x.Name) {
			v.fault(x, ruleNameTaken, x.Name+" is a root; choose another name")
		}
		v.own = append(v.own, x.Name)
	}
	for _, c := range children(*n) {
		v.names(c)
	}
}

func (v *namer) root(name string) bool {
	return slices.Contains(allRoots, name) && !slices.Contains(v.own, name)
}

func (v *namer) identifier(n *ast.Node, x *ast.IdentifierNode) {
	switch {
	case slices.Contains(v.own, x.Value):
	case v.root(x.Value):
		v.replace(n, []string{x.Value}, []ast.Node{x})
	default:
		v.fault(x, ruleUnknownKey, "there is no root "+x.Value+didYouMean(x.Value, allRoots))
	}
}

// call allows our functions by their bare names, and nothing else.
func (v *namer) call(n *ast.Node, x *ast.CallNode) {
	id, ok := x.Callee.(*ast.IdentifierNode)
	if !ok {
		v.fault(x, ruleWrongType, "methods of values cannot be called")
		return
	}
	if c, made, why := constant(id.Value, x.Arguments); why != "" {
		v.fault(x, ruleBadLiteral, why)
		return
	} else if made {
		c.SetLocation(x.Location())
		*n = c
		return
	}
	if functionIndex(id.Value) < 0 {
		v.fault(x, ruleUnknownKey, "there is no function "+id.Value+didYouMean(id.Value, functionNames()))
		return
	}
	for i := range x.Arguments {
		v.names(&x.Arguments[i])
	}
}

// pathOf reads a.b["c"] as a path; at holds the node of each part. It is nil
// where a part is not constant at the front; a tail that is not stays a member.
func pathOf(n *ast.MemberNode) (path []string, at []ast.Node) {
	var base []string
	var nodes []ast.Node
	switch x := unchain(n.Node).(type) {
	case *ast.IdentifierNode:
		base, nodes = []string{x.Value}, []ast.Node{x}
	case *ast.MemberNode:
		base, nodes = pathOf(x)
	}
	key, ok := n.Property.(*ast.StringNode)
	if base == nil || !ok {
		return nil, nil
	}
	return append(base, key.Value), append(nodes, n)
}

func unchain(n ast.Node) ast.Node {
	if c, ok := n.(*ast.ChainNode); ok {
		return c.Node
	}
	return n
}

// replace puts the slot of a path in its place, and leaves what follows it.
func (v *namer) replace(n *ast.Node, path []string, at []ast.Node) {
	r, bad := v.sc.resolve(path, v.x)
	if bad != nil {
		where := at[min(bad.part, len(at)-1)]
		if bad.rule == ruleSecretLeak || bad.rule == ruleNotSetHere {
			where = at[0]
		}
		v.fault(where, bad.rule, bad.msg)
		return
	}
	used := r.used + len(r.more)
	if used < len(path) && r.m.typ.goType() != nil && r.m.typ != MapType {
		v.fault(at[r.used], ruleWrongType, strings.Join(path[:r.used], ".")+" is "+string(r.m.typ)+" and has no member "+path[r.used])
		return
	}
	r = v.sc.b.slotFor(r)
	id := &ast.IdentifierNode{Value: r.slot.key}
	id.SetLocation(at[0].Location())
	v.env[r.slot.key] = exprType(r)
	v.refs[r.slot.key] = r
	i := v.sc.b.slots[r.slot.key]
	if !slices.Contains(v.named, i) {
		v.named = append(v.named, i)
	}
	if r.slot.fill != nil && !slices.Contains(v.fill, i) {
		v.fill = append(v.fill, i)
	}
	if r.fact != "" && v.sc.uses != nil {
		line, col := v.x.where(v.sc, byteOffset(v.x.text, at[0].Location().From))
		*v.sc.uses = append(*v.sc.uses, use{r.fact, strings.Join(path[:min(len(path), 3)], "."), v.sc.from, line, col})
	}
	*n = id
}

// exprType is what expr is told: what may be absent it must not rely upon.
func exprType(r ref) types.Type {
	g := r.m.typ.goType()
	if r.m.absent || g == nil || len(r.more) > 0 {
		return types.Any
	}
	return goNature{nature.FromType(g)}
}

// goNature is a Go type as expr's types.Type.
type goNature struct{ n nature.Nature }

func (g goNature) Nature() nature.Nature   { return g.n }
func (g goNature) Equal(o types.Type) bool { return o == types.Any || o.String() == g.String() }
func (g goNature) String() string          { return g.n.String() }

// slotFor makes the slot of a reference, and that of a member deeper within.
func (b *builder) slotFor(r ref) ref {
	if !r.start {
		r.slot.fill = r.m.filler()
	}
	_, old := b.slots[r.slot.key]
	i := b.slotOf(r.slot)
	if !old {
		switch {
		case r.start:
			b.startWith(i, r.value)
		case r.group == "values":
			b.c.frame.values = append(b.c.frame.values, groupSlot{r.key, i, r.m.typ})
		case r.group != "":
			n := scopeIndex(r.group)
			b.c.frame.scopes[n] = append(b.c.frame.scopes[n], groupSlot{r.key, i, r.m.typ})
		}
	}
	if len(r.more) == 0 {
		return r
	}
	base, path := i, slices.Clone(r.more)
	r.slot = slot{key: r.slot.key + "." + strings.Join(path, "."), name: r.slot.name + "." + strings.Join(path, "."), typ: AnyType, live: true}
	r.slot.fill = func(run *Run, i int32) error {
		v, err := run.slot(base)
		if err == nil {
			run.put(i, walk(v, path))
		}
		return err
	}
	r.m = member{typ: AnyType, absent: true}
	b.slotOf(r.slot)
	return r
}

// slot gives the value of a slot, filled if need be.
func (r *Run) slot(i int32) (any, error) {
	s := &r.chain.frame.slots[i]
	if seen := r.env.seen[i]; s.fill != nil && seen != r.env.epoch && seen != forever {
		if err := s.fill(r, i); err != nil {
			return nil, err
		}
	}
	return r.env.slots[i], nil
}

// walk goes into maps; what is not there is absent.
func walk(v any, path []string) any {
	for _, k := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}
