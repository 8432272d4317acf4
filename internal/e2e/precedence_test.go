package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// A device's own package wins over its profile's, whichever came last.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	s := run(t, "", "--set", "offers.pace=unlimited")
	s.do(t, "profile", "create", "P1")
	for _, d := range []string{"D1", "D2"} {
		s.do(t, "device", "create", d, "--profile", "P1", "--access-token", "token-"+d)
	}
	for _, f := range []string{"F1", "F2", "F3"} {
		file, _ := randomFile(t, random, 10_000)
		s.upload(t, file, f, "1", "P1")
	}
	f1, f2, f3 := version{"F1", "1"}, version{"F2", "1"}, version{"F3", "1"}

	s.do(t, "assign", "F1@1", "--profile", "P1")
	s.plays(t, "D1", version{}, f1)
	s.plays(t, "D2", version{}, f1)
	s.assertRoad(t, "D1", f1, "profile")
	s.assertRoad(t, "D2", f1, "profile")

	s.do(t, "assign", "F2@1", "--device", "D1")
	s.plays(t, "D1", f1, f2)
	s.assertRoad(t, "D1", f2, "device")
	s.assertRoad(t, "D2", f1, "profile")

	s.do(t, "assign", "F3@1", "--profile", "P1")
	s.plays(t, "D2", f1, f3)
	s.assertRoad(t, "D2", f3, "profile")
	s.assertRoad(t, "D1", f2, "device")
	for d, want := range map[string]version{"D1": f2, "D2": f3} {
		if got := s.attributes(t, "token-"+d); got != want {
			t.Errorf("the attributes of %s tell of %v, want %v", d, got, want)
		}
	}
	for d, title := range map[string]string{"D1": "F3", "D2": "F2"} {
		if code, _ := s.get(t, "token-"+d, "firmware", url.Values{"title": {title}, "version": {"1"}}); code != http.StatusBadRequest {
			t.Errorf("%s asks for %s: %d, want 400: another is assigned", d, title, code)
		}
	}
	s.recount(t)
}

// plays runs one device over MQTT until it has updated, which must be to want.
func (s *server) plays(t *testing.T, name string, runs, want version) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d := &sim.Device{
		Name: name, Wire: sim.NewMQTT(s.mqtt, "token-"+name, 4, 1, 10*time.Second, time.Second), Kind: ota.Firmware,
		Runs: ota.Version{Title: runs.Title, Version: runs.Version}, Chunk: 4 << 10,
	}
	r, err := d.Run(ctx)
	if got := (version{r.Offer.Version.Title, r.Offer.Version.Version}); err != nil || r.State != ota.Updated || got != want {
		t.Fatalf("%s: %+v, %v, want %v", name, r, err, want)
	}
}

// attributes is the firmware that a device is told of.
func (s *server) attributes(t *testing.T, token string) version {
	t.Helper()
	code, body := s.get(t, token, "attributes", url.Values{"sharedKeys": {"fw_title,fw_version"}})
	var answer struct {
		Shared struct {
			Title   string `json:"fw_title"`
			Version string `json:"fw_version"`
		}
	}
	if err := json.Unmarshal(body, &answer); code != http.StatusOK || err != nil {
		t.Fatal(fmt.Errorf("attributes: %d %s: %w", code, body, err))
	}
	return version{answer.Shared.Title, answer.Shared.Version}
}
