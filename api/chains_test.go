package api

import (
	"context"
	"testing"
)

// reloadable is a set of chains whose files have faults, or have none.
type reloadable struct{ fakeChains }

func (r *reloadable) Reload(context.Context) (Reload, error) { return r.reload(), nil }

func TestChains(t *testing.T) {
	r := &reloadable{}
	h := newHouse(t, func(d *Deps) { d.Chains = r })
	h.steps([]step{
		{"GET", "/api/chains", "", 200, `"name":"rollout"`},
		{"GET", "/api/chains/download", "", 200, `"yaml":"chain: download\n"`},
		{"GET", "/api/chains/none", "", 404, `there is no chain`},
		{"GET", "/api/chains/schema", "", 404, `no schema`},
		{"POST", "/api/chains/reload", "", 200, `{"changed":["download"]}`},
	})
	r.faults = []string{"download.yaml:3:5: there is no node send_chnk (unknown_node)"}
	h.steps([]step{{"POST", "/api/chains/reload", "", 422, `download.yaml:3:5`}})
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
