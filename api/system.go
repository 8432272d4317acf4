package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Part is how one part of the server is.
type Part struct {
	Name   string `json:"name" doc:"redis, blobs, mqtt, …"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Health is how the server is: ok when every part is.
type Health struct {
	OK    bool   `json:"ok"`
	Parts []Part `json:"parts"`
}

// System is what the server says about itself.
type System struct {
	Info
	Health
}

func (s *Server) systemRoutes() {
	register(s, huma.Operation{
		OperationID: "system", Method: http.MethodGet, Path: "/api/system", Tags: []string{"System"}, Summary: "Say version and health",
	}, func(ctx context.Context, _ *struct{}) (*body[System], error) {
		return answer(System{s.Info, s.health(ctx)})
	})
	// Probes ask these two, and they have no token.
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		h := s.health(r.Context())
		writeJSON(w, statusIf(h.OK), h)
	})
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready := s.Ready == nil || s.Ready()
		writeJSON(w, statusIf(ready), map[string]bool{"ready": ready})
	})
}

func statusIf(ok bool) int {
	if ok {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (s *Server) health(ctx context.Context) Health {
	h := Health{OK: true, Parts: []Part{}}
	if s.Deps.Health == nil {
		return h
	}
	h.Parts = append(h.Parts, s.Deps.Health(ctx)...)
	for _, p := range h.Parts {
		h.OK = h.OK && p.OK
	}
	return h
}

// Document is the OpenAPI document as /openapi.json serves it, indented.
func (s *Server) Document() ([]byte, error) {
	b, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	return append(b, '\n'), err
}
