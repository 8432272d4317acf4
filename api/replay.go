package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Replayer compiles a chain file beside those that run and runs a recorded
// message through it with effects off.
type Replayer interface {
	// Replay returns what came of the run on the changed chain, and, where the
	// chain's revision of then is at hand, what comes of it on that. Faults says
	// what is wrong with the file; then there is nothing else.
	Replay(ctx context.Context, x engine.Recorded, file engine.Source) (ReplayResult, error)
}

// ReplayResult is what a [Replayer] found.
type ReplayResult struct {
	Faults engine.Faults
	Then   *engine.Replayed // nil: that revision is not at hand
	Now    engine.Replayed
}

// TriedChain is the text of a chain that is tried.
type TriedChain struct {
	Name string `json:"name" doc:"Name of the file, as faults show it" minLength:"1" maxLength:"4096"`
	YAML string `json:"yaml" doc:"The chain"`
}

// Replay says how a run went and how it would go on a changed chain.
type Replay struct {
	Faults []Fault     `json:"faults,omitempty" doc:"What is wrong with the chain; where one of them is an error, there is nothing else"`
	Was    *ReplaySide `json:"was,omitempty"`
	Would  *ReplaySide `json:"would,omitempty"`
	Same   bool        `json:"same" doc:"Both go the same way to the same end"`
	First  int         `json:"first" doc:"Number of the first step, from 0, at which they differ; -1: at none"`
	Facts  bool        `json:"facts" doc:"It was run on what the run read then; else on what there is today"`
	Notes  []string    `json:"notes,omitempty" doc:"In what the replay may differ from the run as it was"`
}

// ReplaySide is one of the two ways.
type ReplaySide struct {
	Chain    string    `json:"chain"`
	Revision string    `json:"revision,omitempty"`
	Path     []Hop     `json:"path"`
	End      string    `json:"end" enum:"ended,waits,failed,dead_letter"`
	Step     string    `json:"step,omitempty" doc:"Where it failed or waits"`
	Error    string    `json:"error,omitempty"`
	Said     []string  `json:"said" doc:"What it wrote and said, or would have"`
	Steps    []RunStep `json:"steps,omitempty" doc:"Each step with what it saw and set"`
	Dry      bool      `json:"dry" doc:"What it said is from a run with effects off, and not as it was recorded"`
}

// Fault is one thing that is wrong with a chain file.
type Fault struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity" enum:"error,warning"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty" doc:"The line of the file"`
}

func (s *Server) replayRoutes() {
	register(s, huma.Operation{
		OperationID: "replay-run", Method: http.MethodPost, Path: "/api/runs/{id}/replay", Tags: []string{"Runs"},
		Summary: "Run a recorded message through a changed chain, with effects off",
		Description: "The run is one of this process, or that of a dead letter. The chain is compiled beside those that run, whose other chains it may call. " +
			"It runs on what the run read then, where that is kept (dead letters and tapped runs), else on what there is today. Nothing is written and nothing is said.",
		Errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
	}, s.replay)
}

func (s *Server) replay(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body TriedChain
}) (*body[Replay], error) {
	if s.Replayer == nil {
		return nil, ota.Errorf(ota.NotFound, "", "this server replays nothing")
	}
	x, err := s.recorded(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	r, err := s.Replayer.Replay(ctx, x, engine.Source{Name: in.Body.Name, Data: []byte(in.Body.YAML)})
	if err != nil {
		return nil, err
	}
	out := Replay{First: -1, Facts: x.Seen != nil}
	for _, f := range r.Faults {
		severity := "error"
		if f.Warning {
			severity = "warning"
		}
		out.Faults = append(out.Faults, Fault{f.File, f.Line, f.Col, severity, f.Rule, f.Message, f.Source})
	}
	if r.Faults.Fatal(false) {
		return answer(out)
	}
	was, would := recordedSide(x, r.Then), replayedSide(r.Now)
	out.Was, out.Would, out.Notes = &was, &would, r.Now.Notes
	if x.Cut {
		out.Notes = append(out.Notes, "the recorded path is cut")
	}
	if r.Then == nil && x.Steps == nil {
		out.Notes = append(out.Notes, "the revision that ran then is not at hand: what it would have said is unknown")
	}
	out.First = firstDifference(was.Path, would.Path)
	out.Same = out.First < 0 && was.End == would.End && was.Error == would.Error
	return answer(out)
}

// recordedSide is the run as it was, with what its chain would have said where
// nobody noted what it said.
func recordedSide(x engine.Recorded, then *engine.Replayed) ReplaySide {
	v := ReplaySide{
		Chain: x.Chain, Revision: x.Digest, Path: viewHops(x.Path), End: string(x.End), Step: x.Step, Error: x.Error,
		Said: append([]string{}, x.Said...), Steps: viewSteps(x.Steps),
	}
	if x.Steps == nil && then != nil {
		v.Said, v.Steps, v.Dry = append([]string{}, then.Said...), viewSteps(then.Steps), true
		if len(x.Path) == 0 { // the letter is older than paths
			v.Path = viewHops(then.Path)
		}
	}
	return v
}

func replayedSide(r engine.Replayed) ReplaySide {
	return ReplaySide{
		Chain: r.Chain, Revision: r.Digest, Path: viewHops(r.Path), End: string(r.End), Step: r.Step, Error: r.Error,
		Said: append([]string{}, r.Said...), Steps: viewSteps(r.Steps), Dry: true,
	}
}

// firstDifference is where two paths part, or -1.
func firstDifference(a, b []Hop) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}
