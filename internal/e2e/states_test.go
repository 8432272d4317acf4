package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// keepQueued is an offer chain that keeps a device called so QUEUED until it has
// said a word.
const keepQueued = `chain: keep_queued
summary: Offers updates, and holds those of some devices.
trigger: {event: offer_due, profiles: [pump]}
fields: {telemetry: {go: number}}
steps:
  - node: check_offer
  - node: hold_update
    when: device.name endsWith "QUEUED" and (device.telemetry.go ?? 0) < 1
    with: {for: 5s, give_up: 15s, wake_on: [telemetry], reason: has not said a word}
    to: {overdue: late}
  - node: admit_update
  - {node: offer_update, with: {timeout: 15s}}
branches:
  late: [{node: fail_update, with: {reason: no word in QUEUED for 15s, verdict: silent}}]
`

// roadTo is what a device of version 1.1 says until its update is in a state.
var roadTo = map[string][]string{
	"QUEUED":      nil,
	"INITIATED":   wholeRoad[:1],
	"DOWNLOADING": wholeRoad[:2],
	"DOWNLOADED":  wholeRoad[:3],
	"VERIFIED":    {wholeRoad[0], wholeRoad[1], wholeRoad[2], `{"fw_state":"VERIFIED"}`},
	"UPDATING":    wholeRoad[:4],
	"UPDATED":     wholeRoad,
	"FAILED":      {wholeRoad[0], wholeRoad[1], `{"fw_state":"FAILED","fw_error":"bad flash"}`},
}

// The server is killed while devices stand in each of the eight states. Each
// stays where it was; those that go on are updated, and those that have fallen
// silent leave their state by its time-out, with a reason.
func TestRestartInEachState(t *testing.T) {
	t.Parallel()
	const silence = "15s"
	dir := changedChains(t, map[string][2]string{
		"report.yaml":        {"{DOWNLOADING: 1h, DOWNLOADED: 30m, VERIFIED: 30m, UPDATING: 30m}", "{DOWNLOADING: " + silence + ", DOWNLOADED: " + silence + ", VERIFIED: " + silence + ", UPDATING: " + silence + "}"},
		"state_timeout.yaml": {"attempts: 3,", "attempts: 1,"},
	})
	if err := os.WriteFile(filepath.Join(dir, "keep_queued.yaml"), []byte(keepQueued), 0o600); err != nil {
		t.Fatal(err)
	}
	s := run(t, "", "--set", "offers.pace=unlimited", "--set", "redis_fsync=always", "--chains", dir)
	s.do(t, "profile", "create", "pump")
	file, _ := randomFile(t, randomFor(t), 5000)
	s.upload(t, file, "app", "1.2", "pump")
	want := map[string]string{}
	for state := range roadTo {
		for _, is := range []string{"goes-on", "silent"} {
			want[is+"-"+state] = state
		}
	}
	names := slices.Sorted(maps.Keys(want))
	for _, name := range names {
		s.do(t, "device", "create", name, "--profile", "pump", "--access-token", name)
	}
	s.do(t, "assign", "app@1.2", "--profile", "pump")
	for _, name := range names {
		s.walk(t, name, roadTo[want[name]])
	}
	wait(t, time.Minute, "each device stands where it shall", func() (bool, string) {
		got := s.statesOf(t, "pump")
		return maps.Equal(got, want), fmt.Sprint(got)
	})
	s.kill()
	s.again(t)
	for name, got := range s.statesOf(t, "pump") {
		if got != want[name] {
			t.Errorf("after the kill %s is %s", name, got)
		}
	}

	for name, state := range want {
		switch {
		case strings.HasPrefix(name, "goes-on"):
			s.walk(t, name, wholeRoad)
			want[name] = "UPDATED"
		case state != "UPDATED":
			want[name] = "FAILED"
		}
	}
	wait(t, time.Minute, "all updates have come to their ends", func() (bool, string) {
		got := s.statesOf(t, "pump")
		return maps.Equal(got, want), fmt.Sprint(got)
	})
	for _, d := range s.devices(t, "pump") {
		if state, silent := strings.CutPrefix(d.Name, "silent-"); silent && d.Firmware.State == "FAILED" {
			reason := "no word in " + state + " for " + silence
			if state == "FAILED" {
				reason = "bad flash"
			}
			if d.Firmware.Error != reason {
				t.Errorf("%s failed because of %q, want %q", d.Name, d.Firmware.Error, reason)
			}
		}
	}
	s.recount(t)
}

// walk lets a device say what it has to, and wait for the offer behind its first
// word.
func (s *server) walk(t *testing.T, name string, said []string) {
	t.Helper()
	for i, report := range said {
		res, err := http.Post("http://"+s.http+"/api/v1/"+name+"/telemetry", "application/json", strings.NewReader(report))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s is answered by %s", name, report, res.Status)
		}
		if i == 0 {
			wait(t, time.Minute, name+" is offered the package", func() (bool, string) {
				offer := s.attributes(t, name)
				return offer.Version == "1.2", fmt.Sprint(offer)
			})
		}
	}
}

func (s *server) statesOf(t *testing.T, profile string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, d := range s.devices(t, profile) {
		got[d.Name] = d.Firmware.State
	}
	return got
}
