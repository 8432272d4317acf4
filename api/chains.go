package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Chains is what the API shows of the chains that run, and their reload.
type Chains interface {
	// List returns the chains that run now, by name.
	List() []Chain
	// Source returns the text of a chain's file; false where there is none.
	Source(name string) (yaml []byte, ok bool)
	// Reload reads the chain files again and lets them run. Where one is bad
	// the chains that ran go on, and Faults says why; the error is for failures
	// of another sort.
	Reload(ctx context.Context) (Reload, error)
}

// Chain is one chain that runs.
type Chain struct {
	Name     string   `json:"name"`
	Summary  string   `json:"summary"`
	File     string   `json:"file"`
	Revision string   `json:"revision" doc:"Digest of the file and of all that it calls"`
	Triggers []string `json:"triggers" doc:"The events that start it"`
	Asks     bool     `json:"asks" doc:"It only reads"`
}

// Reload says what came of a reload.
type Reload struct {
	Changed []string `json:"changed" doc:"Names of the chains that are new, changed or gone"`
	Faults  []string `json:"faults,omitempty" doc:"file:line:column: message (rule)"`
}

// ChainText is a chain with the text of its file.
type ChainText struct {
	Chain
	YAML string `json:"yaml"`
}

func (s *Server) chainRoutes() {
	tags := []string{"Chains"}
	register(s, huma.Operation{
		OperationID: "list-chains", Method: http.MethodGet, Path: "/api/chains", Tags: tags, Summary: "List the chains that run",
	}, s.listChains)
	register(s, huma.Operation{
		OperationID: "chain-schema", Method: http.MethodGet, Path: "/api/chains/schema", Tags: tags, Summary: "Show the JSON Schema of a chain file",
		Description: "JSON Schema 2020-12 over the nodes of this server, by which editors complete and check chains. A chain that is called schema is not shown by its name.",
		Errors:      []int{http.StatusNotFound},
	}, s.chainSchema)
	register(s, huma.Operation{
		OperationID: "show-chain", Method: http.MethodGet, Path: "/api/chains/{chain}", Tags: tags, Summary: "Show a chain with its text",
		Errors: []int{http.StatusNotFound},
	}, s.showChain)
	register(s, huma.Operation{
		OperationID: "reload-chains", Method: http.MethodPost, Path: "/api/chains/reload", Tags: tags, Summary: "Read the chain files again",
		Description: "Where one has a fault the chains that ran go on, and the faults are listed with status 422.",
	}, s.reloadChains)
}

var errNoChains = ota.Errorf(ota.NotFound, "", "this server shows no chains")

func (s *Server) listChains(context.Context, *struct{}) (*body[List[Chain]], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	return answer(List[Chain]{Data: append([]Chain{}, s.Chains.List()...)})
}

func (s *Server) showChain(_ context.Context, in *struct {
	Chain string `path:"chain"`
}) (*body[ChainText], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	for _, c := range s.Chains.List() {
		if text, ok := s.Chains.Source(c.Name); ok && c.Name == in.Chain {
			return answer(ChainText{c, string(text)})
		}
	}
	return nil, ota.Errorf(ota.NotFound, "", "there is no chain %q", in.Chain)
}

func (s *Server) chainSchema(context.Context, *struct{}) (*body[json.RawMessage], error) {
	if s.Schema == nil {
		return nil, ota.Errorf(ota.NotFound, "", "this server shows no schema")
	}
	return answer(json.RawMessage(s.Schema))
}

func (s *Server) reloadChains(ctx context.Context, _ *struct{}) (*body[Reload], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	done, err := s.Chains.Reload(ctx)
	if err != nil {
		return nil, err
	}
	if len(done.Faults) > 0 {
		p := problem(http.StatusUnprocessableEntity, "the chain files have faults; the chains that ran go on")
		for _, f := range done.Faults {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: f})
		}
		return nil, p
	}
	if done.Changed == nil {
		done.Changed = []string{}
	}
	return answer(done)
}
