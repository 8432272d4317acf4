package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// DeadLetter is a run that failed for a reason of the server's.
type DeadLetter struct {
	ID       string     `json:"id"`
	At       time.Time  `json:"at" doc:"When it failed first"`
	Event    string     `json:"event"`
	Device   string     `json:"device,omitempty" doc:"Id of the device"`
	About    string     `json:"about,omitempty" doc:"Type and id, where it is not about a device"`
	Type     string     `json:"type,omitempty" enum:"firmware,software"`
	Chain    string     `json:"chain"`
	Digest   string     `json:"digest,omitempty" doc:"Revision of the chain"`
	Step     string     `json:"step,omitempty"`
	Reason   string     `json:"reason" doc:"Of the last failure"`
	Attempts int        `json:"attempts" doc:"How often it has failed"`
	Last     *time.Time `json:"last,omitempty" doc:"When it failed last, where that was not the first time"`
	For      string     `json:"for,omitempty" doc:"The one chain that the message is for; absent: whichever answers"`
}

// DeadLetterMessage is a dead letter with the message that its run was about.
type DeadLetterMessage struct {
	DeadLetter
	Message LetterMessage `json:"message"`
	Path    []Hop         `json:"path,omitempty" doc:"The way of the run that failed last"`
	Facts   bool          `json:"facts" doc:"What that run read is kept, so that a replay reads the same"`
}

// LetterMessage is a message as it came. Which members there are depends on the
// event.
type LetterMessage struct {
	TS         *time.Time      `json:"ts,omitempty" doc:"When the device says that it happened"`
	Values     json.RawMessage `json:"values,omitempty"`
	ClientKeys []string        `json:"clientKeys,omitempty"`
	SharedKeys []string        `json:"sharedKeys,omitempty"`
	Method     string          `json:"method,omitempty"`
	Params     json.RawMessage `json:"params,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Transport  string          `json:"transport,omitempty"`
	Address    string          `json:"address,omitempty"`
	Cause      string          `json:"cause,omitempty"`
	Rollout    string          `json:"rollout,omitempty"`
	State      string          `json:"state,omitempty"`
}

// RetryDone says what came of a retry.
type RetryDone struct {
	Done   bool        `json:"done" doc:"It ended well, or there was nothing left to do; the letter is gone"`
	Letter *DeadLetter `json:"letter,omitempty" doc:"The letter that stays, where it failed again"`
}

type deadLettersIn struct {
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type deadLetterIn struct {
	ID string `path:"id"`
}

func (s *Server) deadLetterRoutes() {
	tags := []string{"Dead letters"}
	register(s, huma.Operation{
		OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/api/deadletters", Tags: tags,
		Summary: "List the runs that failed for a reason of the server's, newest first",
	}, s.listDeadLetters)
	register(s, huma.Operation{
		OperationID: "show-dead-letter", Method: http.MethodGet, Path: "/api/deadletters/{id}", Tags: tags,
		Summary: "Show a dead letter with its message", Errors: []int{http.StatusNotFound},
	}, s.showDeadLetter)
	register(s, huma.Operation{
		OperationID: "retry-dead-letter", Method: http.MethodPost, Path: "/api/deadletters/{id}/retry", Tags: tags,
		Summary: "Run a dead letter's message again",
		Description: "It runs, as it came, from the first step of the chain that answers it today, once however often this is asked at the same time. " +
			"Where that ends well the letter goes. Where it fails the letter stays with one attempt more and the new reason. " +
			"What has been settled meanwhile, such as a time-out of a device that has spoken since, is not run again, and its letter goes.",
		Errors: []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, s.retryDeadLetter)
	register(s, huma.Operation{
		OperationID: "drop-dead-letter", Method: http.MethodDelete, Path: "/api/deadletters/{id}", Tags: tags,
		Summary: "Drop a dead letter", Errors: []int{http.StatusNotFound},
	}, s.dropDeadLetter)
}

func (s *Server) listDeadLetters(ctx context.Context, in *deadLettersIn) (*body[List[DeadLetter]], error) {
	letters, err := s.Lister.DeadLetters(ctx, s.Tenant, in.Limit)
	if err != nil {
		return nil, err
	}
	out := List[DeadLetter]{Data: []DeadLetter{}}
	for i := range letters {
		out.Data = append(out.Data, viewLetter(&letters[i]))
	}
	return answer(out)
}

func (s *Server) showDeadLetter(ctx context.Context, in *deadLetterIn) (*body[DeadLetterMessage], error) {
	l, err := s.Letters.Letter(ctx, s.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	out := DeadLetterMessage{DeadLetter: viewLetter(&l), Message: viewMessage(&l.Message)}
	if x, err := engine.RecordedLetter(l); err == nil {
		out.Path, out.Facts = viewHops(x.Path), x.Seen != nil
	}
	return answer(out)
}

func viewMessage(m *ota.Message) LetterMessage {
	out := LetterMessage{
		Values: jsonOrText(m.Values), ClientKeys: m.ClientKeys, SharedKeys: m.SharedKeys,
		Method: m.Method, Params: jsonOrText(m.Params), Result: jsonOrText(m.Result),
		Transport: m.Transport, Address: m.Address, Cause: m.Cause, Rollout: string(m.Rollout), State: string(m.State),
	}
	if !m.TS.IsZero() {
		ts := m.TS.UTC()
		out.TS = &ts
	}
	return out
}

// jsonOrText is b, which a device wrote, in a form that cannot break the answer.
func jsonOrText(b []byte) json.RawMessage {
	if len(b) == 0 || json.Valid(b) {
		return b
	}
	text, err := json.Marshal(string(b))
	if err != nil { // cannot happen with a string
		return nil
	}
	return text
}

func (s *Server) retryDeadLetter(ctx context.Context, in *deadLetterIn) (*body[RetryDone], error) {
	l, err := s.Letters.Letter(ctx, s.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	again, err := s.Retry(ctx, l)
	if err != nil {
		return nil, err
	}
	if again == nil {
		return answer(RetryDone{Done: true})
	}
	v := viewLetter(again)
	return answer(RetryDone{Letter: &v})
}

func (s *Server) dropDeadLetter(ctx context.Context, in *deadLetterIn) (*struct{}, error) {
	return nil, s.Letters.DropLetter(ctx, s.Tenant, in.ID)
}

func viewLetter(l *ota.DeadLetter) DeadLetter {
	v := DeadLetter{
		ID: l.ID, At: l.At.UTC(), Event: string(l.Message.Event), Device: string(l.Message.Device), Type: string(l.Message.Kind),
		Chain: l.Chain, Digest: l.Digest, Step: l.Step, Reason: l.Reason, Attempts: l.Tries(), For: l.For,
	}
	if v.Device == "" && l.Message.Home.ID != "" {
		v.About = l.Message.Home.String()
	}
	if !l.Last.IsZero() {
		last := l.Last.UTC()
		v.Last = &last
	}
	return v
}
