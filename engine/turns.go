package engine

import (
	"fmt"
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker/nature"
)

// maxTurns bounds the turns of all loops of one expression. The machine bounds
// the memory of an expression and not its time, and what it loops over may come
// from a device.
const maxTurns = 100_000

// turnsKey is where the machine finds the counter, and the name of what raises
// it; nobody can write it.
const turnsKey = "turns of loops"

var turnsType = reflect.TypeFor[func(any) bool]()

var turnsFunction = builtin.Function{Name: turnsKey, Types: []reflect.Type{turnsType}, Func: func(args ...any) (any, error) {
	n, ok := args[0].([]int)
	if !ok {
		return nil, fmt.Errorf("loops cannot be counted")
	}
	if n[0]++; n[0] > maxTurns {
		return nil, fmt.Errorf("more than %d turns of loops", maxTurns)
	}
	return true, nil
}}

// countTurns lets every loop of a checked tree count its turns.
func countTurns(n *ast.Node) {
	if p, ok := (*n).(*ast.PredicateNode); ok {
		callee := &ast.IdentifierNode{Value: turnsKey}
		callee.SetNature(nature.FromType(turnsType))
		call := &ast.CallNode{Callee: callee, Arguments: []ast.Node{&ast.IdentifierNode{Value: turnsKey}}}
		body := &ast.SequenceNode{Nodes: []ast.Node{call, p.Node}}
		body.SetLocation(p.Node.Location())
		body.SetNature(*p.Node.Nature())
		call.SetLocation(p.Node.Location())
		p.Node = body
		countTurns(&body.Nodes[1])
		return
	}
	for _, c := range children(*n) {
		countTurns(c)
	}
}
