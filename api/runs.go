package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Runs is what the API shows of the runs of this process; an engine is one.
type Runs interface {
	// Runs lists the last runs, newest first.
	Runs(q engine.RunQuery) []engine.Record
	// Recorded finds a run, with what is kept of it, or is NotFound.
	Recorded(id string) (engine.Recorded, error)
	// Way reads the path in an update's history.
	Way(ctx context.Context, p engine.PackedPath) engine.Way

	// Stats returns what the steps of a chain that answers have counted; false
	// where there is none.
	Stats(chain string) ([]engine.StepStats, bool)

	Taps() []engine.TapState
	Tap(t engine.Tap) (engine.TapState, error)
	Untap(chain, step string) error
	// Tapped returns what a tap has kept after a number, and waits for it where
	// there is nothing yet.
	Tapped(ctx context.Context, chain, step string, after uint64) ([]engine.TappedRun, error)
}

// Hop is a step of a run and the outlet by which it was left.
type Hop struct {
	Step   string `json:"step"`
	Outlet string `json:"outlet,omitempty" doc:"error where the step failed, end where it ends the run, absent where its when was false"`
}

// Run is one of the last runs of this process, or that of a dead letter.
type Run struct {
	ID         string     `json:"id"`
	Process    string     `json:"process,omitempty" doc:"The process that ran it"`
	Chain      string     `json:"chain"`
	Revision   string     `json:"revision,omitempty"`
	Event      string     `json:"event"`
	Device     string     `json:"device,omitempty" doc:"Name of the device, or its id where it is gone"`
	About      string     `json:"about,omitempty" doc:"Type and id, where it is not about a device"`
	Type       string     `json:"type,omitempty" enum:"firmware,software"`
	Asked      bool       `json:"asked,omitempty" doc:"It only read"`
	Started    time.Time  `json:"started"`
	Took       string     `json:"took,omitempty" doc:"Duration, such as 1.5ms"`
	End        string     `json:"end" enum:"ended,waits,failed,dead_letter"`
	Step       string     `json:"step,omitempty" doc:"Where it failed or waits"`
	Code       string     `json:"code,omitempty" doc:"Of the failure"`
	Error      string     `json:"error,omitempty"`
	DeadLetter string     `json:"deadLetter,omitempty"`
	Until      *time.Time `json:"until,omitempty" doc:"When its wait is over; absent: an event ends it"`
	Resumed    bool       `json:"resumed,omitempty" doc:"It went on from a wait: the path begins there"`
	Path       []Hop      `json:"path"`
	Cut        bool       `json:"cut,omitempty" doc:"The path is longer than that"`
}

// RunDetail is a run with what is kept of it.
type RunDetail struct {
	Run
	Source  string         `json:"source" enum:"recorder,tap,dead letter" doc:"Where it was found"`
	Message *LetterMessage `json:"message,omitempty"`
	Steps   []RunStep      `json:"steps,omitempty" doc:"Of a tapped run: each step with what it saw and set"`
	Said    []string       `json:"said,omitempty" doc:"Of a tapped run: what it wrote and said"`
	Facts   bool           `json:"facts" doc:"What it read is kept, so that a replay reads the same"`
	Lost    string         `json:"lost,omitempty" doc:"What was too much to be kept"`
}

// RunStep is one step of a tapped run.
type RunStep struct {
	Step   string                     `json:"step"`
	Node   string                     `json:"node"`
	Outlet string                     `json:"outlet,omitempty" doc:"error where it failed, end where it ends the run, waits where that waits; absent where its when was false, and at call and return"`
	At     time.Time                  `json:"at"`
	Took   string                     `json:"took"`
	Vars   map[string]json.RawMessage `json:"vars,omitempty" doc:"Vars and params before the step"`
	Set    map[string]json.RawMessage `json:"set,omitempty" doc:"What the step set: its outputs, vars and params"`
	Wants  []string                   `json:"wants,omitempty" doc:"What it named to be said or written"`
	Error  string                     `json:"error,omitempty"`
}

// WaitingRun is a run that waits in its home.
type WaitingRun struct {
	Device   string     `json:"device,omitempty" doc:"Name of the device"`
	About    string     `json:"about,omitempty" doc:"Type and id, where it is not about a device"`
	Chain    string     `json:"chain"`
	Revision string     `json:"revision"`
	Step     string     `json:"step"`
	Began    string     `json:"began" doc:"The event that it is about"`
	Until    *time.Time `json:"until,omitempty" doc:"Absent: only an event ends the wait"`
	Event    string     `json:"event,omitempty" doc:"The event that ends the wait sooner"`
	Update   string     `json:"update,omitempty" doc:"The update that it ends with"`
	Type     string     `json:"type,omitempty" enum:"firmware,software"`
	Attempt  int        `json:"attempt,omitempty" doc:"Of a step that is tried again"`
}

// RunPath is the way of the run that moved an update.
type RunPath struct {
	Chain    string `json:"chain,omitempty" doc:"Absent where that revision is not at hand any more"`
	Revision string `json:"revision" doc:"Beginning of the chain's digest"`
	Steps    []Hop  `json:"steps,omitempty"`
	Cut      bool   `json:"cut,omitempty" doc:"The run went on"`
}

type runsIn struct {
	Device string `query:"device" doc:"Name or id: runs about it alone"`
	Chain  string `query:"chain" doc:"Runs of it alone"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"10000"`
}

type waitingIn struct {
	Paging
	Device string `query:"device" doc:"Name or id: runs that wait in it alone"`
}

func (s *Server) runRoutes() {
	tags := []string{"Runs"}
	register(s, huma.Operation{
		OperationID: "list-runs", Method: http.MethodGet, Path: "/api/runs", Tags: tags, Summary: "List the last runs of this process, newest first",
		Description: "They lie in a ring in memory, apart for runs that only read. Other processes on the same state have rings of their own.",
		Errors:      []int{http.StatusNotFound},
	}, s.listRuns)
	register(s, huma.Operation{
		OperationID: "list-waiting-runs", Method: http.MethodGet, Path: "/api/runs/waiting", Tags: tags, Summary: "List the runs that wait, of all processes",
		Description: "Homes are looked through page by page, so that a page may hold few runs, or none, and yet not be the last.",
		Errors:      []int{http.StatusNotFound},
	}, s.listWaiting)
	register(s, huma.Operation{
		OperationID: "show-run", Method: http.MethodGet, Path: "/api/runs/{id}", Tags: tags, Summary: "Show a run, step by step",
		Description: "The id of a run, a beginning of it, or the id of a dead letter. What the steps saw and set is kept of tapped runs.",
		Errors:      []int{http.StatusNotFound},
	}, s.showRun)
	register(s, huma.Operation{
		OperationID: "chain-stats", Method: http.MethodGet, Path: "/api/chains/{chain}/stats", Tags: []string{"Chains"},
		Summary:     "Count how often the steps of a chain were left, by outlet, skipped and failed, and how long they take",
		Description: "What this process has counted since it runs that revision. A chain that others call is counted in theirs.",
		Errors:      []int{http.StatusNotFound},
	}, s.chainStats)
	s.replayRoutes()
}

// StepStats is what one step of a chain has counted.
type StepStats struct {
	Step    string            `json:"step"`
	Node    string            `json:"node"`
	Taken   map[string]uint64 `json:"taken" doc:"How often it was left, by outlet; of a call by the outlets of the chain that it calls"`
	Skipped uint64            `json:"skipped,omitempty" doc:"How often its when was false"`
	Errors  uint64            `json:"errors,omitempty"`
	Mean    string            `json:"mean,omitempty" doc:"Mean time, from a sample, such as 1.5µs"`
}

func (s *Server) chainStats(_ context.Context, in *struct {
	Chain string `path:"chain"`
}) (*body[List[StepStats]], error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	stats, ok := s.Runs.Stats(in.Chain)
	if !ok {
		return nil, ota.Errorf(ota.NotFound, "", "there is no chain %q", in.Chain)
	}
	out := List[StepStats]{Data: []StepStats{}}
	for _, x := range stats {
		v := StepStats{Step: x.Step, Node: x.Node, Taken: x.Taken, Skipped: x.Skipped, Errors: x.Errors}
		if x.Mean > 0 {
			v.Mean = x.Mean.String()
		}
		out.Data = append(out.Data, v)
	}
	return answer(out)
}

var errNoRuns = ota.Errorf(ota.NotFound, "", "this server shows no runs")

func (s *Server) listRuns(ctx context.Context, in *runsIn) (*body[List[Run]], error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	q := engine.RunQuery{Chain: in.Chain, Limit: in.Limit}
	if in.Device != "" {
		h, err := s.find(ctx, ota.DeviceRef, in.Device)
		if err != nil {
			return nil, err
		}
		q.Home = h.Ref
	}
	out := List[Run]{Data: []Run{}}
	n := s.names()
	for _, r := range s.Runs.Runs(q) {
		out.Data = append(out.Data, s.viewRun(ctx, n, r))
	}
	return answer(out)
}

// recorded finds a run of this process, or that of a dead letter.
func (s *Server) recorded(ctx context.Context, id string) (engine.Recorded, error) {
	if s.Runs == nil {
		return engine.Recorded{}, errNoRuns
	}
	x, err := s.Runs.Recorded(id)
	if ota.CodeOf(err) != ota.NotFound {
		return x, err
	}
	l, lerr := s.Letters.Letter(ctx, s.Tenant, id)
	switch ota.CodeOf(lerr) {
	case "":
		return engine.RecordedLetter(l)
	case ota.NotFound:
		return x, ota.Errorf(ota.NotFound, "", "there is no run %q in the memory of this process, and no dead letter", id)
	}
	return x, lerr
}

func (s *Server) showRun(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*body[RunDetail], error) {
	x, err := s.recorded(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(s.viewRecorded(ctx, s.names(), &x))
}

func (s *Server) viewRecorded(ctx context.Context, n *names, x *engine.Recorded) RunDetail {
	out := RunDetail{Run: s.viewRun(ctx, n, x.Record), Source: x.Source, Said: x.Said, Facts: x.Seen != nil, Lost: x.Lost, Steps: viewSteps(x.Steps)}
	if x.Source != "recorder" || x.Lost == "" {
		m := viewMessage(&x.Message)
		out.Message = &m
	}
	return out
}

func (s *Server) viewRun(ctx context.Context, n *names, r engine.Record) Run {
	v := Run{
		ID: r.ID, Process: s.Info.Process, Chain: r.Chain, Revision: r.Digest, Event: string(r.Event), Type: string(r.Kind), Asked: r.Asked, Started: r.Started.UTC(),
		End: string(r.End), Step: r.Step, Code: string(r.Code), Error: r.Error, DeadLetter: r.Letter, Until: moment(r.Until), Path: viewHops(r.Path), Cut: r.Cut, Resumed: r.Resumed,
	}
	if r.Took > 0 {
		v.Took = r.Took.String()
	}
	if r.Home.Type == ota.DeviceRef {
		v.Device = r.Home.ID
		if h, err := n.get(ctx, ota.DeviceRef, r.Home.ID); err == nil && h != nil {
			v.Device = h.Device.Name
		}
	} else if r.Home.ID != "" {
		v.About = r.Home.String()
	}
	return v
}

func viewHops(hops []engine.Hop) []Hop {
	out := []Hop{}
	for _, h := range hops {
		out = append(out, Hop{h.Step, h.Outlet})
	}
	return out
}

func viewSteps(steps []engine.TraceStep) []RunStep {
	var out []RunStep
	for _, x := range steps {
		out = append(out, RunStep{x.Step, x.Node, x.Outlet, x.At.UTC(), x.Took.String(), viewValues(x.Vars), viewValues(x.Set), x.Wants, x.Error})
	}
	return out
}

func viewValues(m map[string]any) map[string]json.RawMessage {
	var out map[string]json.RawMessage
	for k, v := range m {
		b, err := json.Marshal(v)
		if err != nil {
			continue // a tap keeps nothing but JSON
		}
		if out == nil {
			out = map[string]json.RawMessage{}
		}
		out[k] = b
	}
	return out
}

// viewPath reads the path of a move of an update; nil where no chain made it.
func (s *Server) viewPath(ctx context.Context, packed string) *RunPath {
	p := engine.PackedPath(packed)
	if s.Runs == nil || p.Digest() == "" {
		return nil
	}
	w := s.Runs.Way(ctx, p)
	out := &RunPath{Chain: w.Chain, Revision: w.Digest, Cut: w.Cut}
	if w.Known {
		out.Steps = viewHops(w.Hops)
	}
	return out
}

// words says the way in a sentence; "" where there is none.
func (p *RunPath) words() string {
	switch {
	case p == nil:
		return ""
	case p.Chain == "":
		return "a chain whose revision " + p.Revision + " is not at hand any more"
	}
	var hops []string
	for _, h := range p.Steps {
		hops = append(hops, strings.TrimSuffix(h.Step+"."+h.Outlet, "."))
	}
	if p.Cut {
		hops = append(hops, "…")
	}
	return "chain " + p.Chain + " over " + strings.Join(hops, ", ")
}

// waitingTypes are the nouns whose homes runs can wait in, in the order in which
// they are looked through.
var waitingTypes = []ota.RefType{ota.DeviceRef, ota.RolloutRef, ota.PackageRef}

func (s *Server) listWaiting(ctx context.Context, in *waitingIn) (*body[List[WaitingRun]], error) {
	out := List[WaitingRun]{Data: []WaitingRun{}}
	if in.Device != "" {
		h, err := s.find(ctx, ota.DeviceRef, in.Device)
		if err != nil {
			return nil, err
		}
		out.Data = append(out.Data, viewWaiting(h)...)
		return answer(out)
	}
	typ, cursor, _ := strings.Cut(in.Cursor, ":")
	at := 0
	for i, t := range waitingTypes {
		if string(t) == typ {
			at = i
		}
	}
	page, err := s.Lister.List(ctx, ota.Query{Tenant: s.Tenant, Type: waitingTypes[at], Cursor: cursor, Limit: in.PageSize})
	if err != nil {
		return nil, err
	}
	for _, h := range page.Homes {
		out.Data = append(out.Data, viewWaiting(h)...)
	}
	switch {
	case page.Next != "":
		out.Next = string(waitingTypes[at]) + ":" + page.Next
	case at+1 < len(waitingTypes):
		out.Next = string(waitingTypes[at+1]) + ":"
	}
	return answer(out)
}

func viewWaiting(h *ota.Home) (out []WaitingRun) {
	for _, p := range h.Parked {
		w, err := engine.ReadWaiting(p)
		if err != nil {
			w.Step = "(" + err.Error() + ")"
		}
		v := WaitingRun{
			Chain: w.Chain, Revision: w.Digest, Step: w.Step, Began: string(w.Began), Until: moment(p.At), Event: string(w.Event),
			Update: p.Update, Type: string(p.Kind), Attempt: w.Attempt,
		}
		if h.Device != nil {
			v.Device = h.Device.Name
		} else {
			v.About = h.Ref.String()
		}
		out = append(out, v)
	}
	return out
}
