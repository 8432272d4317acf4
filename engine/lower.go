package engine

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

// What chains ask most often is compared, joined and chosen by closures over
// slots, some nanoseconds each; everything else runs on expr's machine. A
// closure answers ok = false for values that it was not made for: then the
// whole expression runs on the machine, whose meaning and errors hold.
type (
	lowValue func(slots []any) (v any, ok bool)
	lowBool  func(slots []any) (v, ok bool)
)

// lowerer turns a checked tree into closures; nil where it cannot.
type lowerer struct{ v *namer }

func (l lowerer) value(n ast.Node) lowValue {
	switch x := n.(type) {
	case *ast.NilNode:
		return constantValue(nil)
	case *ast.StringNode:
		return constantValue(x.Value)
	case *ast.IntegerNode:
		return constantValue(x.Value)
	case *ast.FloatNode:
		return constantValue(x.Value)
	case *ast.ConstantNode:
		return constantValue(x.Value)
	case *ast.ChainNode:
		return l.value(x.Node)
	case *ast.IdentifierNode:
		i, ok := l.v.sc.b.slots[x.Value]
		if !ok {
			return nil
		}
		return func(s []any) (any, bool) { return s[i], true }
	case *ast.ConditionalNode:
		return l.choice(x)
	case *ast.BinaryNode:
		switch x.Operator {
		case "??":
			return l.either(x)
		case "+":
			return l.join(x)
		}
	}
	if b := l.bool(n); b != nil {
		return func(s []any) (any, bool) { return b(s) }
	}
	return nil
}

func constantValue(v any) lowValue { return func([]any) (any, bool) { return v, true } }

func (l lowerer) choice(x *ast.ConditionalNode) lowValue {
	cond, yes, no := l.bool(x.Cond), l.value(x.Exp1), l.value(x.Exp2)
	if cond == nil || yes == nil || no == nil {
		return nil
	}
	return func(s []any) (any, bool) {
		c, ok := cond(s)
		switch {
		case !ok:
			return nil, false
		case c:
			return yes(s)
		}
		return no(s)
	}
}

func (l lowerer) either(x *ast.BinaryNode) lowValue {
	left, right := l.value(x.Left), l.value(x.Right)
	if left == nil || right == nil {
		return nil
	}
	return func(s []any) (any, bool) {
		if v, ok := left(s); !ok || v != nil {
			return v, ok
		}
		return right(s)
	}
}

// join puts texts together; numbers are the machine's.
func (l lowerer) join(x *ast.BinaryNode) lowValue {
	var parts []lowValue
	var flat func(n ast.Node) bool
	flat = func(n ast.Node) bool {
		if b, ok := n.(*ast.BinaryNode); ok && b.Operator == "+" {
			return flat(b.Left) && flat(b.Right)
		}
		p := l.value(n)
		parts = append(parts, p)
		return p != nil
	}
	if !flat(x) || len(parts) > 8 {
		return nil
	}
	return func(s []any) (any, bool) {
		var texts [8]string
		for i, p := range parts {
			v, ok := p(s)
			if !ok {
				return nil, false
			}
			if texts[i], ok = v.(string); !ok {
				return nil, false
			}
		}
		return strings.Join(texts[:len(parts)], ""), true
	}
}

func (l lowerer) bool(n ast.Node) lowBool {
	switch x := n.(type) {
	case *ast.BoolNode:
		v := x.Value
		return func([]any) (bool, bool) { return v, true }
	case *ast.IdentifierNode:
		i, ok := l.v.sc.b.slots[x.Value]
		if !ok {
			return nil
		}
		return func(s []any) (bool, bool) {
			v, ok := s[i].(bool)
			return v, ok
		}
	case *ast.UnaryNode:
		if x.Operator != "not" && x.Operator != "!" {
			return nil
		}
		b := l.bool(x.Node)
		if b == nil {
			return nil
		}
		return func(s []any) (bool, bool) {
			v, ok := b(s)
			return !v, ok
		}
	case *ast.BinaryNode:
		return l.binary(x)
	}
	return nil
}

func (l lowerer) binary(x *ast.BinaryNode) lowBool {
	switch x.Operator {
	case "and", "&&":
		a, b := l.bool(x.Left), l.bool(x.Right)
		if a == nil || b == nil {
			return nil
		}
		return func(s []any) (bool, bool) {
			if v, ok := a(s); !ok || !v {
				return false, ok
			}
			return b(s)
		}
	case "or", "||":
		a, b := l.bool(x.Left), l.bool(x.Right)
		if a == nil || b == nil {
			return nil
		}
		return func(s []any) (bool, bool) {
			if v, ok := a(s); !ok || v {
				return v, ok
			}
			return b(s)
		}
	case "in":
		return l.in(x)
	}
	a, b := l.value(x.Left), l.value(x.Right)
	if a == nil || b == nil {
		return nil
	}
	switch x.Operator {
	case "==":
		return func(s []any) (bool, bool) { return pair(a, b, s, equal) }
	case "!=":
		return func(s []any) (bool, bool) {
			v, ok := pair(a, b, s, equal)
			return !v, ok
		}
	case "<":
		return func(s []any) (bool, bool) { return pair(a, b, s, less) }
	case ">":
		return func(s []any) (bool, bool) { return pair(b, a, s, less) }
	case "<=":
		return func(s []any) (bool, bool) { return pair(a, b, s, atMost) }
	case ">=":
		return func(s []any) (bool, bool) { return pair(b, a, s, atMost) }
	}
	return nil
}

// in looks a text up among constants.
func (l lowerer) in(x *ast.BinaryNode) lowBool {
	c, ok := x.Right.(*ast.ConstantNode)
	if !ok {
		return nil
	}
	all, ok := c.Value.([]any)
	a := l.value(x.Left)
	if !ok || a == nil {
		return nil
	}
	texts := make([]string, len(all))
	for i, v := range all {
		if texts[i], ok = v.(string); !ok {
			return nil
		}
	}
	return func(s []any) (bool, bool) {
		v, ok := a(s)
		t, isText := v.(string)
		if !ok || !isText {
			return false, ok
		}
		for i := range texts {
			if texts[i] == t {
				return true, true
			}
		}
		return false, true
	}
}

func pair(a, b lowValue, s []any, op func(x, y any) (bool, bool)) (bool, bool) {
	x, ok := a(s)
	if !ok {
		return false, false
	}
	y, ok := b(s)
	if !ok {
		return false, false
	}
	return op(x, y)
}
