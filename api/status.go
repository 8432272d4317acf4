package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Status is how many devices are in each state, by type.
type Status struct {
	Firmware *Counts `json:"firmware,omitempty"`
	Software *Counts `json:"software,omitempty"`
}

// Counts is how many devices are in each state.
type Counts struct {
	Queued      int64 `json:"QUEUED"`
	Initiated   int64 `json:"INITIATED"`
	Downloading int64 `json:"DOWNLOADING"`
	Downloaded  int64 `json:"DOWNLOADED"`
	Verified    int64 `json:"VERIFIED"`
	Updating    int64 `json:"UPDATING"`
	Updated     int64 `json:"UPDATED"`
	Failed      int64 `json:"FAILED"`
}

// Each calls do for every state in order.
func (c *Counts) Each(do func(state string, n int64)) {
	for i, n := range []int64{c.Queued, c.Initiated, c.Downloading, c.Downloaded, c.Verified, c.Updating, c.Updated, c.Failed} {
		do(string(ota.States()[i]), n)
	}
}

func countsOf(m map[ota.State]int64) *Counts {
	return &Counts{
		m[ota.Queued], m[ota.Initiated], m[ota.Downloading], m[ota.Downloaded],
		m[ota.Verified], m[ota.Updating], m[ota.Updated], m[ota.Failed],
	}
}

type statusIn struct {
	Type string `query:"type" enum:"firmware,software" doc:"One type alone"`
}

func (s *Server) statusRoutes() {
	register(s, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/api/status", Tags: []string{"Status"},
		Summary: "Count the devices in each state",
	}, s.status)
}

func (s *Server) status(ctx context.Context, in *statusIn) (*body[Status], error) {
	var out Status
	for _, k := range ota.Kinds() {
		if in.Type != "" && in.Type != string(k) {
			continue
		}
		m, err := s.Lister.Counts(ctx, s.Tenant, k, "")
		if err != nil {
			return nil, err
		}
		if k == ota.Firmware {
			out.Firmware = countsOf(m)
		} else {
			out.Software = countsOf(m)
		}
	}
	return answer(out)
}
