package api

import (
	"context"
	"testing"
)

// reloadable is a set of chains whose files have faults, or have none.
type reloadable struct{ fakeChains }

func (r *reloadable) Reload(_ context.Context, _ string, force bool) (Reload, error) {
	if force {
		return Reload{Changed: []string{"download", "forced"}}, nil
	}
	return r.reload(), nil
}

func TestChains(t *testing.T) {
	r := &reloadable{}
	h := newHouse(t, func(d *Deps) { d.Chains = r })
	h.steps([]step{
		{"GET", "/api/chains", "", 200, `"name":"rollout"`},
		{"GET", "/api/chains/download", "", 200, `"yaml":"chain: download\n"`},
		{"GET", "/api/chains/none", "", 404, `there is no chain`},
		{"GET", "/api/chains/schema", "", 404, `no schema`},
		{"POST", "/api/chains/reload", "", 200, `{"changed":["download"]}`},
		{"POST", "/api/chains/reload?force=true", "", 200, `"forced"`},
		{"POST", "/api/chains/reload?force=x", "", 422, `query.force`},
		{"GET", "/api/chains/download/revisions", "", 200, `"revision":"cafe0123","summary":"","at":"1970-01-01T00:00:00Z","by":"file","active":true,"file":false,"waiting":3`},
		{"GET", "/api/chains/none/revisions", "", 404, `there is no chain`},
		{"GET", "/api/chains/download/revisions/cafe", "", 200, `"files":[{"chain":"download","name":"download.yaml","yaml":"chain: x"}]`},
		{"GET", "/api/chains/download/revisions/none", "", 404, `has no revision`},
		{"POST", "/api/chains/download/revert", `{"revision":"cafe"}`, 200, `{"chain":"download","revision":"cafe0123","was":"admin","changed":["download"]}`},
		{"POST", "/api/chains/download/revert", `{"revision":""}`, 422, `body.revision`},
	})
	r.faults = []string{"download.yaml:3:5: there is no node send_chnk (unknown_node)"}
	h.steps([]step{
		{"POST", "/api/chains/reload", "", 422, `download.yaml:3:5`},
		{"POST", "/api/chains/download/revert", `{"revision":"cafe"}`, 422, `download.yaml:3:5`},
	})
}

func TestChainSchema(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Schema = []byte(`{"title": "Windlass chain"}`) })
	h.steps([]step{{"GET", "/api/chains/schema", "", 200, `{"title":"Windlass chain"}`}})
}

func TestNodes(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Nodes = []Node{{Name: "send_chunk", Summary: "Answers."}} })
	h.steps([]step{
		{"GET", "/api/nodes", "", 200, `"name":"send_chunk"`},
		{"GET", "/api/nodes/send_chunk", "", 200, `"summary":"Answers."`},
		{"GET", "/api/nodes/none", "", 404, `there is no node`},
	})
}
