package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// bury leaves a dead letter about a device.
func (h *house) bury(device, id string, values string) {
	h.t.Helper()
	ref, err := h.store.Find(h.t.Context(), ota.DefaultTenant, ota.DeviceRef, device)
	if err != nil {
		h.t.Fatal(err)
	}
	home, err := h.store.Load(h.t.Context(), ref)
	if err != nil {
		h.t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	err = h.store.Commit(h.t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: home.Clone(), Home: home, Dead: &ota.DeadLetter{
		ID: id, Tenant: ota.DefaultTenant, At: at, Chain: "x", Step: "s", Reason: "why", Attempts: 2, Last: at.Add(time.Hour),
		Message: ota.Message{Event: ota.Telemetry, Tenant: ota.DefaultTenant, Device: ota.DeviceID(ref.ID), TS: at, Values: []byte(values), Transport: "mqtt"},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestDeadLetters(t *testing.T) {
	var store ota.Letters
	outcomes := map[string]error{"busy": ota.Errorf(ota.Busy, "", "redis is away")}
	h := newHouse(t, func(d *Deps) {
		store = d.Letters
		d.Retry = func(ctx context.Context, l ota.DeadLetter) (*ota.DeadLetter, error) {
			if l.ID == "bad" {
				l.Attempts, l.Reason = l.Attempts+1, "worse"
				return &l, nil
			}
			if err := outcomes[l.ID]; err != nil {
				return nil, err
			}
			return nil, store.DropLetter(ctx, l.Tenant, l.ID)
		}
	})
	h.must(nil, http.MethodPost, "/api/profiles", `{"name":"pump"}`)
	h.must(nil, http.MethodPost, "/api/devices", `{"name":"d","profile":"pump"}`)
	for _, id := range []string{"good", "bad", "busy", "dropped"} {
		h.bury("d", id, `{"a":1.10}`)
	}
	h.bury("d", "odd", "{\"a\":")
	h.steps([]step{
		{"GET", "/api/deadletters/good", "", 200, `"reason":"why","attempts":2,"last":"2026-11-23T10:00:00Z","message":{"ts":"2026-11-23T09:00:00Z","values":{"a":1.10},"transport":"mqtt"}`},
		{"GET", "/api/deadletters/odd", "", 200, `"values":"{\"a\":"`},
		{"GET", "/api/deadletters/none", "", 404, `there is no dead letter`},
		{"POST", "/api/deadletters/good/retry", "", 200, `{"done":true}`},
		{"POST", "/api/deadletters/good/retry", "", 404, `there is no dead letter`},
		{"POST", "/api/deadletters/bad/retry", "", 200, `"reason":"worse","attempts":3`},
		{"POST", "/api/deadletters/bad/retry", "", 200, `"done":false`},
		{"POST", "/api/deadletters/busy/retry", "", 503, `redis is away`},
		{"DELETE", "/api/deadletters/dropped", "", 204, ""},
		{"DELETE", "/api/deadletters/dropped", "", 404, `there is no dead letter`},
		{"GET", "/api/deadletters", "", 200, `"id":"bad"`},
	})
	var all List[DeadLetter]
	h.must(&all, http.MethodGet, "/api/deadletters", "")
	if len(all.Data) != 3 {
		t.Errorf("%d letters are left, want bad, busy and odd", len(all.Data))
	}
}
