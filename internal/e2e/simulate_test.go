package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/sim"
)

// A thousand devices over either transport end as planned, and the counters
// agree with the devices.
func TestSimulate(t *testing.T) {
	t.Parallel()
	random := randomFor(t)
	n := sized(1000, 200)
	s := run(t, "", "--set", "offers.pace=unlimited")
	file, _ := randomFile(t, random, 50_000)
	updated, failed := 0, 0
	for _, tt := range []struct{ profile, transport, fail string }{
		{"over-mqtt", "mqtt", ""}, {"over-http", "http", ""}, {"some-fail-mqtt", "mqtt", "3%"}, {"some-fail-http", "http", "3%"},
	} {
		began := time.Now()
		s.do(t, "profile", "create", tt.profile)
		s.upload(t, file, tt.profile, "1", tt.profile)
		s.do(t, "assign", tt.profile+"@1", "--profile", tt.profile)
		args := []string{"simulate", "--devices", fmt.Sprint(n), "--profile", tt.profile, "--transport", tt.transport, "--timeout", "2m"}
		bad := 0
		if tt.fail != "" {
			args = append(args, "--fail", tt.fail)
			bad = n * 3 / 100
		}
		var told struct {
			Devices, Unplanned int
			States             map[string]int
		}
		s.ask(t, &told, args...)
		if told.Devices != n || told.Unplanned != 0 || told.States["UPDATED"] != n-bad || told.States["FAILED"] != bad {
			t.Errorf("%s: simulate says %+v, want %d UPDATED and %d FAILED", tt.profile, told, n-bad, bad)
		}
		s.assertFleet(t, tt.profile, n, bad)
		updated, failed = updated+n-bad, failed+bad
		t.Logf("%s: %d devices in %v", tt.profile, n, time.Since(began).Round(100*time.Millisecond))
	}
	st := s.status(t)
	if st.Firmware["UPDATED"] != updated || st.Firmware["FAILED"] != failed {
		t.Errorf("status says %v, want %d UPDATED and %d FAILED", st.Firmware, updated, failed)
	}
	s.recount(t)
}

// assertFleet looks at each device of a simulation: those planned to fail have
// failed with their text, the others are UPDATED.
func (s *server) assertFleet(t *testing.T, profile string, n, bad int) {
	t.Helper()
	var list []device
	s.ask(t, &list, "device", "list", "--profile", profile)
	if len(list) != n {
		t.Errorf("%s: device list shows %d devices, want %d", profile, len(list), n)
	}
	for i, d := range list {
		want, text := "UPDATED", ""
		if bad > 0 && sim.Chosen(i, float64(bad)/float64(n)) {
			want, text = "FAILED", "simulated failure"
		}
		if u := d.Firmware; u.State != want || u.Error != text {
			t.Errorf("%s: %s with error %q, want %s with %q", d.Name, u.State, u.Error, want, text)
		}
		if i%100 == 0 {
			s.assertHistoryEnds(t, d.Name, want)
		}
	}
}

func (s *server) assertHistoryEnds(t *testing.T, name, state string) {
	t.Helper()
	h := s.device(t, name).Firmware.states()
	if len(h) == 0 || h[len(h)-1] != state {
		t.Errorf("%s: history %v, want its end %s", name, h, state)
	}
}
