package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Node is one node type of the catalogue.
type Node struct {
	Name     string       `json:"name"`
	Summary  string       `json:"summary"`
	Doc      string       `json:"doc,omitempty" doc:"Markdown"`
	About    string       `json:"about,omitempty" doc:"What the run must be about: device, update, rollout or package"`
	Needs    []string     `json:"needs,omitempty" doc:"Roots and proofs that must be set before it"`
	Sets     []string     `json:"sets,omitempty" doc:"Roots and proofs that it sets"`
	Settings []NodeField  `json:"settings,omitempty"`
	Outlets  []NodeOutlet `json:"outlets,omitempty" doc:"The main one first"`
	Outputs  []NodeOutput `json:"outputs,omitempty" doc:"Read as steps.NAME.field"`
	Writes   bool         `json:"writes,omitempty"`
	Waits    bool         `json:"waits,omitempty"`
	Source   bool         `json:"source,omitempty" doc:"It stands in a trigger"`
	Example  string       `json:"example,omitempty" doc:"YAML"`
}

// NodeField is one setting of a node.
type NodeField struct {
	Key      string   `json:"key"`
	Type     string   `json:"type,omitempty"`
	Required bool     `json:"required,omitempty"`
	Default  string   `json:"default,omitempty"`
	Enum     []string `json:"enum,omitempty"`
	Doc      string   `json:"doc,omitempty"`
	Secret   bool     `json:"secret,omitempty"`
}

// NodeOutlet is a way out of a node.
type NodeOutlet struct {
	Name   string   `json:"name"`
	Main   bool     `json:"main,omitempty"`
	MayEnd bool     `json:"mayEnd,omitempty" doc:"May be left unwired"`
	Sets   []string `json:"sets,omitempty"`
	Doc    string   `json:"doc,omitempty"`
}

// NodeOutput is a field that a step sets.
type NodeOutput struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Doc  string `json:"doc,omitempty"`
}

func (s *Server) nodeRoutes() {
	tags := []string{"Nodes"}
	register(s, huma.Operation{
		OperationID: "list-nodes", Method: http.MethodGet, Path: "/api/nodes", Tags: tags, Summary: "List the nodes that chains may use",
	}, func(context.Context, *struct{}) (*body[List[Node]], error) {
		return answer(List[Node]{Data: append([]Node{}, s.Nodes...)})
	})
	register(s, huma.Operation{
		OperationID: "show-node", Method: http.MethodGet, Path: "/api/nodes/{node}", Tags: tags, Summary: "Show a node",
		Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *struct {
		Node string `path:"node"`
	}) (*body[Node], error) {
		for _, n := range s.Nodes {
			if n.Name == in.Node {
				return answer(n)
			}
		}
		return nil, ota.Errorf(ota.NotFound, "", "there is no node %q", in.Node)
	})
}
