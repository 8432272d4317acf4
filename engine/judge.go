package engine

import (
	"fmt"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// judge finds what expr's types cannot: reckoning with what may be absent, and
// comparing with words that cannot be.
func (v *namer) judge(n ast.Node) {
	if b, ok := n.(*ast.BinaryNode); ok {
		switch b.Operator {
		case "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "**", "^":
			v.present(b.Left, b.Operator)
			v.present(b.Right, b.Operator)
			v.alike(b, b.Right)
		case "==", "!=":
			v.wordsOf(b.Left, b.Right)
			v.wordsOf(b.Right, b.Left)
			v.alike(b, b.Right)
		case "in":
			if list, ok := b.Right.(*ast.ArrayNode); ok {
				for _, x := range list.Nodes {
					v.wordsOf(b.Left, x)
					v.alike(b, x)
				}
			}
		}
	}
	if c, ok := n.(*ast.CallNode); ok {
		v.rangeOf(c)
	}
	for _, c := range children(n) {
		v.judge(*c)
	}
}

// present refuses an operand that may be absent.
func (v *namer) present(n ast.Node, op string) {
	if name, may := v.mayBeAbsent(n); may {
		v.fault(n, ruleMayBeAbsent, fmt.Sprintf("%s may be absent, so %s cannot reckon with it; write (%s ?? 0), or number(%s, 0)", name, op, name, name))
	}
}

// mayBeAbsent says whether a value may be nil, or of any type.
func (v *namer) mayBeAbsent(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		if r, ok := v.refs[x.Value]; ok && (r.m.absent || r.m.typ.goType() == nil) {
			return r.slot.name, true
		}
	case *ast.MemberNode:
		return "a member of a value of any type", true
	case *ast.ChainNode:
		return v.mayBeAbsent(x.Node)
	case *ast.NilNode:
		return "nil", true
	case *ast.BinaryNode:
		if x.Operator == "??" {
			return v.mayBeAbsent(x.Right)
		}
	case *ast.ConditionalNode:
		if name, may := v.mayBeAbsent(x.Exp1); may {
			return name, true
		}
		return v.mayBeAbsent(x.Exp2)
	}
	return "", false
}

// wordsOf compares a constant with the words that a worded member can be.
func (v *namer) wordsOf(n, other ast.Node) {
	id, ok := unchain(n).(*ast.IdentifierNode)
	s, isText := other.(*ast.StringNode)
	if !ok || !isText {
		return
	}
	r, ok := v.refs[id.Value]
	if ok && len(r.m.words) > 0 && !slices.Contains(r.m.words, s.Value) {
		v.fault(s, ruleBadWord, fmt.Sprintf("%s is never %q; it is one of %s%s", r.slot.name, s.Value, list(r.m.words), didYouMean(s.Value, r.m.words)))
	}
}

// wordsFor lists the words that a whole expression can be, or nil.
func (v *namer) wordsFor(n ast.Node) []string {
	if id, ok := unchain(n).(*ast.IdentifierNode); ok {
		return v.refs[id.Value].m.words
	}
	return nil
}

// choices holds the constants that an expression may come to against the words
// of its setting.
func (v *namer) choices(n ast.Node, f *Field) {
	switch x := n.(type) {
	case *ast.StringNode:
		if x.Value != "" && !slices.Contains(f.Enum, x.Value) { // "" is a setting that is not given
			v.fault(x, ruleBadWord, fmt.Sprintf("%s is %q, want one of %s%s", f.Key, x.Value, list(f.Enum), didYouMean(x.Value, f.Enum)))
		}
	case *ast.ChainNode:
		v.choices(x.Node, f)
	case *ast.MemberNode: // {"dl": "DOWNLOADING"}[word]
		if m, ok := x.Node.(*ast.MapNode); ok {
			for _, p := range m.Pairs {
				if p, ok := p.(*ast.PairNode); ok {
					v.choices(p.Value, f)
				}
			}
		}
	case *ast.ConditionalNode:
		v.choices(x.Exp1, f)
		v.choices(x.Exp2, f)
	case *ast.BinaryNode:
		if x.Operator == "??" {
			v.choices(x.Left, f)
			v.choices(x.Right, f)
		}
	}
}

// result holds the type of the whole expression against what is wanted.
func (v *namer) result(n ast.Node) {
	if v.x.setting != nil && len(v.x.setting.Enum) > 0 {
		v.choices(n, v.x.setting)
	}
	got := n.Type()
	if fits(got, v.x.want) {
		return
	}
	what := "the setting"
	if v.x.setting != nil && v.x.setting.Key != "" {
		what = v.x.setting.Key
	}
	v.fault(n, ruleWrongType, fmt.Sprintf("%s is %s, want %s", what, typeWord(got), v.x.want))
}

var anyGo = reflect.TypeFor[any]()

// fits says whether a value of Go type t can be put into a setting of type want.
func fits(t reflect.Type, want Type) bool {
	if t == nil || t == anyGo || want == AnyType || want == "" {
		return true
	}
	switch want {
	case TextType:
		switch t.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
			return true
		}
		return t == reflect.TypeFor[time.Time]()
	case KindType, RateType:
		return t.Kind() == reflect.String
	case DurationType:
		return t == reflect.TypeFor[time.Duration]()
	case IntType, SizeType:
		return t != reflect.TypeFor[time.Duration]() && (t.Kind() == reflect.Int || t.Kind() == reflect.Int64 || t.Kind() == reflect.Float64)
	case NumberType, PercentType:
		return t != reflect.TypeFor[time.Duration]() && (t.Kind() == reflect.Int || t.Kind() == reflect.Int64 || t.Kind() == reflect.Float64)
	case BoolType:
		return t.Kind() == reflect.Bool
	case TimeType:
		return t == reflect.TypeFor[time.Time]()
	case ListType:
		return t.Kind() == reflect.Slice
	case MapType:
		return t.Kind() == reflect.Map
	}
	return true
}

// languageType is the language's type of a Go type; any where it has none.
func languageType(t reflect.Type) Type {
	for _, x := range []Type{TextType, BoolType, IntType, NumberType, DurationType, TimeType, BytesType} {
		if t == x.goType() {
			return x
		}
	}
	return AnyType
}

// typeWord names a Go type in the language's words.
func typeWord(t reflect.Type) string {
	for _, x := range []Type{TextType, BoolType, IntType, NumberType, DurationType, TimeType, BytesType} {
		if t == x.goType() {
			return string(x)
		}
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "a map"
	}
	return plainWords(t.String())
}

// children lists the nodes below a node, so that they can be replaced.
func children(n ast.Node) []*ast.Node {
	var out []*ast.Node
	add := func(xs ...*ast.Node) {
		for _, x := range xs {
			if *x != nil {
				out = append(out, x)
			}
		}
	}
	each := func(xs []ast.Node) {
		for i := range xs {
			add(&xs[i])
		}
	}
	switch x := n.(type) {
	case *ast.UnaryNode:
		add(&x.Node)
	case *ast.BinaryNode:
		add(&x.Left, &x.Right)
	case *ast.ChainNode:
		add(&x.Node)
	case *ast.MemberNode:
		add(&x.Node, &x.Property)
	case *ast.SliceNode:
		add(&x.Node, &x.From, &x.To)
	case *ast.CallNode:
		each(x.Arguments)
	case *ast.BuiltinNode:
		each(x.Arguments)
	case *ast.PredicateNode:
		add(&x.Node)
	case *ast.VariableDeclaratorNode:
		add(&x.Value, &x.Expr)
	case *ast.SequenceNode:
		each(x.Nodes)
	case *ast.ConditionalNode:
		add(&x.Cond, &x.Exp1, &x.Exp2)
	case *ast.ArrayNode:
		each(x.Nodes)
	case *ast.MapNode:
		each(x.Pairs)
	case *ast.PairNode:
		add(&x.Key, &x.Value)
	}
	return out
}

func decodeRune(s string) (rune, int) { return utf8.DecodeRuneInString(s) }

// byteOffset turns an offset in characters into one in bytes.
func byteOffset(s string, char int) int {
	off := 0
	for range char {
		if off >= len(s) {
			break
		}
		_, n := utf8.DecodeRuneInString(s[off:])
		off += n
	}
	return off
}

func newOf(t reflect.Type) reflect.Value { return reflect.New(t) }

func scopeIndex(scope string) int {
	for i, s := range valueScopes {
		if string(s) == scope {
			return i
		}
	}
	return 0
}
