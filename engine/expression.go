package engine

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
)

// The bounds of expressions: bytes of one, pieces of one text, and how many a
// chain may have with those that it calls.
const (
	maxExpression  = 16 << 10
	maxPieces      = 500
	maxExpressions = 5000
)

// compile turns an expression into a program, or records faults and returns nil.
func (sc *scope) compile(x exprSource) *program {
	if sc.tooLarge(&x) {
		return nil
	}
	cfg := newConfig()
	tree, err := parser.ParseWithConfig(x.text, cfg)
	if err != nil {
		sc.exprFault(&x, err, ruleBadLiteral)
		return nil
	}
	v := &namer{sc: sc, x: &x, env: types.Map{}, refs: map[string]ref{}}
	v.names(&tree.Node)
	if v.bad {
		return nil
	}
	cfg.WithEnv(v.env)
	if _, err := checker.Check(tree, cfg); err != nil {
		sc.exprFault(&x, err, ruleWrongType)
		return nil
	}
	v.judge(tree.Node)
	if !v.bad {
		v.result(tree.Node)
	}
	if v.bad {
		return nil
	}
	gives, words := languageType(tree.Node.Type()), v.wordsFor(tree.Node)
	if _, may := v.mayBeAbsent(tree.Node); may {
		gives = AnyType
	}
	constantLists(&tree.Node)
	p := &program{slots: v.fill, named: v.named, gives: gives, words: words, text: strings.TrimSpace(x.text), pos: sc.place(x.at)}
	p.value = lowerer{v}.value(tree.Node)
	p.cond = lowerer{v}.bool(tree.Node)
	if p.value == nil {
		for _, i := range v.named {
			sc.b.c.frame.slots[i].mach = true
		}
	}
	if err := optimizer.Optimize(&tree.Node, cfg); err != nil {
		sc.exprFault(&x, err, ruleWrongType)
		return nil
	}
	countTurns(&tree.Node)
	if p.code, err = compiler.Compile(tree, cfg); err != nil {
		sc.exprFault(&x, err, ruleWrongType)
		return nil
	}
	return p
}

// constantLists makes one value of a list of constants behind "in". The
// library's own way of doing so fails on values that are not text, and devices
// send what they like.
func constantLists(n *ast.Node) {
	if b, ok := (*n).(*ast.BinaryNode); ok && b.Operator == "in" {
		if l, ok := b.Right.(*ast.ArrayNode); ok {
			if all, ok := constants(l.Nodes); ok {
				c := &ast.ConstantNode{Value: all}
				c.SetLocation(l.Location())
				c.SetNature(nature.NatureOf(all))
				b.Right = c
			}
		}
	}
	for _, c := range children(*n) {
		constantLists(c)
	}
}

func constants(nodes []ast.Node) ([]any, bool) {
	out := make([]any, len(nodes))
	for i, n := range nodes {
		switch x := n.(type) {
		case *ast.StringNode:
			out[i] = x.Value
		case *ast.IntegerNode:
			out[i] = x.Value
		case *ast.FloatNode:
			out[i] = x.Value
		case *ast.BoolNode:
			out[i] = x.Value
		default:
			return nil, false
		}
	}
	return out, true
}

func (sc *scope) tooLarge(x *exprSource) bool {
	sc.b.exprs++
	switch {
	case len(x.text) > maxExpression:
		sc.exprFaultAt(x, 0, ruleTooLarge, fmt.Sprintf("the expression has %d bytes, %d at most", len(x.text), maxExpression))
	case sc.b.exprs == maxExpressions+1:
		sc.exprFaultAt(x, 0, ruleTooLarge, fmt.Sprintf("the chain has more than %d expressions with those that it calls", maxExpressions))
	case sc.b.exprs <= maxExpressions:
		return false
	}
	return true
}

// newConfig is expr's configuration for one expression. What all of them share
// is made once; nothing writes to it later.
func newConfig() *conf.Config {
	cfg := *sharedConfig()
	return &cfg
}

// sharedConfig has our functions, and of expr's own those that the language
// names.
var sharedConfig = sync.OnceValue(func() *conf.Config {
	cfg := conf.CreateNew()
	for name := range cfg.Builtins {
		if !slices.Contains(allowedBuiltins, name) {
			cfg.Disabled[name] = true
			delete(cfg.Builtins, name)
		}
	}
	for i := range functions {
		cfg.Functions[functions[i].Name] = &functions[i]
	}
	cfg.Functions[turnsKey] = &turnsFunction
	cfg.Strict = true
	return cfg
})

func (sc *scope) exprFault(x *exprSource, err error, rule string) {
	var fe *file.Error
	at, msg := 0, err.Error()
	if errors.As(err, &fe) {
		at, msg = fe.From, fe.Message
	}
	msg = plainWords(msg)
	switch line := sc.from.line(x.at.Line); {
	case strings.Count(x.text, "(") == strings.Count(x.text, ")"):
	case !x.at.Quoted && strings.Contains(line, " #"):
		msg += "; what follows \" #\" is a comment, so put quotes round it"
	default:
		msg += "; within {…} put quotes round text that holds a comma"
	}
	sc.exprFaultAt(x, at, rule, msg)
}

// exprFaultAt records a fault at a character of the expression.
func (sc *scope) exprFaultAt(x *exprSource, char int, rule, msg string) {
	off := 0
	for range char {
		if off >= len(x.text) {
			break
		}
		_, n := decodeRune(x.text[off:])
		off += n
	}
	line, col := x.where(sc, off)
	sc.faults().put(sc.from, line, col, rule, false, msg)
}

// What expr says of a token out of place and of types that do not fit.
var (
	strayToken = regexp.MustCompile(`unexpected token \w+\("(.*)"\)`)
	mismatch   = regexp.MustCompile(`invalid operation: (\S+) \(mismatched types (.+) and (.+)\)`)
)

// plainWords says it in the language's words.
func plainWords(msg string) string {
	msg = strayToken.ReplaceAllString(msg, `"$1" cannot stand here; is an operator or a comma missing before it?`)
	msg = mismatch.ReplaceAllString(msg, "$1 cannot take $2 and $3")
	return strings.NewReplacer("time.Duration", "duration", "time.Time", "time", "float64", "number", "string", "text",
		"map[text]interface {}", "map", "map[string]interface {}", "map", "[]interface {}", "list", "interface {}", "any", "unexpected token EOF", "the expression is not complete").Replace(msg)
}
