package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Chains is what the API shows of the chains that run, and their reload.
type Chains interface {
	// List returns the chains that run now, by name.
	List() []Chain
	// Source returns the text of a chain's file; false where there is none.
	Source(name string) (yaml []byte, ok bool)
	// Reload reads the chain files again and lets those that have changed run,
	// for the user by; with force also those beside which another revision is
	// active. Where one is bad the chains that ran go on, and Faults says why;
	// the error is for failures of another sort.
	Reload(ctx context.Context, by string, force bool) (Reload, error)
	// Revisions lists those of a chain that are kept, newest first, or is
	// NotFound.
	Revisions(ctx context.Context, name string) ([]ChainRevision, error)
	// Revision returns the one revision whose digest begins with prefix, or is
	// NotFound; Invalid where several do.
	Revision(ctx context.Context, name, prefix string) (RevisionText, error)
	// Revert makes that revision active, for the user by, in all processes.
	// Faults say why it cannot run any more.
	Revert(ctx context.Context, name, prefix, by string) (Reverted, error)
}

// Chain is one chain that runs.
type Chain struct {
	Name     string   `json:"name"`
	Summary  string   `json:"summary"`
	File     string   `json:"file"`
	Revision string   `json:"revision" doc:"Digest of the file and of all that it calls"`
	Triggers []string `json:"triggers" doc:"The events that start it"`
	Asks     bool     `json:"asks" doc:"It only reads"`

	FileRevision string `json:"fileRevision,omitempty" doc:"What the file says, where another revision is active"`
	Warning      string `json:"warning,omitempty" doc:"How the file and what is active differ, and what to do"`
}

// ChainRevision is a chain as it was at one time.
type ChainRevision struct {
	Revision    string     `json:"revision" doc:"Digest of the file and of all that it calls"`
	Summary     string     `json:"summary"`
	At          time.Time  `json:"at" doc:"When it was published first"`
	By          string     `json:"by" doc:"Who published it: file, a user, or the program that ships it"`
	Active      bool       `json:"active" doc:"It answers now"`
	ActiveSince *time.Time `json:"activeSince,omitempty"`
	ActiveBy    string     `json:"activeBy,omitempty" doc:"Who made it active"`
	File        bool       `json:"file" doc:"It is what the file of this process says"`
	Waiting     int64      `json:"waiting" doc:"Devices and rollouts with runs that go on with it"`
}

// ChainFile is one file of a revision.
type ChainFile struct {
	Chain string `json:"chain"`
	Name  string `json:"name"`
	YAML  string `json:"yaml"`
}

// RevisionText is a revision with its texts.
type RevisionText struct {
	ChainRevision
	Files []ChainFile `json:"files" doc:"The chain's own first, then those that it calls"`
}

// Reverted says what came of a way back.
type Reverted struct {
	Chain    string   `json:"chain"`
	Revision string   `json:"revision" doc:"That is active now"`
	Was      string   `json:"was" doc:"That was active before"`
	Changed  []string `json:"changed" doc:"Names of the chains that run differently now: it, and those that call it"`
	Faults   []string `json:"faults,omitempty" doc:"file:line:column: message (rule)"`
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
		Description: "What has changed is made active. Where a file has a fault the chains that ran go on, and the faults are listed with status 422.",
	}, s.reloadChains)
	register(s, huma.Operation{
		OperationID: "list-chain-revisions", Method: http.MethodGet, Path: "/api/chains/{chain}/revisions", Tags: tags, Summary: "List the revisions of a chain, newest first",
		Description: "The last 50 are kept, and those that runs still wait on.",
		Errors:      []int{http.StatusNotFound},
	}, s.listRevisions)
	register(s, huma.Operation{
		OperationID: "show-chain-revision", Method: http.MethodGet, Path: "/api/chains/{chain}/revisions/{revision}", Tags: tags, Summary: "Show a revision of a chain with its texts",
		Description: "The beginning of a digest is enough where no other begins so.",
		Errors:      []int{http.StatusNotFound},
	}, s.showRevision)
	register(s, huma.Operation{
		OperationID: "revert-chain", Method: http.MethodPost, Path: "/api/chains/{chain}/revert", Tags: tags, Summary: "Make another revision of a chain active",
		Description: "It answers in all processes within a second or so, and chains that call it call it as it was. It stays until the chain's file changes, or another revision is made active. " +
			"Where this program cannot run it, the faults are listed with status 422 and nothing changes.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.revertChain)
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

func (s *Server) reloadChains(ctx context.Context, in *struct {
	Force bool `query:"force" doc:"Make active what the files say, also of chains that have not changed since another revision was made active"`
}) (*body[Reload], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	done, err := s.Chains.Reload(ctx, user(ctx), in.Force)
	if err != nil {
		return nil, err
	}
	if len(done.Faults) > 0 {
		return nil, faulty("the chain files have faults; the chains that ran go on", done.Faults)
	}
	if done.Changed == nil {
		done.Changed = []string{}
	}
	return answer(done)
}

func faulty(what string, faults []string) error {
	p := problem(http.StatusUnprocessableEntity, "%s", what)
	for _, f := range faults {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Message: f})
	}
	return p
}

func (s *Server) listRevisions(ctx context.Context, in *struct {
	Chain string `path:"chain"`
}) (*body[List[ChainRevision]], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	all, err := s.Chains.Revisions(ctx, in.Chain)
	if err != nil {
		return nil, err
	}
	return answer(List[ChainRevision]{Data: append([]ChainRevision{}, all...)})
}

func (s *Server) showRevision(ctx context.Context, in *struct {
	Chain    string `path:"chain"`
	Revision string `path:"revision"`
}) (*body[RevisionText], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	r, err := s.Chains.Revision(ctx, in.Chain, in.Revision)
	if err != nil {
		return nil, err
	}
	return answer(r)
}

func (s *Server) revertChain(ctx context.Context, in *struct {
	Chain string `path:"chain"`
	Body  struct {
		Revision string `json:"revision" minLength:"1" doc:"Its digest, or the beginning of it"`
	}
}) (*body[Reverted], error) {
	if s.Chains == nil {
		return nil, errNoChains
	}
	done, err := s.Chains.Revert(ctx, in.Chain, in.Body.Revision, user(ctx))
	if err != nil {
		return nil, err
	}
	if len(done.Faults) > 0 {
		return nil, faulty("that revision cannot run any more; the chains that ran go on", done.Faults)
	}
	return answer(done)
}
