package engine

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// alike refuses an operator between values whose types can never fit. expr
// finds those whose types it is told; of a value that may be absent it is told
// none, though its type is known where it is there.
func (v *namer) alike(b *ast.BinaryNode, right ast.Node) {
	l, r := kindred(v.wherePresent(b.Left)), kindred(v.wherePresent(right))
	if l == AnyType || r == AnyType || l == r || reckons(b.Operator, l, r) {
		return
	}
	v.fault(b, ruleWrongType, fmt.Sprintf("%s cannot take %s and %s", b.Operator, l, r))
}

// reckons says whether an operator takes two different sorts: times and
// durations do sums.
func reckons(op string, l, r Type) bool {
	switch op {
	case "+":
		return l == TimeType && r == DurationType || l == DurationType && r == TimeType
	case "-":
		return l == TimeType && r == DurationType
	case "*":
		return l == DurationType && r == NumberType || l == NumberType && r == DurationType
	case "/":
		return l == DurationType && r == NumberType
	}
	return false
}

// kindred is the type with which others of its kind are compared: all numbers are
// of one sort, and so are all texts.
func kindred(t Type) Type {
	switch t {
	case IntType, SizeType, PercentType:
		return NumberType
	case KindType:
		return TextType
	}
	return t
}

// wherePresent is the type of a value where it is not absent; any where that is
// not known before the run.
func (v *namer) wherePresent(n ast.Node) Type {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		if r, ok := v.refs[x.Value]; ok && len(r.more) == 0 && r.m.typ.goType() != nil {
			return r.m.typ
		}
	case *ast.ChainNode:
		return v.wherePresent(x.Node)
	case *ast.StringNode:
		return TextType
	case *ast.IntegerNode, *ast.FloatNode:
		return NumberType
	case *ast.BoolNode:
		return BoolType
	case *ast.BinaryNode:
		if l := kindred(v.wherePresent(x.Left)); x.Operator == "??" && l == kindred(v.wherePresent(x.Right)) {
			return l
		}
	case *ast.ConditionalNode:
		if l := kindred(v.wherePresent(x.Exp1)); l == kindred(v.wherePresent(x.Exp2)) {
			return l
		}
	}
	if t := n.Type(); t != nil && t != anyGo {
		return languageType(t)
	}
	return AnyType
}

// rangeOf holds a constant range of version_in to its form.
func (v *namer) rangeOf(c *ast.CallNode) {
	id, ok := c.Callee.(*ast.IdentifierNode)
	if !ok || id.Value != "version_in" || len(c.Arguments) != 2 {
		return
	}
	if s, ok := c.Arguments[1].(*ast.StringNode); ok {
		if err := CheckVersions(s.Value); err != nil {
			v.fault(s, ruleBadLiteral, err.Error())
		}
	}
}
