package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The members of the verbs' JSON that people and scripts may rely on.
type (
	version struct{ Title, Version string }
	step    struct {
		At    time.Time
		State string
	}
	track struct {
		State           string
		Target, Current version
		AssignedBy      string
		Error           string
		Progress        int
		History         []step
	}
	device struct {
		ID, Name, Profile, AccessToken string
		Groups                         []string
		Firmware, Software             track
	}
	status struct{ Firmware, Software map[string]int }
)

// states is an update's history without its times.
func (u track) states() []string {
	var out []string
	for _, s := range u.History {
		out = append(out, s.State)
	}
	return out
}

// goodRoad is the history of an update that went well the first time.
var goodRoad = []string{"QUEUED", "INITIATED", "DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED"}

func (s *server) device(t *testing.T, name string) device {
	t.Helper()
	var d device
	s.ask(t, &d, "device", "show", name)
	return d
}

func (s *server) status(t *testing.T) status {
	t.Helper()
	var st status
	s.ask(t, &st, "status")
	return st
}

// awaitCount waits until so many devices are in a state of firmware.
func (s *server) awaitCount(t *testing.T, patience time.Duration, state string, n int) {
	t.Helper()
	wait(t, patience, fmt.Sprintf("%d devices %s", n, state), func() (bool, string) {
		st := s.status(t)
		return st.Firmware[state] == n, fmt.Sprint(st.Firmware)
	})
}

// devices lists all of a profile, "" for all, page by page.
func (s *server) devices(t *testing.T, profile string) []device {
	t.Helper()
	var all []device
	for cursor := ""; ; {
		var page struct {
			Data []device
			Next string
		}
		q := url.Values{"pageSize": {"1000"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		if profile != "" {
			q.Set("profile", profile)
		}
		s.manage(t, "GET", "/api/devices?"+q.Encode(), nil, &page)
		all = append(all, page.Data...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// recount holds the counters of `status` against a count over all devices.
func (s *server) recount(t *testing.T) {
	t.Helper()
	firmware, software := map[string]int{}, map[string]int{}
	seen := map[string]bool{}
	for _, d := range s.devices(t, "") {
		if seen[d.Name] {
			t.Errorf("device %s is listed twice", d.Name)
		}
		seen[d.Name] = true
		if d.Firmware.State != "" {
			firmware[d.Firmware.State]++
		}
		if d.Software.State != "" {
			software[d.Software.State]++
		}
	}
	st := s.status(t)
	for got, want := range map[*map[string]int]map[string]int{&st.Firmware: firmware, &st.Software: software} {
		for state, n := range *got {
			if n == 0 {
				delete(*got, state)
			}
		}
		if diff := cmp.Diff(want, *got); diff != "" && len(want)+len(*got) > 0 {
			t.Errorf("counters of status differ from a recount over %d devices (-recount +status):\n%s", len(seen), diff)
		}
	}
}

// assertRoad fails unless a device ended UPDATED by the good road.
func (s *server) assertRoad(t *testing.T, name string, target version, by string) {
	t.Helper()
	d := s.device(t, name)
	u := d.Firmware
	if u.State != "UPDATED" || u.Target != target || u.Current != target || u.AssignedBy != by || u.Error != "" || u.Progress != 100 {
		t.Errorf("%s: %+v, want UPDATED to %v by %s", name, u, target, by)
	}
	if !slices.Equal(u.states(), goodRoad) {
		t.Errorf("%s: history %s, want %s", name, strings.Join(u.states(), " → "), strings.Join(goodRoad, " → "))
	}
	if !slices.IsSortedFunc(u.History, func(a, b step) int { return a.At.Compare(b.At) }) {
		t.Errorf("%s: the times of the history do not rise: %+v", name, u.History)
	}
}
