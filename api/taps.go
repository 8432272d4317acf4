package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Tap is a tap that is on a chain, or on one of its steps, in this process.
type Tap struct {
	Chain   string     `json:"chain"`
	Step    string     `json:"step,omitempty" doc:"Absent: every step"`
	Keeps   string     `json:"keeps" enum:"failures,all" doc:"Runs in which a step failed, or all"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty" doc:"When it comes off by itself"`
	Runs    int        `json:"runs" doc:"That it holds; the latest 200, of 1 MiB at most"`
	Dropped uint64     `json:"dropped,omitempty" doc:"Runs that made room for later ones"`
}

// NewTap says what a tap shall keep.
type NewTap struct {
	Step  string `json:"step,omitempty" doc:"Name of the step; behind a call its own name is enough. Left out: every step" maxLength:"600"`
	Keeps string `json:"keeps" enum:"failures,all"`
	For   string `json:"for,omitempty" doc:"How long, such as 15m: for all runs 15m at most, and that where it is left out. Left out with failures: until the tap is taken off" maxLength:"40"`
}

// TappedRuns are runs that a tap has kept.
type TappedRuns struct {
	Data []TappedRun `json:"data"`
	Last uint64      `json:"last" doc:"Ask for those after it next"`
}

// TappedRun is a run with the number under which a tap keeps it.
type TappedRun struct {
	Num uint64 `json:"num"`
	RunDetail
}

type tapIn struct {
	Chain string `path:"chain"`
	Step  string `query:"step" doc:"The step that the tap is on; left out: the tap on the whole chain"`
}

type tappedIn struct {
	Chain string `path:"chain"`
	Step  string `query:"step" doc:"The step that the tap is on; left out: the tap on the whole chain"`
	After uint64 `query:"after" doc:"Runs after that number; left out: all that are held"`
	Wait  int    `query:"wait" minimum:"0" maximum:"20" doc:"Seconds to wait for a run where there is none yet"`
}

func (s *Server) tapRoutes() {
	tags := []string{"Taps"}
	register(s, huma.Operation{
		OperationID: "list-taps", Method: http.MethodGet, Path: "/api/taps", Tags: tags, Summary: "List the taps of this process", Errors: []int{http.StatusNotFound},
	}, s.listTaps)
	register(s, huma.Operation{
		OperationID: "put-tap", Method: http.MethodPut, Path: "/api/taps/{chain}", Tags: tags, Summary: "Put a tap on a chain, or on one of its steps",
		Description: "A tap keeps the latest runs with what each step saw and set, secrets masked, in the memory of this process. It takes the place of one that is on the same chain and step.",
		Errors:      []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusConflict},
	}, s.putTap)
	register(s, huma.Operation{
		OperationID: "read-tap", Method: http.MethodGet, Path: "/api/taps/{chain}", Tags: tags, Summary: "Read what a tap has kept, and wait for more",
		Errors: []int{http.StatusNotFound},
	}, s.readTap)
	register(s, huma.Operation{
		OperationID: "drop-tap", Method: http.MethodDelete, Path: "/api/taps/{chain}", Tags: tags, Summary: "Take a tap off, with all that it has kept",
		Errors: []int{http.StatusNotFound},
	}, s.dropTap)
}

func (s *Server) listTaps(context.Context, *struct{}) (*body[List[Tap]], error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	out := List[Tap]{Data: []Tap{}}
	for _, t := range s.Runs.Taps() {
		out.Data = append(out.Data, viewTap(t))
	}
	return answer(out)
}

func viewTap(t engine.TapState) Tap {
	v := Tap{Chain: t.Chain, Step: t.Step, Keeps: "all", Since: t.Since.UTC(), Until: moment(t.Until), Runs: t.Runs, Dropped: t.Dropped}
	if t.Failures {
		v.Keeps = "failures"
	}
	return v
}

func (s *Server) putTap(_ context.Context, in *struct {
	Chain string `path:"chain"`
	Body  NewTap
}) (*body[Tap], error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	t := engine.Tap{Chain: in.Chain, Step: in.Body.Step, Failures: in.Body.Keeps == "failures"}
	wait := engine.MaxTapAll
	if in.Body.For != "" {
		var err error
		if wait, err = engine.ParseDuration(in.Body.For); err != nil || wait <= 0 {
			return nil, ota.Errorf(ota.Invalid, "", "for is %q, want a duration above 0, such as 15m", in.Body.For)
		}
	}
	if !t.Failures || in.Body.For != "" {
		t.Until = time.Now().Add(wait)
	}
	state, err := s.Runs.Tap(t)
	if err != nil {
		return nil, err
	}
	return answer(viewTap(state))
}

func (s *Server) readTap(ctx context.Context, in *tappedIn) (*body[TappedRuns], error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	patient, cancel := context.WithTimeout(ctx, time.Duration(in.Wait)*time.Second)
	defer cancel()
	runs, err := s.Runs.Tapped(patient, in.Chain, in.Step, in.After)
	if err != nil {
		return nil, err
	}
	n := s.names()
	out := TappedRuns{Data: []TappedRun{}, Last: in.After}
	for _, r := range runs {
		x := engine.Recorded{Record: r.Record, Message: r.Message, Seen: r.Seen, Steps: r.Steps, Said: r.Said, Source: "tap", Lost: r.Lost}
		out.Data = append(out.Data, TappedRun{r.Num, s.viewRecorded(ctx, n, &x)})
		out.Last = r.Num
	}
	return answer(out)
}

func (s *Server) dropTap(_ context.Context, in *tapIn) (*struct{}, error) {
	if s.Runs == nil {
		return nil, errNoRuns
	}
	return nil, s.Runs.Untap(in.Chain, in.Step)
}
