package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Problem is an error as clients get it (RFC 9457). Errors name fields, such as
// "body.name" or "query.profile".
type Problem = huma.ErrorModel

// statuses is the one table from codes to HTTP.
var statuses = map[ota.Code]int{
	ota.Invalid:  http.StatusUnprocessableEntity,
	ota.NotFound: http.StatusNotFound,
	ota.Conflict: http.StatusConflict,
	ota.Busy:     http.StatusServiceUnavailable,
	ota.Internal: http.StatusInternalServerError,
}

func problem(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Detail: fmt.Sprintf(format, args...)}
}

// fieldError blames one field of the request.
type fieldError struct {
	field string // "body.name"
	err   error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// inField says that err is about a field of the request; nil stays nil.
func inField(field string, err error) error {
	if err == nil {
		return nil
	}
	return &fieldError{field, err}
}

// invalid refuses a field of the request.
func invalid(field, format string, args ...any) error {
	return inField(field, ota.Errorf(ota.Invalid, "", format, args...))
}

// statusError is a failure for which HTTP has a better word than our codes.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// fail turns an error into the answer. A failure of ours is logged and not
// shown, since its text may tell of things that are nobody's business.
func (s *Server) fail(ctx context.Context, err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	status := statuses[ota.CodeOf(err)]
	var own *statusError
	if errors.As(err, &own) {
		status = own.status
	}
	if status == http.StatusInternalServerError {
		if ctx.Err() != nil {
			return problem(http.StatusServiceUnavailable, "the request was given up")
		}
		s.Log.ErrorContext(ctx, "management request failed", "error", err)
		return problem(status, "a failure of the server; its log says more")
	}
	p = problem(status, "%s", err)
	var f *fieldError
	if errors.As(err, &f) {
		p.Errors = []*huma.ErrorDetail{{Message: f.Error(), Location: f.field}}
	}
	if status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"1"}})
	}
	return p
}

// refuse answers a request that huma does not handle with the problem of err.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	err = s.fail(r.Context(), err)
	var h huma.HeadersError
	if errors.As(err, &h) {
		for k, v := range h.GetHeaders() {
			w.Header()[k] = v
		}
	}
	var p *Problem
	if !errors.As(err, &p) {
		p = problem(http.StatusInternalServerError, "%s", err)
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	writeBody(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeBody(w, "application/json", status, v) }

func writeBody(w http.ResponseWriter, contentType string, status int, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the asker has gone; there is nobody to tell
}
